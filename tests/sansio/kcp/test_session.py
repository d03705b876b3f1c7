"""Tests of a session: by recorded ones, on a bad line, and with what no peer should send."""

from __future__ import annotations

import itertools
import random
from math import inf

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.fec import bare
from relaykit.sansio.kcp.options import ASK_AFTER_SILENCE_S, FRP_CLIENT, FRP_SERVER, FRP_TUNNEL
from relaykit.sansio.kcp.reed_solomon import SHARDS
from relaykit.sansio.kcp.segments import ACK, ASK, MOST_DATAGRAM_BYTES, PUSH, TELL, pack_header, read_segments
from relaykit.sansio.kcp.session import (
    ASK_AFTER_S,
    BURST_PAUSE_S,
    BURST_SEGMENTS,
    MOST_ASK_AFTER_S,
    SILENCE_ASK_AGAIN_S,
    UNANSWERED_S,
    KcpSession,
    SessionLost,
)
from relaykit.sansio.late_wakeup import GRACE_S
from tests import recorded
from tests.sansio.kcp.line import Line, LineWeather
from tests.sansio.kcp.test_segments import ACK_OF_IT, CONVERSATION, HELLO

BARE = evolve(FRP_TUNNEL, has_prefix=False)
_PAYLOAD_BYTES = 1326


def make(window: int = 1024) -> KcpSession:
    """A session without parity, whose peer has room for so many segments."""
    session = KcpSession(CONVERSATION, BARE, 0.0)
    session.receive(pack_header(CONVERSATION, TELL, 0, window, 0, 0, 0, 0), 0.0)
    return session


def push(number: int, data: bytes = b"data", expected: int = 0) -> bytes:
    """A segment of the peer."""
    return pack_header(CONVERSATION, PUSH, 0, 1024, 0, number, expected, len(data)) + data


def number_of(datagram: bytes) -> int:
    """The number in front of a datagram."""
    return int.from_bytes(datagram[:4], "little")


def time_of_loss(session: KcpSession, now: float) -> float:
    """When the session is lost, if time passes without a word of the peer."""
    while not session.events():
        session.to_send(now)
        due = session.next_wakeup()
        assert due is not None
        now = due
        session.wake(now)
    return now


def said(session: KcpSession, now: float) -> list[tuple[int, int, int]]:
    """The command, the number and the window of all that goes out."""
    return [
        (command, number, window)
        for datagram in session.to_send(now)
        for command, window, _, number, _, _ in read_segments(bare(datagram), CONVERSATION)
    ]


