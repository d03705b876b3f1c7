"""What a flow says about itself; how it moves bytes is in the conformance suite."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Ended, Traffic


class FlowTests(SynchronousTestCase):
    """One flow between legs in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.user, self.near = self.network.pair()
        self.far, self.service = self.network.pair()
        self.time = 100.0
        self.done = CopyForwarder(lambda: self.time).forward(self.near, self.far, True).when_ended()

    def test_traffic(self) -> None:
        """It counts both directions and its time, and comes when both legs are gone, not before."""
        RecordingReceiver(self.user)
        RecordingReceiver(self.service)
        self.user.write(b"12345")
        self.service.write(b"1234567")
        self.user.close()
        self.network.flush()
        self.time = 107.5
        self.assertNoResult(self.done)
        self.service.close()
        self.network.flush()
        expected = Traffic(near_to_far=5, far_to_near=7, seconds=7.5, ended=Ended.FINISHED)
        self.assertEqual(self.successResultOf(self.done), expected)

    def test_clock_that_went_back(self) -> None:
        """A clock that goes back makes no negative time."""
        self.time = 50.0
        self.user.abort()
        self.network.flush()
        self.service.close()
        self.network.flush()
        traffic = self.successResultOf(self.done)
        self.assertEqual((traffic.seconds, traffic.ended), (0.0, Ended.NEAR_LOST))

    def test_first_reason_counts(self) -> None:
        """When both legs are cut, the first one says why the flow ended."""
        self.service.abort()
        self.network.flush()
        self.user.abort()
        self.network.flush()
        self.assertIs(self.successResultOf(self.done).ended, Ended.FAR_LOST)

    def test_stalled_reader_is_dropped_in_the_end(self) -> None:
        """A peer that never reads what is left cannot keep a flow whose other leg is gone."""
        self.user.write(bytes(50_000))
        self.network.flush()
        self.user.abort()
        self.network.flush()
        self.assertNoResult(self.done)
        self.network.expire_linger()
        self.assertIs(self.successResultOf(self.done).ended, Ended.NEAR_LOST)
