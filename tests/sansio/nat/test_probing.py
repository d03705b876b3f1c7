"""Tests of Binding requests with retransmission."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import LocalProtocolError
from relaykit.sansio.nat import probing, stun
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nat.probing import Answered, Prober, Question, Unanswered
from relaykit.sansio.nat.stun import Attribute, Change, StunClass, StunMessage
from relaykit.values import Address

SERVER, ELSEWHERE = Address("203.0.113.2", 3478), Address("203.0.113.3", 3479)
MAPPED = Address("198.51.100.2", 4660)


class _Entropy:
    """Bytes that are all different."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(size, "big")


def _answer(request: bytes, kind: StunClass = StunClass.SUCCESS) -> bytes:
    transaction = stun.decode(request).transaction
    attributes = ((int(Attribute.XOR_MAPPED_ADDRESS), stun.pack_xor_address(MAPPED, transaction)),)
    if kind is StunClass.ERROR:
        attributes = ((int(Attribute.ERROR_CODE), stun.pack_error(420, "no")),)
    return stun.encode(StunMessage(kind, transaction, attributes))


class ProberTests(SynchronousTestCase):
    """One question and many."""

    def setUp(self) -> None:
        """Makes a prober."""
        self.prober = Prober(_Entropy())

    def ask(self, **how: object) -> Datagram:
        """Asks, and takes the request that goes out."""
        self.question = Question(server=SERVER, **how)  # type: ignore[arg-type]
        self.prober.ask(self.question, 0.0)
        (sent,) = self.prober.to_send(0.0)
        return sent

    def test_retransmission_of_the_rfc(self) -> None:
        """With the RFC's figures a request goes out seven times and fails after 39.5 seconds."""
        first = self.ask(schedule=probing.RFC_8489)
        times = [0.0]
        while not (events := self.prober.events()):
            now = self.prober.next_wakeup()
            assert now is not None
            self.prober.wake(now)
            for again in self.prober.to_send(now):
                self.assertEqual(again, first)
                times.append(now)
        self.assertEqual(times, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
        self.assertEqual((events, now), ([Unanswered(self.question)], 39.5))
        self.assertIsNone(self.prober.next_wakeup())

    def test_answer(self) -> None:
        """An answer ends the question and tells the address and the time it took."""
        sent = self.ask()
        self.prober.receive(_answer(sent.payload), SERVER, 0, 0.03)
        (event,) = self.prober.events()
        assert isinstance(event, Answered)
        self.assertEqual((event.mapped, event.round_trip_s, event.sent), (MAPPED, 0.03, 1))
        self.prober.wake(100.0)
        self.assertEqual(list(self.prober.to_send(100.0)), [])

    def test_round_trip_after_repetition(self) -> None:
        """Which of two requests was answered is not known, and so is the time."""
        sent = self.ask()
        self.prober.wake(0.1)
        self.prober.receive(_answer(sent.payload), SERVER, 0, 0.12)
        (event,) = self.prober.events()
        assert isinstance(event, Answered)
        self.assertEqual((event.round_trip_s, event.sent), (None, 2))

    def test_believed(self) -> None:
        """A server sends nobody to the own machine, nor one of the Internet to private networks."""
        internet, private, local = "8.8.8.8", "192.168.1.9", "127.0.0.1"
        for server, named, is_believed in (
            (internet, ("8.8.4.4", 3478), True),
            (internet, ("8.8.4.4", 53), False),
            (internet, (private, 3478), False),
            (internet, (local, 3478), False),
            (internet, ("224.0.0.1", 3478), False),
            (private, ("192.168.1.10", 3478), True),
            (private, (local, 3478), False),
            (private, ("0.0.0.0", 3478), False),
            (local, (local, 3479), True),
        ):
            address = Address(*named)
            attributes = (Attribute.MAPPED_ADDRESS, Attribute.OTHER_ADDRESS)
            message = StunMessage(
                StunClass.SUCCESS, bytes(12), tuple((each, stun.pack_address(address)) for each in attributes)
            )
            question = Question(server=Address(server, 3478))
            answer = Answered(question, message, question.server, 1, None)
            self.assertEqual(answer.other, address if is_believed else None, named)
            is_seen = server == local or named[0] != local
            self.assertEqual(answer.mapped, address if is_seen else None, named)

    def test_error_is_an_answer(self) -> None:
        """An error response ends the question without an address."""
        sent = self.ask()
        self.prober.receive(_answer(sent.payload, StunClass.ERROR), SERVER, 0, 0.03)
        (event,) = self.prober.events()
        assert isinstance(event, Answered)
        self.assertIsNone(event.mapped)

    def test_what_does_not_count(self) -> None:
        """Answers of others, to others, through other sockets, and junk are ignored."""
        sent = self.ask()
        good = _answer(sent.payload)
        stranger = good[:8] + b"x" * 12 + good[20:]
        for data, source, via in (
            (good, ELSEWHERE, 0),
            (good, SERVER, 1),
            (stranger, SERVER, 0),
            (good[:-1], SERVER, 0),
            (sent.payload, SERVER, 0),
            (_answer(sent.payload, StunClass.INDICATION), SERVER, 0),
            (b"", SERVER, 0),
        ):
            self.prober.receive(data, source, via, 0.01)
            self.assertEqual(list(self.prober.events()), [])
        self.prober.receive(good, SERVER, 0, 0.01)
        self.assertEqual(len(self.prober.events()), 1)
        self.prober.receive(good, SERVER, 0, 0.02)
        self.assertEqual(list(self.prober.events()), [])

    def test_answer_from_elsewhere(self) -> None:
        """A question that asked for it may be answered from another address."""
        sent = self.ask(change=Change.ADDRESS | Change.PORT)
        self.prober.receive(_answer(sent.payload), ELSEWHERE, 0, 0.01)
        (event,) = self.prober.events()
        assert isinstance(event, Answered)
        self.assertEqual(event.source, ELSEWHERE)

    def test_hairpin(self) -> None:
        """A request that comes back through another socket of ours is an answer where expected."""
        sent = self.ask(answer_via=3)
        self.prober.receive(sent.payload, MAPPED, 3, 0.01)
        (event,) = self.prober.events()
        assert isinstance(event, Answered)
        self.assertIs(event.message.kind, StunClass.REQUEST)

    def test_delay(self) -> None:
        """A question can wait before it is asked."""
        self.prober.ask(Question(server=SERVER, delay_s=5.0), 0.0)
        self.assertEqual((list(self.prober.to_send(0.0)), self.prober.next_wakeup()), ([], 5.0))
        self.prober.wake(5.0)
        self.assertEqual(len(self.prober.to_send(5.0)), 1)

    def test_bound(self) -> None:
        """The number of questions under way is bounded."""
        for _ in range(probing.QUESTIONS_MAX):
            self.ask()
        self.assertRaises(LocalProtocolError, self.ask)
        self.prober.give_up()
        self.assertIsNone(self.prober.next_wakeup())