class VectorTests(SynchronousTestCase):
    """What frp says, and what it is answered."""

    def test_vectors(self) -> None:
        """A push and its acknowledgement are those of frp, with and without a prefix."""
        sender = KcpSession(CONVERSATION, evolve(FRP_CLIENT, has_prefix=False), -1.0)
        sender.write(b"hello")
        self.assertEqual(sender.to_send(0.0), [HELLO])
        receiver = KcpSession(CONVERSATION, BARE, 0.0)
        receiver.receive(HELLO, 0.0)
        self.assertEqual(receiver.read(), b"hello")
        self.assertEqual(receiver.to_send(0.0), [ACK_OF_IT])
        sender.receive(ACK_OF_IT, 0.0)
        self.assertTrue(sender.is_settled)
        with_fec = KcpSession(CONVERSATION, FRP_CLIENT, -1.0)
        with_fec.write(b"hello")
        self.assertEqual(with_fec.to_send(0.0), [bytes.fromhex("00000000f1001f00") + HELLO])

    def test_recorded(self) -> None:
        """Each end of a recorded session reads what the other one is known to have sent."""
        numbers = [b"%020d" % number for number in range(30)]
        pattern = bytes(place * 5 % 256 for place in range(4096))
        self.assertTrue(self.replay(self.recorded("s2c")).endswith(b"".join(numbers) + pattern))
        self.assertIn(b"".join(b"re:" + each for each in numbers), self.replay(self.recorded("c2s")))

    def test_recorded_losses(self) -> None:
        """It reads the same whichever three datagrams of each group are lost."""
        for direction in ("c2s", "s2c"):
            datagrams = self.recorded(direction)
            whole = [each for each in datagrams if number_of(each) < len(datagrams) // SHARDS * SHARDS]
            read = self.replay(whole)
            self.assertTrue(read)
            for lost in itertools.combinations(range(SHARDS), 3):
                left = [each for each in whole if number_of(each) % SHARDS not in lost]
                self.assertEqual(self.replay(left), read)

    def recorded(self, direction: str) -> list[bytes]:
        """The datagrams of a work connection, in one direction; not those of the ghost that follows."""
        connection = next(each for each in recorded.load("v1-kcp").connections if each.number == 2)
        datagrams = [each.data for each in connection.chunks if each.direction == direction]
        numbers = [number_of(each) for each in datagrams]
        begins = [place for place, number in enumerate(numbers) if number == 0]
        return datagrams[: begins[1] if len(begins) > 1 else None]

    def replay(self, datagrams: list[bytes]) -> bytes:
        """What an end reads that gets these."""
        conversation = next(int.from_bytes(each[8:12], "little") for each in datagrams if each[4] == 0xF1)
        session = KcpSession(conversation, FRP_TUNNEL, 0.0)
        got = b""
        for each in datagrams:
            session.receive(memoryview(each), 0.0)
            got += session.read()
            session.to_send(0.0)
        return got


class LineTests(SynchronousTestCase):
    """Two of our own ends."""

    def carry(self, line: Line, size: int = 200_000) -> None:
        """Lets both ends send so many bytes, in pieces of all sizes, and compares what arrives."""
        chance = random.Random(size)
        written = [chance.randbytes(size), chance.randbytes(size // 3)]
        for place, data in enumerate(written):
            at = 0
            while at < len(data):
                piece = chance.randint(1, 5000)
                line.ends[place].write(data[at : at + piece])
                at += piece
        line.settle()
        self.assertEqual([bytes(each) for each in reversed(line.read)], written)
        self.assertEqual(line.events, [[], []])

    def test_good_line(self) -> None:
        """Nothing is sent twice where nothing is lost, and the rest is acknowledgements and parity."""
        line = Line(BARE)
        self.carry(line)
        fewest = 200_000 // _PAYLOAD_BYTES + 1
        self.assertLess(line.sent[0], fewest + 60)

    def test_bad_line(self) -> None:
        """Whatever is lost, repeated, late or out of order, all bytes arrive, once and in order."""
        for seed, options in enumerate((FRP_TUNNEL, BARE, FRP_CLIENT)):
            weather = LineWeather(loss=0.2, repeats=0.1, delay_s=(0.001, 0.08))
            self.carry(Line(options, weather, seed))

    def test_parity_helps(self) -> None:
        """What parity makes up for need not be sent again."""
        again = []
        for seconds in (-1.0, inf):
            options = evolve(FRP_TUNNEL, parity_for_s=seconds)
            line = Line(options, LineWeather(loss=0.05, delay_s=(0.2, 0.2)), seed=3)
            line.ends[0].write(bytes(100 * _PAYLOAD_BYTES))
            line.settle()
            again.append(line.now)
        self.assertLess(again[1], again[0])

    def test_parity_while_lossy(self) -> None:
        """Parity is sent as long as something gets lost; frp sends it always."""
        for seconds, always in ((5.0, False), (inf, True)):
            line = Line(evolve(FRP_TUNNEL, parity_for_s=seconds))
            parity = []
            for loss in (0.0, 0.0, 0.3, 0.0):
                line.weather = LineWeather(loss=loss)
                before = line.parity
                line.ends[0].write(bytes(100 * _PAYLOAD_BYTES))
                line.settle()
                parity.append(line.parity > before)
                line.run(10.0 if loss == 0.0 else 0.0)
            self.assertEqual(parity, [always, always, True, True])

    def test_slow_without_parity(self) -> None:
        """What is sent again only because the line is slow is no reason for parity."""
        line = Line(FRP_TUNNEL, LineWeather(delay_s=(0.3, 0.3)))
        line.ends[0].write(bytes(100 * _PAYLOAD_BYTES))
        line.settle()
        self.assertGreater(line.sent[0], 120)
        self.assertEqual(line.parity, 0)

    @settings(max_examples=100, deadline=None)
    @given(st.permutations(range(26)), st.integers(0, 8), st.lists(st.integers(1, 30)))
    def test_together(self, order: list[int], lost: int, sizes: list[int]) -> None:
        """Datagrams that come together say the same as one by one, in whatever order, and portions."""
        sender = KcpSession(CONVERSATION, evolve(FRP_TUNNEL, parity_for_s=inf), 0.0)
        sender.write(random.Random(0).randbytes(20 * _PAYLOAD_BYTES))
        datagrams = sender.to_send(0.0)
        came = [datagrams[place] for place in order][lost:]
        one, other = KcpSession(CONVERSATION, FRP_TUNNEL, 0.0), KcpSession(CONVERSATION, FRP_TUNNEL, 0.0)
        for each in came:
            one.receive(each, 0.0)
        for size in [*sizes, len(came)]:
            other.receive_many(came[:size], 0.0)
            came = came[size:]
        self.assertEqual(other.read(), one.read())
        self.assertEqual(other.to_send(0.0), one.to_send(0.0))

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 1 << 30), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.3), st.booleans())
    def test_any_weather(
        self, seed: int, loss: float, repeats: float, late_s: float, has_prefix: bool
    ) -> None:
        """The same on any line."""
        weather = LineWeather(loss, repeats, (0.0, late_s))
        self.carry(Line(evolve(FRP_TUNNEL, has_prefix=has_prefix), weather, seed), 30_000)

    def test_not_read(self) -> None:
        """Who does not read lets the peer send a window, and no more; once he reads all comes."""
        line = Line(evolve(BARE, receive_window=32))
        line.reads[1] = False
        line.ends[0].write(bytes(100 * _PAYLOAD_BYTES))
        line.run(5.0)
        self.assertEqual(line.ends[0].unconfirmed_bytes, 68 * _PAYLOAD_BYTES)
        self.assertFalse(line.events[0])
        line.reads[1] = True
        line.settle(1.0)
        self.assertEqual(len(line.read[1]), 100 * _PAYLOAD_BYTES)

    def test_lost_word(self) -> None:
        """Where the word of new room is lost the peer is asked, and goes on."""
        line = Line(evolve(BARE, receive_window=32))
        line.reads[1] = False
        line.ends[0].write(bytes(100 * _PAYLOAD_BYTES))
        line.run(1.0)
        line.ends[1].read()
        line.ends[1].to_send(line.now)
        line.reads[1] = True
        line.run(ASK_AFTER_S - 2)
        self.assertFalse(line.ends[0].is_settled)
        line.run(3.0)
        self.assertTrue(line.ends[0].is_settled)

    def test_idle(self) -> None:
        """A session with nothing to say is silent, and needs no timer."""
        line = Line()
        line.ends[0].write(b"hello")
        line.settle()
        line.run(1.0)
        sent = list(line.sent)
        line.run(1000.0)
        self.assertEqual(line.sent, sent)
        self.assertEqual([end.next_wakeup() for end in line.ends], [None, None])


