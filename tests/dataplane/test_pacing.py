"""Tests of legs that are held to budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.pacing import PacedLeg, Pacer, PolicedLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import IDatagramLeg, IForwarder, IStreamLeg
from relaykit.sansio.pacing import CREDIT_S, PIECE_S, Budget
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, RecordingProducer
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.values import LOST_LINGER_S, Address, Ended

KB = 1024
BURST_S = CREDIT_S + PIECE_S
RATES = (10 * KB, 1000 * KB, 20_000 * KB)


class PacedPairs:
    """Makes legs in memory that are held to budgets, and waits for as long as that takes them."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.pacer = Pacer(self.network.clock, self.network)

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two connected legs, each with budgets of its own."""
        near, far = self.network.pair()
        return (
            PacedLeg(near, [Budget(64_000 * KB), Budget(90_000 * KB)], self.pacer),
            PacedLeg(far, [Budget(80_000 * KB)], self.pacer),
        )

    async def until(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds."""
        for _ in range(1000):
            self.network.flush()
            if condition():
                return
            self.network.advance(0.001)
        raise AssertionError("what was waited for has not come")

    async def rest(self) -> None:
        """Returns when what the budgets allow has passed."""
        self.network.advance(0.2)

    async def linger(self) -> None:
        """Lets pass what a leg that is broken off may take to drop what its peer does not read."""
        self.network.advance(3 * LOST_LINGER_S)


class PacedLegTests(PacedPairs, LegTests, TestCase):
    """Paced legs do what all legs do."""


