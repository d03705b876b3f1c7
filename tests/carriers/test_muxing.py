"""Mux links over legs in memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

from attrs import define, field, frozen
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.carriers.muxing import CLOSING_S, SLOW_AFTER_S, MuxLink, MuxRole, MuxStreamLeg
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import (
    ILegAcceptor,
    ILegReceiver,
    IMuxedLeg,
    IPiecesReceiver,
    IStreamLeg,
    IStreamPath,
)
from relaykit.sansio.contract import Buffer
from relaykit.sansio.yamux.frames import HEADER_BYTES
from relaykit.sansio.yamux.outbox import FLUSH_BYTES, HIGH_WATER_BYTES, PIECE_BYTES
from relaykit.sansio.yamux.session import (
    ACCEPT_BACKLOG,
    CLOSE_TIMEOUT_S,
    LINGER_S,
    MOST_FRAMES,
    OPEN_TIMEOUT_S,
)
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES
from relaykit.sansio.yamux.timing import PING_TIMEOUT_S
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.timer import PORTION_S
from relaykit.values import Ended, Origin
from tests.sansio.yamux.dialogue import data, fin, ping, rst, syn


@implementer(ILegAcceptor)
@define
class Accepting:
    """Keeps the legs that it is given."""

    legs: list[IStreamLeg] = field(factory=list)
    origins: list[Origin] = field(factory=list)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self.legs.append(leg)
        self.origins.append(origin)


@implementer(ILegAcceptor)
@define
class KnowingLink(Accepting):
    """Knows the link whose legs it takes, as a server does."""

    link: MuxLink = field(kw_only=True)


@implementer(ILegAcceptor)
class Failing:
    """Has a defect."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        raise ZeroDivisionError("a defect")


@implementer(ILegReceiver)
class Echo:
    """Sends back what it gets, and the end."""

    def __init__(self, leg: IStreamLeg) -> None:
        self.leg = leg
        self.lost: Ended | None = None
        leg.attach(self)

    def data_received(self, data: Buffer) -> None:
        self.leg.write(data)

    def end_received(self) -> None:
        self.leg.finish_writing()

    def leg_lost(self, reason: Ended) -> None:
        self.lost = reason


@implementer(ILegReceiver)
class Defective(RecordingReceiver):
    """Fails at the first bytes."""

    def data_received(self, data: Buffer) -> None:
        raise ZeroDivisionError("a defect")


@implementer(IPiecesReceiver)
class TakingPieces(RecordingReceiver):
    """Notes the sizes of what it gets together."""

    def __init__(self, leg: IStreamLeg) -> None:
        self.together: list[list[int]] = []
        super().__init__(leg)

    def pieces_received(self, pieces: Sequence[Buffer]) -> None:
        self.together.append(list(map(len, pieces)))
        for piece in pieces:
            self.data_received(piece)


@frozen
class Line:
    """Recognizes a line."""

    limit: int = 16

    def feed(self, data: bytes) -> tuple[bytes, int] | None:
        at = data.find(b"\n")
        return None if at < 0 else (data[:at], at + 1)


@implementer(IPushProducer)
class Producer:
    """Notes whether it is paused."""

    def __init__(self) -> None:
        self.paused = False
        self.changes = 0

    def pauseProducing(self) -> None:
        self.paused = True
        self.changes += 1

    def resumeProducing(self) -> None:
        self.paused = False
        self.changes += 1

    def stopProducing(self) -> None:
        raise AssertionError("nobody stops a producer here")


