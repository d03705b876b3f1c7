"""The network in memory; what its legs do as legs is in the conformance suite."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.testing.memory import CAPACITY_BYTES, MemoryNetwork, RecordingReceiver
from relaykit.values import Ended


class MemoryNetworkTests(SynchronousTestCase):
    """Moving octets when told to."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()

    def test_nothing_moves_by_itself(self) -> None:
        """Octets arrive when the network turns, not within write."""
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

    def test_lent_octets_do_not_last(self) -> None:
        """Who keeps lent octets beyond the call finds garbage in them."""
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
