"""What every leg does with input, tested on legs in memory."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from relaykit.interfaces import ILegReceiver, IStreamLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended


@frozen
class Line:
    """Recognizes a line; one that begins with ``!`` is against the rules."""

    limit: int = 16

    def feed(self, data: bytes) -> tuple[bytes, int] | None:
        if data.startswith(b"!"):
            raise RemoteProtocolError("no shouting")
        at = data.find(b"\n")
        return None if at < 0 else (data[:at], at + 1)


@implementer(ILegReceiver)
class HandingOn(RecordingReceiver):
    """Takes the first byte and hands the leg on to another receiver."""

    def __init__(self, leg: IStreamLeg, to: ILegReceiver) -> None:
        super().__init__()
        self.leg = leg
        self.to = to

    def data_received(self, data: Buffer) -> None:
        super().data_received(data[:1])
        self.leg.unread(bytes(data[1:]))
        self.leg.attach(self.to)


class ReceivingTests(SynchronousTestCase):
    """Attaching, pausing, handing on."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.leg, self.peer = self.network.pair()

    def test_interface(self) -> None:
        """A leg provides what IStreamLeg promises."""
        verifyObject(IStreamLeg, self.leg)

    def test_small_parts(self) -> None:
        """A leg that is not read holds many small parts as a few; whoever reads gets all of them."""
        for number in range(1000):
            self.leg._arrived(bytes([number % 256]))
        self.assertLess(len(self.leg._held), 300)
        receiver = RecordingReceiver()
        self.leg.attach(receiver)
        self.assertEqual(receiver.data, bytes(number % 256 for number in range(1000)))

    def test_paused_until_attached(self) -> None:
        """Nothing is read before somebody wants it; then all of it comes in order."""
        self.peer.write(b"one")
        self.network.flush()
        self.assertEqual(self.peer.queued, 3)
        self.peer.write(b"two")
        receiver = RecordingReceiver(self.leg)
        self.network.flush()
        self.assertEqual(receiver.data, b"onetwo")

    def test_pause_and_resume(self) -> None:
        """A paused leg delivers neither bytes nor the end; a resumed one both."""
        receiver = RecordingReceiver(self.leg)
        self.leg.pauseProducing()
        self.peer.write(b"late")
        self.peer.finish_writing()
        self.network.flush()
        self.assertEqual((receiver.data, receiver.ended), (b"", False))
        self.leg.resumeProducing()
        self.network.flush()
        self.assertEqual((receiver.data, receiver.ended), (b"late", True))

    def test_handed_on_inside_a_delivery(self) -> None:
        """A receiver puts bytes back and hands the leg on; the next one gets them, once."""
        second = RecordingReceiver()
        first = HandingOn(self.leg, second)
        self.leg.attach(first)
        self.peer.write(b"abc")
        self.peer.finish_writing()
        self.network.flush()
        self.assertEqual((first.data, second.data, second.ended), (b"a", b"bc", True))

    def test_handed_on_between_deliveries(self) -> None:
        """A leg that delivers is handed on as often as one likes: each gets what comes in its time."""
        first, second = RecordingReceiver(self.leg), RecordingReceiver()
        for receiver, data in ((first, b"a"), (second, b"b"), (second, b"c"), (first, b"d")):
            self.leg.attach(receiver)
            self.peer.write(data)
            self.network.flush()
        self.leg.attach(second)
        self.peer.finish_writing()
        self.network.flush()
        self.leg.cut()
        self.network.flush()
        self.assertEqual((first.data, first.ended, first.lost), (b"ad", False, None))
        self.assertEqual((second.data, second.ended, second.lost), (b"bc", True, Ended.RESET))

    def test_handed_on_while_paused(self) -> None:
        """A leg that was paused delivers to the next one what came meanwhile, and goes on."""
        first, second = RecordingReceiver(self.leg), RecordingReceiver()
        self.leg.pauseProducing()
        self.peer.write(b"held")
        self.network.flush()
        self.leg.attach(second)
        self.network.flush()
        self.peer.write(b" and late")
        self.network.flush()
        self.assertEqual((first.data, second.data), (b"", b"held and late"))

    def test_handed_on_after_the_end(self) -> None:
        """Whoever gets a leg whose peer has ended is told so, each anew."""
        receivers = [RecordingReceiver(self.leg), RecordingReceiver(), RecordingReceiver()]
        self.peer.finish_writing()
        self.network.flush()
        for receiver in receivers[1:]:
            self.leg.attach(receiver)
        self.assertEqual([each.ended for each in receivers], [True, True, True])

    def test_loss_is_told_late(self) -> None:
        """A loss before anybody receives is told to the first receiver, and to the one after it."""
        self.leg.cut(Ended.TIMEOUT)
        self.network.flush()
        first, second = RecordingReceiver(self.leg), RecordingReceiver()
        self.assertIs(first.lost, Ended.TIMEOUT)
        self.leg.attach(second)
        self.assertIs(second.lost, Ended.TIMEOUT)

    def test_bytes_before_the_loss(self) -> None:
        """What arrived before the loss is delivered, even to who was paused meanwhile."""
        receiver = RecordingReceiver(self.leg)
        self.leg.pauseProducing()
        self.leg.unread(b"held")
        self.leg.cut()
        self.network.flush()
        self.assertIsNone(receiver.lost)
        self.leg.resumeProducing()
        self.assertEqual((receiver.data, receiver.lost), (b"held", Ended.RESET))

    def test_close_silences(self) -> None:
        """After close nothing is delivered but the loss; the peer gets what was written and the end."""
        receiver, other = RecordingReceiver(self.leg), RecordingReceiver(self.peer)
        self.leg.write(b"bye")
        self.leg.close()
        self.peer.write(b"too late")
        self.network.flush()
        self.assertEqual((other.data, other.ended), (b"bye", True))
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))

    def test_one_producer(self) -> None:
        """A second producer, or one that pulls, is a defect of the caller."""
        self.assertRaises(LocalProtocolError, self.leg.registerProducer, self.peer, False)
        self.leg.registerProducer(self.peer, True)
        self.assertRaises(LocalProtocolError, self.leg.registerProducer, self.peer, True)
        self.leg.unregisterProducer()
        self.leg.registerProducer(self.peer, True)