class LinkTestCase(SynchronousTestCase):
    """A client's and a server's mux link, connected."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.clock = Clock()
        self.lower_near, self.lower_far = self.network.pair()
        self.near = MuxLink(self.lower_near, MuxRole.CLIENT, self.network, self.clock)
        self.far = MuxLink(self.lower_far, MuxRole.SERVER, self.network, self.clock)
        self.acceptor = Accepting()
        self.far.accept_legs(self.acceptor)
        self.near.start()
        self.far.start()

    def tearDown(self) -> None:
        """However a test ends, a link that is closed leaves no timer."""
        self.near.close()
        self.far.close()
        self.network.flush()
        self.network.expire_linger()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def open(self, urgent: bool = False) -> MuxStreamLeg:
        """A new leg of the near side."""
        leg = self.successResultOf(self.near.open_leg(urgent))
        assert isinstance(leg, MuxStreamLeg)
        return leg

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, with a network that is quick enough for pings."""
        while seconds > 0:
            self.clock.advance(min(seconds, 5.0))
            self.network.flush()
            seconds -= 5.0

    def watch_output(self) -> list[list[bytes]]:
        """What goes down from now on, a list for each call."""
        calls: list[list[bytes]] = []
        original = MemoryLeg.write_sequence

        def write_sequence(leg: MemoryLeg, pieces: Sequence[Buffer]) -> None:
            calls.append([bytes(piece) for piece in pieces])
            original(leg, pieces)

        self.patch(MemoryLeg, "write_sequence", write_sequence)
        return calls

    def pair(self) -> tuple[MuxStreamLeg, MuxStreamLeg]:
        """Both ends of a new stream."""
        near = self.open()
        self.network.flush()
        far = self.acceptor.legs[-1]
        assert isinstance(far, MuxStreamLeg)
        return near, far