class CopyPacedTests(PacedPairs, ForwarderTests, TestCase):
    """Copying between paced legs."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()


class PacingTests(SynchronousTestCase):
    """What budgets do to the bytes of legs."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.pacer = Pacer(self.network.clock, self.network)

    def paced(self, *budgets: Budget) -> tuple[PacedLeg, MemoryLeg]:
        """A paced leg, and its peer, which is not."""
        near, far = self.network.pair(capacity=1 << 30)
        return PacedLeg(near, budgets, self.pacer), far

    def assert_paced(self, rate: float, count: int, seconds: float, burst_s: float = BURST_S) -> None:
        """Fails unless so many bytes are what a rate amounts to."""
        self.assertLessEqual(count, rate * (seconds + burst_s) + 1)
        self.assertGreaterEqual(count, rate * (seconds - burst_s))

    def test_output(self) -> None:
        """What is written goes out at the rate, from the first moment on."""
        for rate in RATES:
            leg, peer = self.paced(Budget(rate))
            received = RecordingReceiver(peer)
            leg.write(bytes(int(rate)))
            for seconds in (0.05, 0.5):
                self.network.advance(seconds)
                self.assert_paced(rate, len(received.data), seconds)
                received.data = b""
            leg.abort()
            self.network.flush()

    def test_input(self) -> None:
        """What arrives is delivered at the rate."""
        for rate in RATES:
            leg, peer = self.paced(Budget(rate))
            received = RecordingReceiver(leg)
            peer.write(bytes(int(rate)))
            for seconds in (0.05, 0.5):
                self.network.advance(seconds)
                self.assert_paced(rate, len(received.data), seconds)
                received.data = b""
            leg.abort()
            self.network.flush()

    def test_directions_share(self) -> None:
        """Both directions of all legs of a budget take what it has together, in equal parts."""
        budget = Budget(100 * KB)
        received = []
        for _ in range(3):
            leg, peer = self.paced(budget)
            received += [RecordingReceiver(leg), RecordingReceiver(peer)]
            leg.write(bytes(100 * KB))
            peer.write(bytes(100 * KB))
        self.network.advance(3.0)
        counts = [len(each.data) for each in received]
        self.assert_paced(100 * KB, sum(counts), 3.0)
        self.assertLess(max(counts) - min(counts), 100 * KB * 2 * BURST_S)

    def test_idle(self) -> None:
        """Who has nothing to send takes nothing from the others, and saves nothing up for later."""
        budget = Budget(100 * KB)
        (idle, idle_peer), (busy, busy_peer) = self.paced(budget), self.paced(budget)
        late, received = RecordingReceiver(idle_peer), RecordingReceiver(busy_peer)
        busy.write(bytes(400 * KB))
        self.network.advance(2.0)
        self.assert_paced(100 * KB, len(received.data), 2.0)
        idle.write(bytes(100 * KB))
        self.network.advance(0.5)
        self.assert_paced(50 * KB, len(late.data), 0.5)

    def test_several_budgets(self) -> None:
        """The narrowest of its budgets decides for a leg; the others have what it leaves of the wide one."""
        wide = Budget(100 * KB)
        narrow, narrow_peer = self.paced(wide, Budget(10 * KB))
        other, other_peer = self.paced(wide)
        slow, fast = RecordingReceiver(narrow_peer), RecordingReceiver(other_peer)
        narrow.write(bytes(400 * KB))
        other.write(bytes(400 * KB))
        self.network.advance(3.0)
        self.assert_paced(10 * KB, len(slow.data), 3.0, BURST_S * 3)
        self.assert_paced(90 * KB, len(fast.data), 3.0, BURST_S * 3)

    def test_smooth(self) -> None:
        """In no 10 ms pass more bytes than a burst may have, after an idle time neither."""
        leg, peer = self.paced(Budget(100 * KB))
        received = RecordingReceiver(peer)
        for idle_s in (0.0, 5.0):
            self.network.advance(idle_s)
            received.data = b""
            leg.write(bytes(50 * KB))
            for _ in range(40):
                self.network.advance(0.01)
                self.assertLessEqual(len(received.data), 100 * KB * (0.01 + BURST_S))
                received.data = b""
            self.network.advance(1.0)

    def test_backpressure(self) -> None:
        """The producer is paused while bytes wait, and the peer while what it sent does."""
        near, far = self.network.pair()
        leg, producer = PacedLeg(near, [Budget(100 * KB)], self.pacer), RecordingProducer()
        leg.registerProducer(producer, True)
        leg.write(bytes(20 * KB))
        self.assertTrue(producer.paused)
        self.network.advance(1.0)
        self.assertFalse(producer.paused)
        upstream = RecordingProducer()
        far.registerProducer(upstream, True)
        received = RecordingReceiver(leg)
        far.write(bytes(50 * KB))
        self.network.flush()
        far.write(bytes(100 * KB))
        self.network.flush()
        self.assertTrue(upstream.paused)
        self.network.advance(2.0)
        self.assertEqual((upstream.paused, len(received.data)), (False, 150 * KB))

    def test_no_timers_left(self) -> None:
        """A leg that is gone waits for nothing, and neither does the pacer."""
        leg, peer = self.paced(Budget(KB))
        received = RecordingReceiver(leg)
        leg.write(bytes(10 * KB))
        peer.write(bytes(10 * KB))
        self.network.flush()
        leg.abort()
        self.network.flush()
        self.assertEqual((received.lost, self.network.clock.getDelayedCalls()), (Ended.CANCELLED, []))

    def test_close_takes_its_time(self) -> None:
        """What was written before closing arrives whole, at the rate, and the end after it."""
        for end in (PacedLeg.close, PacedLeg.break_off, PacedLeg.finish_writing):
            leg, peer = self.paced(Budget(KB))
            received = RecordingReceiver(peer)
            leg.write(bytes(10 * KB))
            end(leg)
            self.network.advance(9.0)
            self.assertEqual(
                (len(received.data) < 10 * KB, received.ended, received.lost), (True, False, None)
            )
            self.network.advance(1.5)
            self.assertEqual((len(received.data), received.ended), (10 * KB, True))
            leg.abort()
            self.network.flush()

    def test_peer_takes_nothing(self) -> None:
        """A leg that is closed, or broken off, does not wait for ever for a peer that takes nothing."""
        for end, seconds in ((PacedLeg.close, FLUSH_LINGER_S), (PacedLeg.break_off, LOST_LINGER_S)):
            near, peer = self.network.pair()
            leg = PacedLeg(near, [Budget(1000 * KB)], self.pacer)
            received = RecordingReceiver(leg)
            leg.write(bytes(1000 * KB))
            self.network.advance(1.5)
            end(leg)
            self.network.advance(seconds - 0.1)
            self.assertIsNone(received.lost)
            self.network.advance(0.2)
            self.assertIs(received.lost, Ended.TIMEOUT)
            there = RecordingReceiver(peer)
            self.network.flush()
            self.assertIs(there.lost, Ended.RESET)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_peer_goes_on(self) -> None:
        """A peer that takes the rest after a while gets all of it."""
        near, peer = self.network.pair()
        leg = PacedLeg(near, [Budget(1000 * KB)], self.pacer)
        leg.write(bytes(1000 * KB))
        self.network.advance(1.5)
        leg.close()
        self.network.advance(FLUSH_LINGER_S - 1)
        received = RecordingReceiver(peer)
        self.network.advance(2.0)
        self.assertEqual((len(received.data), received.ended), (1000 * KB, True))
        peer.close()
        self.network.flush()

    def test_input_before_loss(self) -> None:
        """What had arrived when the peer was lost is delivered first, at the rate."""
        leg, peer = self.paced(Budget(10 * KB))
        received = RecordingReceiver(leg)
        peer.write(bytes(20 * KB))
        self.network.flush()
        peer.cut()
        self.network.advance(1.0)
        self.assertIsNone(received.lost)
        self.network.advance(1.5)
        self.assertEqual((len(received.data), received.lost), (20 * KB, Ended.RESET))

    def test_left_after_loss(self) -> None:
        """A leg whose peer was lost tells it though its owner does not want the rest."""
        leg, peer = self.paced(Budget(10 * KB))
        received = RecordingReceiver(leg)
        peer.write(bytes(20 * KB))
        self.network.flush()
        peer.cut()
        self.network.advance(1.0)
        leg.close()
        self.assertIsNone(received.lost)
        self.network.flush()
        self.assertIs(received.lost, Ended.RESET)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_defect(self) -> None:
        """A receiver with a defect costs its own leg; the others have their turns."""
        budget = Budget(100 * KB)
        (broken, broken_peer), (leg, peer) = self.paced(budget), self.paced(budget)
        receiver, received = RecordingReceiver(broken), RecordingReceiver(leg)
        broken_peer.write(bytes(20 * KB))
        peer.write(bytes(20 * KB))
        self.network.flush()
        receiver.ended = True
        with capturedLogs() as logged:
            self.network.advance(1.0)
        self.assertEqual(len(self.flushLoggedErrors(AssertionError)), 1)
        self.assertIn("is dropped", logged[0]["log_format"])
        self.assertEqual((receiver.lost, len(received.data)), (Ended.CANCELLED, 20 * KB))

    def test_repr(self) -> None:
        """The log names what is paced."""
        leg, _ = self.paced(Budget(KB))
        self.assertIn("PacedLeg on", repr(leg))