class PaceTests(SynchronousTestCase):
    """How much goes out at once."""

    def test_bursts(self) -> None:
        """A full window goes out in portions, the next after a pause or an acknowledgement."""
        session = make()
        session.write(bytes(400 * _PAYLOAD_BYTES))
        self.assertEqual(len(session.to_send(0.0)), BURST_SEGMENTS)
        self.assertEqual(session.to_send(0.0), ())
        self.assertEqual(session.next_wakeup(), BURST_PAUSE_S)
        self.assertEqual(len(session.to_send(BURST_PAUSE_S)), BURST_SEGMENTS)
        session.receive(push(0, expected=1), BURST_PAUSE_S)
        self.assertEqual(len(session.to_send(BURST_PAUSE_S)), BURST_SEGMENTS + 1)

    def test_resent_in_bursts(self) -> None:
        """So does what must be sent again."""
        session = make()
        session.write(bytes(150 * _PAYLOAD_BYTES))
        for place in range(3):
            session.to_send(place * BURST_PAUSE_S)
        self.assertEqual(len(session.to_send(5.0)), BURST_SEGMENTS)
        self.assertEqual(session.next_wakeup(), 5.0 + BURST_PAUSE_S)

    def test_packed(self) -> None:
        """Small segments share a datagram; what is full has its own."""
        session = make()
        for number in range(3):
            session.receive(push(2 * number + 1), 0.0)
        session.write(b"answer")
        (datagram,) = session.to_send(0.0)
        self.assertEqual(len(datagram), 4 * 24 + 6)
        session.write(bytes(2 * _PAYLOAD_BYTES))
        self.assertEqual([len(each) for each in session.to_send(1.0)], [30, 1350, 1350])