class RawTestCase(SynchronousTestCase):
    """A server's mux link whose peer is played byte by byte."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.clock = Clock()
        self.raw, lower = self.network.pair()
        self.link = MuxLink(lower, MuxRole.SERVER, self.network, self.clock)
        self.acceptor = Accepting()
        self.link.accept_legs(self.acceptor)
        self.link.start()
        self.received = RecordingReceiver(self.raw)

    def feed(self, *content: bytes) -> None:
        """Sends bytes to the link."""
        self.raw.write(b"".join(content))
        self.network.flush()

    def answers(self) -> bytes:
        """Takes what the link sent."""
        content, self.received.data = self.received.data, b""
        return content


class LegTests(LinkTestCase):
    """Tests for the legs of a link."""

    def test_interfaces(self) -> None:
        """The link is a path and its legs are muxed legs."""
        near, far = self.pair()
        for leg in (near, far):
            verifyObject(IMuxedLeg, leg)
        verifyObject(IStreamPath, self.near)

    def test_addresses(self) -> None:
        """A stream has the addresses of its link, and so has its origin."""
        near, far = self.pair()
        self.assertEqual((near.peer, near.host), (self.lower_near.peer, self.lower_near.host))
        self.assertEqual(self.acceptor.origins, [Origin(far.peer, far.host)])

    def test_there_and_back(self) -> None:
        """Bytes and the end pass in both directions, and then both ends are gone in order."""
        near, far = self.pair()
        receiver = RecordingReceiver(near)
        echo = Echo(far)
        near.write(b"hello, ")
        near.write_sequence([b"wor", bytearray(b"ld"), memoryview(b"!")])
        self.network.flush()
        self.assertEqual((receiver.data, receiver.ended), (b"hello, world!", False))
        near.finish_writing()
        self.network.flush()
        self.assertEqual((receiver.ended, receiver.lost, echo.lost), (True, Ended.FINISHED, Ended.FINISHED))

    def test_pieces_together(self) -> None:
        """Payload of one stream that arrived in a row is told at once to who can use that; order is kept."""
        near, far = self.pair()
        other, other_far = self.pair()
        receiver, other_receiver = TakingPieces(far), RecordingReceiver(other_far)
        for leg, letter in ((near, b"a"), (near, b"b"), (other, b"x"), (other, b"y"), (near, b"c")):
            leg.write(letter * 3000)
            self.near._flush()
        self.network.flush()
        self.assertEqual(receiver.data, b"a" * 3000 + b"b" * 3000 + b"c" * 3000)
        self.assertEqual(receiver.together, [[3000, 3000]])
        self.assertEqual((other_receiver.data, other_receiver.pieces), (b"x" * 3000 + b"y" * 3000, 2))
        self.assertEqual(far._stream.consumed_bytes, 9000)

    def test_lent_bytes(self) -> None:
        """What was written may be overwritten afterwards."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        lent = bytearray(b"before")
        near.write(memoryview(lent))
        lent[:] = b"after!"
        self.network.flush()
        self.assertEqual(receiver.data, b"before")

    def test_write_before_accepted(self) -> None:
        """A leg may be written to at once; its bytes are there when it is accepted."""
        near = self.open()
        near.write(b"first\nsecond")
        self.network.flush()
        (far,) = self.acceptor.legs
        self.assertEqual(self.successResultOf(far.peek(Line())), b"first")
        self.assertEqual(self.successResultOf(far.take(Line())), b"first")
        self.assertEqual(RecordingReceiver(far).data, b"second")

    def test_much(self) -> None:
        """A transfer of many windows arrives whole, in order, while the sender is held back."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        producer = Producer()
        near.registerProducer(producer, True)
        sent = 0
        for turn in range(60):
            while not producer.paused:
                near.write(turn.to_bytes(1, "big") * PIECE_BYTES)
                sent += PIECE_BYTES
            self.network.turn()
        self.network.flush()
        self.assertEqual(len(receiver.data), sent)
        self.assertGreater(sent, 10 * INITIAL_WINDOW_BYTES)
        self.assertEqual(receiver.data, bytes(sorted(receiver.data)))
        self.assertGreater(producer.changes, 20)

    def test_credit_is_for_what_is_read(self) -> None:
        """A paused receiver stops its sender after a window; resuming lets it go on."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        far.pauseProducing()
        near.write(bytes(INITIAL_WINDOW_BYTES + 1000))
        self.network.flush()
        self.assertEqual(near._stream.queued_bytes, 1000)
        self.assertEqual(receiver.data, b"")
        far.resumeProducing()
        self.network.flush()
        self.assertEqual(len(receiver.data), INITIAL_WINDOW_BYTES + 1000)

    def test_small_parts_do_not_cost_memory(self) -> None:
        """A window full of single bytes, held for a paused receiver, is kept in few parts."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        far.pauseProducing()
        for _ in range(3000):
            near.write(b"x")
            self.near._flush()
        self.network.flush()
        self.assertLess(len(far._held), 600)
        far.resumeProducing()
        self.network.flush()
        self.assertEqual(receiver.data, b"x" * 3000)

    def test_closing(self) -> None:
        """Closing sends what was written, ends both directions, and is done without waiting."""
        near, far = self.pair()
        receiver, other = RecordingReceiver(near), RecordingReceiver(far)
        near.write(b"bye")
        near.close()
        far.write(b"not delivered")
        self.assertIsNone(receiver.lost)
        self.network.flush()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))
        self.assertEqual((other.data, other.ended, other.lost), (b"bye", True, None))
        far.close()
        self.network.flush()
        self.assertEqual(other.lost, Ended.FINISHED)

    def test_closing_against_a_deaf_peer(self) -> None:
        """What a closed leg cannot send within the linger time is dropped."""
        near, far = self.pair()
        receiver, other = RecordingReceiver(near), RecordingReceiver(far)
        far.pauseProducing()
        near.write(bytes(2 * INITIAL_WINDOW_BYTES))
        near.close()
        self.network.flush()
        self.assertIsNone(receiver.lost)
        self.pass_time(LINGER_S)
        self.assertEqual(receiver.lost, Ended.TIMEOUT)
        far.resumeProducing()
        self.network.flush()
        self.assertEqual(other.lost, Ended.RESET)

    def test_aborting(self) -> None:
        """An aborted leg is lost at both ends; bytes on their way are not delivered to it."""
        near, far = self.pair()
        receiver, other = RecordingReceiver(near), RecordingReceiver(far)
        far.write(b"on their way")
        near.abort()
        self.assertIsNone(receiver.lost)
        self.network.flush()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.CANCELLED))
        self.assertEqual(other.lost, Ended.RESET)
        near.write(b"too late")
        near.close()
        near.abort()
        self.network.flush()

    def test_lost_leg_delivers_first(self) -> None:
        """What had arrived on a paused leg comes before its loss."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        far.pauseProducing()
        near.write(b"last words")
        near.close()
        far.finish_writing()
        self.network.flush()
        self.assertEqual((receiver.data, receiver.lost), (b"", None))
        far.resumeProducing()
        self.assertEqual(
            (receiver.data, receiver.ended, receiver.lost), (b"last words", True, Ended.FINISHED)
        )

    def test_congestion(self) -> None:
        """The producer of a leg is paused above the high-water mark and goes on below the low one."""
        near, far = self.pair()
        receiver = RecordingReceiver(far)
        far.pauseProducing()
        producer = Producer()
        near.registerProducer(producer, True)
        for size in (HIGH_WATER_BYTES, 1):
            self.assertFalse(producer.paused)
            near.write(bytes(size))
        self.assertTrue(producer.paused)
        self.network.flush()
        self.assertFalse(producer.paused)
        near.write(bytes(INITIAL_WINDOW_BYTES + HIGH_WATER_BYTES))
        self.network.flush()
        self.assertTrue(producer.paused)
        far.resumeProducing()
        self.network.flush()
        self.assertFalse(producer.paused)
        self.assertEqual(len(receiver.data), INITIAL_WINDOW_BYTES + 2 * HIGH_WATER_BYTES + 1)

    def test_defect_of_a_receiver(self) -> None:
        """A receiver that fails costs its own stream only."""
        near, far = self.pair()
        other_near, other_far = self.pair()
        defective = Defective(far)
        other = RecordingReceiver(other_far)
        receiver = RecordingReceiver(near)
        near.write(b"x")
        other_near.write(b"y")
        self.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((defective.lost, receiver.lost), (Ended.CANCELLED, Ended.RESET))
        self.assertEqual((other.data, other.lost), (b"y", None))

    def test_overtaking(self) -> None:
        """An urgent leg's bytes pass those that other legs have queued."""
        bulk, _ = self.pair()
        urgent = self.open(urgent=True)
        late, _ = self.pair()
        late.expedite()
        bulk.write(bytes(INITIAL_WINDOW_BYTES))
        urgent.write(b"urgent")
        late.write(b"late")
        calls = self.watch_output()
        self.network.turn()
        self.assertEqual([piece[12:] for piece in calls[0][:2]], [b"urgent", b"late"])