class Below:
    """A datagram leg that keeps what is sent on it."""

    peer = Address("192.0.2.1", 1)
    host = Address("192.0.2.2", 2)
    dropped = 3

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.calls: list[str] = []
        self.receiver: Any = None

    def attach(self, receiver: Any) -> None:
        self.receiver = receiver

    def send(self, data: Any) -> bool:
        self.sent.append(bytes(data))
        return True

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")


class PolicedLegTests(SynchronousTestCase):
    """Datagrams that are held to budgets."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.pacer = Pacer(self.network.clock, self.network)
        self.below = Below()
        self.leg: IDatagramLeg = PolicedLeg(self.below, [Budget(100 * KB)], self.pacer)  # type: ignore[arg-type]
        self.received = RecordingDatagrams(self.leg)

    def test_passes(self) -> None:
        """What is within the budgets passes both ways, as what else there is to a leg does."""
        self.assertTrue(self.leg.send(b"out"))
        self.below.receiver.datagram_received(b"in")
        self.assertEqual((self.below.sent, self.received.got, self.leg.dropped), ([b"out"], [b"in"], 3))
        self.assertEqual((self.leg.peer, self.leg.host), (Below.peer, Below.host))
        self.leg.pause()
        self.leg.resume()
        self.leg.close()
        self.assertEqual(self.below.calls, ["pause", "resume", "close"])
        self.below.receiver.leg_lost(Ended.FINISHED)
        self.assertIs(self.received.lost, Ended.FINISHED)
        self.assertIn("PolicedLeg on", repr(self.leg))

    def test_dropped(self) -> None:
        """What is beyond them is dropped and counted, both ways together."""
        sent = 0
        for _ in range(1000):
            sent += self.leg.send(bytes(KB))
            self.below.receiver.datagram_received(bytes(KB))
            self.network.advance(0.001)
        passed = sent + len(self.received.got)
        self.assertLessEqual(passed * KB, 100 * KB * (1.0 + BURST_S) + KB)
        self.assertGreaterEqual(passed, 100)
        self.assertEqual(self.leg.dropped, 3 + 2000 - passed)