class PeerTests(SynchronousTestCase):
    """Peers that are dead, have no room, or lie."""

    def test_dead(self) -> None:
        """A peer that acknowledges nothing for so long is lost, and nothing more is sent."""
        session = make()
        session.write(b"data")
        now = time_of_loss(session, 0.0)
        self.assertEqual(now, UNANSWERED_S)
        session.write(b"more")
        session.receive(push(0), now)
        self.assertEqual((session.to_send(now + 1), session.next_wakeup()), ((), None))

    def test_ghost(self) -> None:
        """Acknowledgements that are not of what was sent keep nobody alive."""
        session = make()
        session.write(b"data")
        session.to_send(0.0)
        for second in range(1, int(UNANSWERED_S)):
            session.receive(pack_header(CONVERSATION, ACK, 0, 32, 0, 7, 0, 0), float(second))
            session.to_send(float(second))
        session.wake(UNANSWERED_S)
        self.assertEqual(session.events(), [SessionLost()])

    def test_held_up(self) -> None:
        """Who was held up himself gives the peer some time more."""
        session = make()
        session.write(b"data")
        session.to_send(0.0)
        late = UNANSWERED_S + 100.0
        session.wake(late)
        self.assertEqual(time_of_loss(session, late), late + GRACE_S)

    def shut(self) -> KcpSession:
        """A session whose peer has no room for what waits."""
        session = make(window=0)
        session.write(b"data")
        self.assertEqual(session.to_send(0.0), ())
        return session

    def test_shut(self) -> None:
        """A peer without room is asked again and again, more and more rarely, as long as it answers."""
        session = self.shut()
        asked: list[float] = []
        while len(asked) < 12:
            due = session.next_wakeup()
            assert due is not None
            session.wake(due)
            asked += [due for command, _, _ in said(session, due) if command == ASK]
            session.receive(pack_header(CONVERSATION, TELL, 0, 0, 0, 0, 0, 0), due)
        self.assertEqual(session.events(), [])
        pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
        self.assertEqual((asked[0], pauses[0]), (ASK_AFTER_S, 1.5 * ASK_AFTER_S))
        self.assertEqual(pauses[-1], MOST_ASK_AFTER_S)
        now = asked[-1]
        session.receive(pack_header(CONVERSATION, TELL, 0, 5, 0, 0, 0, 0), now)
        self.assertEqual([command for command, _, _ in said(session, now)], [PUSH])

    def test_shut_and_silent(self) -> None:
        """One that does not answer is lost."""
        self.assertEqual(time_of_loss(self.shut(), 0.0), ASK_AFTER_S + UNANSWERED_S)

    def test_must_take(self) -> None:
        """Where a peer must always take what it is sent, one without room is lost, though it lives."""
        session = make(window=0)
        session.give_up_after(60.0)
        session.write(b"data")
        session.to_send(0.0)
        for second in range(60):
            self.assertEqual(session.events(), [])
            session.wake(float(second))
            session.to_send(float(second))
            session.receive(pack_header(CONVERSATION, TELL, 0, 0, 0, 0, 0, 0), float(second))
        session.wake(60.0)
        self.assertEqual(session.events(), [SessionLost()])

    def test_room_in_time(self) -> None:
        """One that has room again in time gets as long again to acknowledge what it is sent then."""
        session = make(window=0)
        session.give_up_after(60.0)
        session.write(b"data")
        session.to_send(0.0)
        session.receive(pack_header(CONVERSATION, TELL, 0, 5, 0, 0, 0, 0), 59.0)
        self.assertEqual([command for command, _, _ in said(session, 59.0)], [PUSH])
        session.wake(61.0)
        self.assertEqual(session.events(), [])

    def test_asked(self) -> None:
        """Who is asked tells his window."""
        session = make()
        session.receive(pack_header(CONVERSATION, ASK, 0, 9, 0, 0, 0, 0), 0.0)
        self.assertEqual(said(session, 0.0), [(TELL, 0, 1024)])
        self.assertEqual(said(session, 0.0), [])

    def test_forged_conversation(self) -> None:
        """Datagrams of other conversations change nothing."""
        session = make()
        session.write(b"data")
        session.to_send(0.0)
        for other in (0, CONVERSATION ^ 1, 0xFFFFFFFF):
            for command in (PUSH, ACK, ASK, TELL):
                session.receive(pack_header(other, command, 0, 0, 0, 0, 1, 0), 0.1)
        self.assertEqual((said(session, 0.1), session.read(), session.is_settled), ([], b"", False))
        self.assertEqual(session.heard_at, 0.0)

    def test_too_long(self) -> None:
        """A datagram longer than any that is sent is ignored."""
        session = make()
        session.receive(push(0, bytes(MOST_DATAGRAM_BYTES)), 0.0)
        self.assertEqual(said(session, 0.0), [])

    def test_bounded(self) -> None:
        """However much a peer sends, no more is held than the window has room for."""
        session = KcpSession(CONVERSATION, evolve(BARE, receive_window=16), 0.0)
        for number in itertools.chain(range(1, 2000), range(2000)):
            session.receive(push(number, bytes(1000)), 0.0)
        self.assertLessEqual(len(session.read()), 17 * _PAYLOAD_BYTES)
        self.assertLessEqual(len(said(session, 0.0)), 17)

    def test_silence(self) -> None:
        """Two ends with nothing to say ask each other for a word now and then, and stay."""
        line = Line(FRP_SERVER, LineWeather(loss=0.2), seed=3)
        line.ends[0].write(b"hello")
        line.run(1.0)
        before = sum(line.sent)
        line.run(20 * ASK_AFTER_SILENCE_S)
        self.assertEqual(line.events, [[], []])
        self.assertLess(sum(line.sent) - before, 6 * 20)

    def test_nobody_there(self) -> None:
        """A peer that answers no question is gone, though nothing was written that it must acknowledge."""
        session = KcpSession(CONVERSATION, evolve(FRP_SERVER, has_prefix=False), 0.0)
        asked = 0
        while not (events := session.events()):
            now = session.next_wakeup()
            assert now is not None
            session.wake(now)
            asked += len(session.to_send(now))
        self.assertEqual(events, [SessionLost()])
        self.assertEqual(now, ASK_AFTER_SILENCE_S + UNANSWERED_S)
        self.assertEqual(asked, UNANSWERED_S / SILENCE_ASK_AGAIN_S)

    def test_answered_late(self) -> None:
        """One word of the peer is enough, whenever it comes."""
        session = KcpSession(CONVERSATION, evolve(FRP_SERVER, has_prefix=False), 0.0)
        for word_at in (59.0, 118.0, 177.0):
            while (now := session.next_wakeup() or 0.0) < word_at:
                session.wake(now)
                session.to_send(now)
            session.receive(pack_header(CONVERSATION, TELL, 0, 128, 0, 0, 0, 0), word_at)
        self.assertEqual(session.events(), [])

    def test_time_goes_back(self) -> None:
        """Time that goes back is no time that passes."""
        session = make()
        session.write(b"data")
        session.to_send(10.0)
        session.wake(5.0)
        due = session.next_wakeup()
        assert due is not None
        self.assertGreater(due, 10.0)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(PUSH - 1, TELL + 1),
                st.sampled_from([0, 1, 31, 65535]),
                st.sampled_from([0, 1, 5, 1 << 31, (1 << 32) - 1]),
                st.sampled_from([0, 1, 2, 3, 50, 1 << 31, (1 << 32) - 1]),
                st.sampled_from([0, 1, 2, 50, 1 << 31, (1 << 32) - 1]),
                st.binary(max_size=30),
                st.integers(0, 60),
            ),
            max_size=30,
        )
    )
    def test_any_segments(self, found: list[tuple[int, int, int, int, int, bytes, int]]) -> None:
        """Whatever a peer says, cut off anywhere, it raises nothing, and what is held stays bounded."""
        session = KcpSession(CONVERSATION, FRP_TUNNEL, 0.0)
        session.write(bytes(5000))
        now = 0.0
        for command, window, stamp, number, expected, data, cut in found:
            header = pack_header(CONVERSATION, command, 0, window, stamp, number, expected, len(data))
            session.receive((header + data)[: cut or None], now)
            session.to_send(now)
            session.wake(now)
            now += 0.05
        self.assertLessEqual(session.unconfirmed_bytes, 5000)
        self.assertLessEqual(len(session.read()), 30 * 30)