class PathTests(LinkTestCase):
    """Tests for the link as a path."""

    def test_favors_latency(self) -> None:
        """Nothing waits below that another stream's output could not overtake."""
        asked: list[MemoryLeg] = []
        self.patch(MemoryLeg, "favor_latency", lambda leg: asked.append(leg))
        near, _ = self.network.pair()
        link = MuxLink(near, MuxRole.CLIENT, self.network, self.clock)
        link.start()
        self.assertEqual(asked, [near])
        link.close()
        self.network.flush()

    def test_one_write_a_turn(self) -> None:
        """What many legs write in one turn goes down in one piece of work."""
        legs = [self.open() for _ in range(50)]
        self.network.flush()
        calls = self.watch_output()
        for leg in legs:
            leg.write(b"request")
        self.network.turn()
        self.assertEqual([len(pieces) for pieces in calls], [50])

    def test_paused_below(self) -> None:
        """While the leg below is full nothing is taken from the streams, so that urgent bytes overtake."""
        leg, far = self.pair()
        receiver = RecordingReceiver(far)
        self.near.pauseProducing()
        leg.write(b"bulk")
        self.network.flush()
        self.assertEqual((leg._stream.queued_bytes, receiver.data), (4, b""))
        self.near.resumeProducing()
        self.network.flush()
        self.assertEqual(receiver.data, b"bulk")

    def test_output_below_is_bounded(self) -> None:
        """A link that takes nothing holds at most one flush above its own mark; the rest stays queued."""
        legs = [self.open() for _ in range(20)]
        self.network.flush()
        for leg in legs:
            leg.write(bytes(INITIAL_WINDOW_BYTES))
        self.lower_far._silent = False
        self.lower_far.pauseProducing()
        for _ in range(20):
            self.network.turn()
        self.assertLessEqual(self.lower_near.queued, 64 * 1024 + FLUSH_BYTES + 4096)
        self.lower_far.resumeProducing()

    def test_slow_link(self) -> None:
        """A link that took nothing for a while gets little at once, and in short turns; a fast one much."""
        leg, far = self.pair()
        RecordingReceiver(far)
        self.network.flush()
        calls = self.watch_output()
        for seconds, turn_bytes in ((2 * SLOW_AFTER_S, PIECE_BYTES), (SLOW_AFTER_S / 2, FLUSH_BYTES)):
            self.near.pauseProducing()
            leg.write(bytes(FLUSH_BYTES))
            self.clock.advance(seconds)
            self.near.resumeProducing()
            calls.clear()
            self.network.turn()
            self.assertEqual(sum(map(len, calls[0])), HEADER_BYTES + turn_bytes)
            self.network.flush()

    def test_many_users(self) -> None:
        """Two hundred streams at once each get their own bytes back."""
        pairs = [self.pair() for _ in range(200)]
        for _, far in pairs:
            Echo(far)
        receivers = [RecordingReceiver(near) for near, _ in pairs]
        for number, (near, _) in enumerate(pairs):
            near.write(number.to_bytes(2, "big") * 5000)
            near.finish_writing()
        self.network.flush()
        for number, receiver in enumerate(receivers):
            self.assertEqual(receiver.data, number.to_bytes(2, "big") * 5000)
            self.assertEqual(receiver.lost, Ended.FINISHED)

    def test_refused_without_acceptor(self) -> None:
        """A side that accepts no legs resets those that the peer opens."""
        leg = self.successResultOf(self.far.open_leg(False))
        receiver = RecordingReceiver(leg)
        self.network.flush()
        self.assertEqual(receiver.lost, Ended.RESET)

    def test_defect_of_the_acceptor(self) -> None:
        """An acceptor that fails costs the stream that it was given."""
        self.far.accept_legs(Failing())
        receiver = RecordingReceiver(self.open())
        self.network.flush()
        self.assertEqual(receiver.lost, Ended.RESET)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_limit(self) -> None:
        """Streams beyond the limit are refused; those that are open live on."""
        near, far = self.pair()
        kept = RecordingReceiver(far)
        self.far.restrict(1, 10, 1 << 20)
        refused = RecordingReceiver(self.open())
        near.write(b"still here")
        self.network.flush()
        self.assertEqual((kept.data, refused.lost), (b"still here", Ended.RESET))

    def test_accepted_late(self) -> None:
        """A leg that is not accepted at once is one of a few hundred; the others of the peer have to wait."""
        self.far.accept_legs(self.acceptor, at_once=False)
        legs = [self.open() for _ in range(ACCEPT_BACKLOG + 2)]
        self.network.flush()
        self.assertEqual(len(self.acceptor.legs), ACCEPT_BACKLOG)
        legs[0].abort()
        accepted = self.acceptor.legs[1]
        assert isinstance(accepted, MuxStreamLeg)
        accepted.accept()
        self.network.flush()
        self.assertEqual(len(self.acceptor.legs), ACCEPT_BACKLOG + 2)

    def test_closing(self) -> None:
        """Closing sends the last words of the legs, then loses all of them."""
        near, far = self.pair()
        receiver, other = RecordingReceiver(near), RecordingReceiver(far)
        lost = self.near.when_lost()
        near.write(b"goodbye")
        self.near.close()
        self.near.close()
        self.assertIsNone(receiver.lost)
        self.network.flush()
        self.assertEqual(other.data, b"goodbye")
        self.assertEqual((receiver.lost, other.lost), (Ended.STOPPED, Ended.RESET))
        self.assertEqual(self.successResultOf(lost), Ended.STOPPED)
        self.assertEqual(self.successResultOf(self.far.when_lost()), Ended.FINISHED)
        self.failureResultOf(self.near.open_leg(False), ConnectionFailed)

    def test_cut(self) -> None:
        """When the leg below is lost all legs are, each once, and the path says why."""
        pairs = [self.pair() for _ in range(3)]
        receivers = [RecordingReceiver(leg) for pair in pairs for leg in pair]
        lost = self.far.when_lost()
        self.lower_near.cut()
        self.network.flush()
        self.assertEqual({receiver.lost for receiver in receivers}, {Ended.RESET})
        self.assertEqual(self.successResultOf(lost), Ended.RESET)
        self.failureResultOf(self.far.open_leg(False), ConnectionFailed)

    def test_end_of_the_link(self) -> None:
        """A peer that ends the link loses its streams; this side closes its half as well."""
        _, far = self.pair()
        receiver = RecordingReceiver(far)
        self.lower_near.finish_writing()
        self.network.flush()
        self.assertEqual(receiver.lost, Ended.RESET)
        self.assertEqual(self.successResultOf(self.far.when_lost()), Ended.FINISHED)

    def test_nothing_left_behind(self) -> None:
        """A link that is over is gone with its legs: no garbage is left."""
        gone = weakref.ref(self.near)
        self.addCleanup(gc.enable)
        gc.disable()
        self.near.accept_legs(KnowingLink(link=self.near))
        RecordingReceiver(self.pair()[0])
        self.near.close()
        self.network.flush()
        self.network.expire_linger()
        self.near = self.far
        self.assertIsNone(gone())

    def test_keepalive(self) -> None:
        """Both sides ping every thirty seconds and live on the answers."""
        self.network.flush()
        for _ in range(10):
            self.clock.advance(30.0)
            self.network.flush()
        self.assertFalse(self.near.session.over or self.far.session.over)
        self.assertEqual(self.near.session.round_trip_s, 0.0)

    def test_round_trip(self) -> None:
        """The distance of the peer is measured on request, whatever the pause between pings."""
        self.network.flush()
        self.assertIsNone(self.near.round_trip_s)
        self.near.measure_round_trip()
        self.clock.advance(0.04)
        self.network.flush()
        self.assertEqual(self.near.round_trip_s, 0.0)

    def test_sign_of_life(self) -> None:
        """A peer that is asked for a sign of life gives one at once, whether or not a ping is under way."""
        self.network.flush()
        signs = [self.far.ping(), self.far.ping()]
        for sign in signs:
            self.assertNoResult(sign)
        self.network.flush()
        for sign in signs:
            self.assertIsNone(self.successResultOf(sign))

    def test_no_sign_of_life(self) -> None:
        """A peer that is gone gives none, ever."""
        self.network.flush()
        self.lower_near.pauseProducing()
        sign = self.far.ping()
        self.pass_time(20)
        self.assertNoResult(sign)

    def test_window_grows(self) -> None:
        """A stream that is read as fast as it comes gets a larger window."""
        near, far = self.pair()
        RecordingReceiver(far)
        for _ in range(40):
            near.write(bytes(INITIAL_WINDOW_BYTES))
            self.network.flush()
        self.assertGreater(far._stream.window_bytes, INITIAL_WINDOW_BYTES)

    def test_answer_to_what_was_asked(self) -> None:
        """A round trip begins when it is asked for: an answer to an earlier ping is none to this question."""
        before = self.far.round_trip()
        self.far.measure_round_trip()
        self.network.turn()
        after = self.far.round_trip()
        self.assertEqual(self.far.session.begun_pings, 1)
        while not before.called:
            self.network.turn()
        self.assertNoResult(after)
        self.network.flush()
        self.successResultOf(after)
        self.assertEqual(self.far.session.answered_pings, 2)

    def test_no_answer(self) -> None:
        """What is said meanwhile is no answer, and a link that is lost gives none."""
        self.network.flush()
        answered = self.far.round_trip()
        self.far.lower.abort()
        self.network.flush()
        self.assertNoResult(answered)


