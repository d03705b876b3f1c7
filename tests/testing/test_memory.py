"""The network in memory; what its legs do as legs is in the conformance suite."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.testing.memory import CAPACITY_BYTES, MemoryNetwork, RecordingReceiver, Weather
from relaykit.values import Ended


class MemoryNetworkTests(SynchronousTestCase):
    """Moving bytes when told to."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()

    def test_nothing_moves_by_itself(self) -> None:
        """Bytes arrive when the network turns, not within write."""
        receiver = RecordingReceiver(self.far)
        self.near.write(b"x")
        self.assertEqual((receiver.data, self.near.queued), (b"", 1))
        self.assertTrue(self.network.turn())
        self.assertEqual((receiver.data, self.near.queued), (b"x", 0))
        self.assertFalse(self.network.turn())

    def test_addresses(self) -> None:
        """Each end knows both, and no two pairs have the same."""
        other, _ = self.network.pair()
        self.assertEqual((self.near.peer, self.near.host), (self.far.host, self.far.peer))
        self.assertNotEqual(self.near.host, other.host)

    def test_lent_bytes_do_not_last(self) -> None:
        """Who keeps lent bytes beyond the call finds garbage in them."""
        kept: list[memoryview] = []

        class Keeping(RecordingReceiver):
            def data_received(self, data: bytes | bytearray | memoryview) -> None:
                kept.append(memoryview(data))

        self.far.attach(Keeping())
        self.near.write(b"secret")
        self.network.flush()
        self.assertNotEqual(bytes(kept[0]), b"secret")

    def test_capacity(self) -> None:
        """What the other end does not take stays here, and pauses the producer."""
        self.near.write(bytes(CAPACITY_BYTES))
        self.network.flush()
        self.assertEqual(self.near.queued, CAPACITY_BYTES)

    def test_turn_end(self) -> None:
        """What was asked for is done once, at the end of a turn."""
        done: list[int] = []
        call = lambda: done.append(1)  # noqa: E731  # one object
        self.network.at_turn_end(call)
        self.network.at_turn_end(call)
        self.network.flush()
        self.assertEqual(done, [1])

    def test_never_at_rest(self) -> None:
        """Legs that never come to rest fail the test that flushes them."""
        self.patch(MemoryNetwork, "turn", lambda network: True)
        self.assertRaises(AssertionError, self.network.flush)

    def test_cut(self) -> None:
        """A cut tells each end its reason, and nothing that was on its way."""
        here, there = RecordingReceiver(self.near), RecordingReceiver(self.far)
        self.near.write(b"lost")
        self.near.cut(Ended.TIMEOUT, Ended.RESET)
        self.network.flush()
        self.assertEqual((here.lost, there.lost, there.data), (Ended.TIMEOUT, Ended.RESET, b""))

    def test_linger(self) -> None:
        """A leg that closes towards a peer that does not read gives up when its time has passed."""
        here = RecordingReceiver(self.near)
        self.near.write(b"stuck")
        self.near.close()
        self.network.flush()
        self.assertIsNone(here.lost)
        self.network.expire_linger()
        self.assertIs(here.lost, Ended.TIMEOUT)