class PrefixTests(SynchronousTestCase):
    """Looking at the first bytes."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.leg, self.peer = self.network.pair()

    def send(self, *pieces: bytes) -> None:
        """Lets the peer send pieces, each on its own."""
        for piece in pieces:
            self.peer.write(piece)
            self.network.flush()

    def test_every_cut(self) -> None:
        """However a prefix is cut, taking answers it and the rest is delivered once."""
        stream = b"HELLO\nworld"
        for cut in range(1, len(stream)):
            self.leg, self.peer = self.network.pair()
            taken = self.leg.take(Line())
            self.send(stream[:cut], stream[cut:])
            self.assertEqual(self.successResultOf(taken), b"HELLO")
            receiver = RecordingReceiver(self.leg)
            self.network.flush()
            self.assertEqual(receiver.data, b"world")

    def test_peek_leaves_all(self) -> None:
        """What was peeked at is delivered, too."""
        seen = self.leg.peek(Line())
        self.send(b"HEL", b"LO\nwo")
        self.assertEqual(self.successResultOf(seen), b"HELLO")
        receiver = RecordingReceiver(self.leg)
        self.send(b"rld")
        self.assertEqual(receiver.data, b"HELLO\nworld")

    def test_one_after_the_other(self) -> None:
        """An answer's callback may ask again, and attach, within the same input."""
        receiver = RecordingReceiver()
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await self.leg.peek(Line()))
            answers.append(await self.leg.take(Line()))
            self.leg.attach(receiver)

        done = Deferred.fromCoroutine(ask())
        self.send(b"a\nb\n")
        self.successResultOf(done)
        self.assertEqual((answers, receiver.data), ([b"a", b"a"], b"b\n"))

    def test_too_long(self) -> None:
        """More bytes than the limit without an answer are the peer's fault; they stay unread."""
        taken = self.leg.take(Line(limit=4))
        self.send(b"12")
        self.assertNoResult(taken)
        self.send(b"34")
        self.failureResultOf(taken, RemoteProtocolError)
        receiver = RecordingReceiver(self.leg)
        self.assertEqual(receiver.data, b"1234")

    def test_against_the_rules(self) -> None:
        """What the parser raises is the answer."""
        taken = self.leg.take(Line())
        self.send(b"!")
        self.failureResultOf(taken, RemoteProtocolError)

    def test_the_end_comes_first(self) -> None:
        """An end or a loss before the answer fails it with ConnectionFailed."""
        taken = self.leg.take(Line())
        self.peer.write(b"HEL")
        self.peer.finish_writing()
        self.network.flush()
        self.failureResultOf(taken, ConnectionFailed)
        other, _ = self.network.pair()
        taken = other.take(Line())
        other.cut()
        self.network.flush()
        self.failureResultOf(taken, ConnectionFailed)
        self.failureResultOf(other.take(Line()), ConnectionFailed)

    def test_closed_by_this_side(self) -> None:
        """Closing answers an open question, and one that is asked later."""
        taken = self.leg.take(Line())
        self.leg.close()
        self.failureResultOf(taken, ConnectionFailed)
        self.failureResultOf(self.leg.take(Line()), ConnectionFailed)

    def test_cancelled(self) -> None:
        """Cancelling stops the reading and loses nothing."""
        taken = self.leg.take(Line())
        self.send(b"HEL")
        taken.cancel()
        self.failureResultOf(taken, CancelledError)
        self.send(b"LO\n")
        self.assertEqual(self.peer.queued, 3)
        self.assertEqual(self.successResultOf(self.leg_answer()), b"HELLO")

    def leg_answer(self) -> Deferred[bytes]:
        """Asks for the line, and lets the network deliver what it needs."""
        taken: Deferred[bytes] = self.leg.take(Line())
        self.network.flush()
        return taken

    def test_misuse(self) -> None:
        """Asking twice at once, or after attach, is a defect of the caller."""
        self.leg.take(Line()).addErrback(lambda failure: None)
        self.assertRaises(LocalProtocolError, self.leg.take, Line())
        self.assertRaises(LocalProtocolError, self.leg.attach, RecordingReceiver())
        self.assertRaises(LocalProtocolError, self.other_asked)

    def other_asked(self) -> None:
        """Asks a leg that has a receiver."""
        RecordingReceiver(self.peer)
        self.peer.peek(Line())


class CreditTests(SynchronousTestCase):
    """What was held and then taken is told once, whatever is put back."""

    def test_released(self) -> None:
        """Bytes that were taken, delivered late or put back are released exactly once."""
        network = MemoryNetwork()
        leg, peer = network.pair()
        released: list[int] = []
        leg.__class__ = type(
            "Counting",
            (type(leg),),
            {"_released": lambda _leg, count: released.append(count), "__slots__": ()},
        )
        taken = leg.take(Line())
        peer.write(b"abc\nrest")
        network.flush()
        self.successResultOf(taken)
        self.assertEqual(sum(released), 4)
        leg.unread(b"abc\n")
        receiver = RecordingReceiver(leg)
        network.flush()
        self.assertEqual((receiver.data, sum(released)), (b"abc\nrest", 8))