class PortionTests(RawTestCase):
    """Tests for peers that send more than can be dealt with in their portion of a turn."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = 0

        def seconds() -> float:
            """Each look at the clock finds that half of a portion is over."""
            self.taken += 1
            return self.taken * PORTION_S / 2

        self.patch(self.clock, "seconds", seconds)
        self.raw.write(syn(1))
        self.network.turn()

    def test_portions(self) -> None:
        """Each turn takes its portion, in order; the leg below is not read before all of it is dealt with."""
        received = RecordingReceiver(self.acceptor.legs[0])
        count = 20 * MOST_FRAMES
        self.raw.write(b"".join(data(1, b"%06d" % number) for number in range(count)))
        self.raw.write(fin(1))
        self.network.turn()
        portions = [len(received.data)]
        while not received.ended:
            self.raw.write(ping(1))
            self.assertGreater(self.raw.queued, 0)
            self.network.turn()
            portions.append(len(received.data) - sum(portions))
        self.assertEqual(received.data, b"".join(b"%06d" % number for number in range(count)))
        self.assertGreater(len(portions), 5)
        self.assertLessEqual(max(portions), 4 * MOST_FRAMES * 6)
        self.network.flush()
        self.assertEqual(self.raw.queued, 0)

    def test_lost_meanwhile(self) -> None:
        """What came before the loss of the leg below is dealt with before it is told."""
        received = RecordingReceiver(self.acceptor.legs[0])
        self.raw.write(data(1, b"x") * (20 * MOST_FRAMES))
        self.network.turn()
        self.raw.close()
        lost = self.link.when_lost()
        self.network.flush()
        self.assertEqual(len(received.data), 20 * MOST_FRAMES)
        self.successResultOf(lost)

    def test_closed_meanwhile(self) -> None:
        """A link that is closed leaves the rest alone."""
        received = RecordingReceiver(self.acceptor.legs[0])
        self.raw.write(data(1, b"x") * (20 * MOST_FRAMES))
        self.network.turn()
        self.link.close()
        self.network.flush()
        self.assertLess(len(received.data), 20 * MOST_FRAMES)
        self.raw.close()
        self.network.flush()
        self.successResultOf(self.link.when_lost())


class PeerTests(RawTestCase):
    """Tests against peers that are slow, silent or wrong."""

    def tearDown(self) -> None:
        self.link.close()
        self.network.flush()
        self.network.expire_linger()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent_peer(self) -> None:
        """A peer that does not answer pings is dropped, whatever is queued for it."""
        self.feed(syn(1))
        (leg,) = self.acceptor.legs
        receiver = RecordingReceiver(leg)
        leg.write(bytes(4 * INITIAL_WINDOW_BYTES))
        self.network.flush()
        self.answers()
        self.clock.advance(30.0)
        self.network.flush()
        self.assertEqual(self.answers(), ping(0))
        self.clock.advance(PING_TIMEOUT_S)
        self.network.flush()
        self.assertEqual(receiver.lost, Ended.TIMEOUT)
        self.assertEqual(self.successResultOf(self.link.when_lost()), Ended.TIMEOUT)
        self.assertEqual(self.received.lost, Ended.RESET)

    def test_peer_that_accepts_nothing(self) -> None:
        """A stream that is not accepted in time ends the link."""
        self.successResultOf(self.link.open_leg(False))
        self.network.flush()
        for value in range(3):
            self.clock.advance(25.0)
            self.network.flush()
            self.feed(ping(value, 2))
        self.assertGreaterEqual(self.clock.seconds(), OPEN_TIMEOUT_S)
        self.assertEqual(self.successResultOf(self.link.when_lost()), Ended.TIMEOUT)

    def test_peer_that_never_ends(self) -> None:
        """A closed stream that the peer keeps open is reset after five minutes."""
        self.feed(syn(1))
        (leg,) = self.acceptor.legs
        leg.close()
        self.network.flush()
        self.assertTrue(self.answers().endswith(fin(1)))
        for value in range(11):
            self.clock.advance(30.0)
            self.network.flush()
            self.feed(ping(value, 2))
        self.assertGreater(self.clock.seconds(), CLOSE_TIMEOUT_S)
        self.assertIn(rst(1), self.answers())

    def test_wrong_peer(self) -> None:
        """A peer that breaks the rules is told so and loses the link; what came before counts."""
        self.feed(syn(1))
        (leg,) = self.acceptor.legs
        receiver = RecordingReceiver(leg)
        self.answers()
        self.feed(data(1, b"good"), b"HTTP/1.1 200 OK")
        self.assertEqual((receiver.data, receiver.lost), (b"good", Ended.PROTOCOL_ERROR))
        self.assertEqual(self.answers(), bytes.fromhex("000300000000000000000001"))
        self.assertTrue(self.received.ended)
        self.raw.close()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.link.when_lost()), Ended.PROTOCOL_ERROR)

    def test_peer_that_is_dead_at_the_end(self) -> None:
        """Closing a link whose peer takes nothing any more takes a moment, not the linger time of its leg."""
        self.feed(syn(1))
        (leg,) = self.acceptor.legs
        leg.write(bytes(INITIAL_WINDOW_BYTES))
        self.raw.stall()
        self.network.flush()
        self.link.close()
        self.network.flush()
        lost = self.link.when_lost()
        self.assertNoResult(lost)
        self.clock.advance(CLOSING_S)
        self.network.flush()
        self.assertIs(self.successResultOf(lost), Ended.STOPPED)

    def test_peer_that_gives_up(self) -> None:
        """A go-away with an error ends the link."""
        self.feed(syn(1), bytes.fromhex("000300000000000000000002"))
        self.raw.close()
        self.network.flush()
        self.assertEqual(self.successResultOf(self.link.when_lost()), Ended.PROTOCOL_ERROR)

    def test_answers_at_once(self) -> None:
        """A ping and a new stream are answered in the turn in which they came."""
        self.raw.write(ping(7) + syn(1))
        self.network.turn()
        self.network.turn()
        self.assertEqual(self.answers(), ping(7, 2) + bytes.fromhex("000100020000000100000000"))