class StallTests(SynchronousTestCase):
    """Connections that are open while nothing comes through."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()
        self.here, self.there = RecordingReceiver(self.near), RecordingReceiver(self.far)

    def test_nothing_comes_through(self) -> None:
        """Bytes and ends wait, in both directions, and go on afterwards."""
        self.near.stall()
        self.near.write(b"one")
        self.far.write(b"two")
        self.far.finish_writing()
        self.network.flush()
        self.assertEqual((self.here.data, self.there.data, self.here.ended), (b"", b"", False))
        self.far.stall(False)
        self.network.flush()
        self.assertEqual((self.here.data, self.there.data, self.here.ended), (b"two", b"one", True))

    def test_one_direction(self) -> None:
        """One direction can be stalled alone."""
        self.near.stalled = True
        self.near.write(b"one")
        self.far.write(b"two")
        self.network.flush()
        self.assertEqual((self.here.data, self.there.data), (b"two", b""))

    def test_loss_is_not_told(self) -> None:
        """One end gives up; the other learns of it when it is heard again."""
        self.near.stall()
        self.near.abort()
        self.network.flush()
        self.assertEqual((self.here.lost, self.there.lost), (Ended.CANCELLED, None))
        self.far.stall(False)
        self.network.flush()
        self.assertEqual(self.there.lost, Ended.RESET)

    def test_linger_of_one_end(self) -> None:
        """An end that closed and could send nothing gives up without the other."""
        self.near.write(b"x")
        self.near.stall()
        self.near.close()
        self.network.expire_linger()
        self.assertEqual((self.here.lost, self.there.lost), (Ended.TIMEOUT, None))

    def test_connections(self) -> None:
        """The network lists one end of each connection that is open."""
        other, _ = self.network.pair()
        self.assertEqual(self.network.connections, [self.near, other])
        self.far.cut()
        self.network.flush()
        self.assertEqual(self.network.connections, [other])


class WeatherTests(SynchronousTestCase):
    """A network that takes its time."""

    def make(self, weather: Weather) -> None:
        """Connects two ends through this weather."""
        self.network = MemoryNetwork(weather)
        self.near, self.far = self.network.pair()
        self.here, self.there = RecordingReceiver(self.near), RecordingReceiver(self.far)

    def test_delay(self) -> None:
        """What is sent arrives after the delay, the end behind the bytes."""
        self.make(Weather(1, delay_s=(0.25, 0.25)))
        self.near.write(b"x")
        self.network.flush()
        self.near.finish_writing()
        self.network.advance(0.2)
        self.assertEqual((self.there.data, self.near.queued), (b"", 1))
        self.network.advance(0.1)
        self.assertEqual((self.there.data, self.there.ended, self.near.queued), (b"x", True, 0))

    def test_order(self) -> None:
        """However long each portion takes, none overtakes another, and none is lost."""
        for seed in range(20):
            self.make(Weather(seed, delay_s=(0.0, 1.0), most_bytes=7))
            data = bytes(range(200))
            for byte in data:
                self.near.write(bytes([byte]))
                self.network.advance(0.01)
            self.near.close()
            self.network.advance(60.0)
            self.assertEqual((self.there.data, self.there.ended), (data, True), seed)
            self.assertGreater(self.there.pieces, 20)

    def test_same_again(self) -> None:
        """The same seed does the same, another one something else."""
        pieces = []
        for seed in (1, 1, 2):
            self.make(Weather(seed, most_bytes=9))
            self.near.write(bytes(10_000))
            self.network.flush()
            pieces.append(self.there.pieces)
        self.assertEqual(pieces[0], pieces[1])
        self.assertNotEqual(pieces[0], pieces[2])

    def test_bounded(self) -> None:
        """What is on its way counts as queued, so a producer is paused."""
        self.make(Weather(1, delay_s=(1.0, 1.0)))
        paused: list[bool] = []

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None:
                paused.append(True)

            def resumeProducing(self) -> None:
                paused.append(False)

            def stopProducing(self) -> None:
                """Never asked for."""

        self.near.registerProducer(Producer(), True)
        self.near.write(bytes(CAPACITY_BYTES))
        self.network.advance(0.5)
        self.assertEqual(paused, [True])
        self.network.advance(1.0)
        self.assertEqual(paused, [True, False])

    def test_calls_and_arrivals(self) -> None:
        """Time stops at each call and at each arrival on its way."""
        self.make(Weather(1, delay_s=(0.5, 0.5)))
        seen: list[tuple[float, bytes]] = []
        for at in (0.25, 0.75):
            self.network.clock.callLater(
                at, lambda: seen.append((self.network.clock.seconds(), self.there.data))
            )
        self.near.write(b"x")
        self.network.advance(10.0)
        self.assertEqual(seen, [(0.25, b""), (0.75, b"x")])
        self.assertEqual(self.network.clock.seconds(), 10.0)

    def test_no_rest(self) -> None:
        """Calls that call themselves with hardly any time passing fail the test that waits for them."""
        self.make(Weather(1))

        def again() -> None:
            self.network.clock.callLater(1e-9, again)

        again()
        self.assertRaises(AssertionError, self.network.advance, 1.0)


class RecordingReceiverTests(SynchronousTestCase):
    """The receiver that notes what it is told."""

    def test_order(self) -> None:
        """A leg that tells things in the wrong order, or twice, fails the test."""
        receiver = RecordingReceiver()
        receiver.data_received(b"a")
        receiver.data_received(b"b")
        self.assertEqual((receiver.data, receiver.pieces), (b"ab", 2))
        receiver.data = b""
        receiver.end_received()
        self.assertRaises(AssertionError, receiver.data_received, b"late")
        self.assertRaises(AssertionError, receiver.end_received)
        receiver.leg_lost(Ended.FINISHED)
        self.assertRaises(AssertionError, receiver.leg_lost, Ended.FINISHED)
