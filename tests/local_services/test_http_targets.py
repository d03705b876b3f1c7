"""Tests for :mod:`relaykit.local_services.http_targets`; those of the forward proxy use all of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.errors import ConnectionFailed, NoWorkConnection, NoWorkConnectionInTime
from relaykit.local_services.http_targets import HttpTarget, TargetLeg
from relaykit.testing.memory import RecordingReceiver
from tests.local_services.hosts import ALICE, LocalScene


class HttpTargetTests(SynchronousTestCase):
    """Connections to one server."""

    def setUp(self) -> None:
        self.scene = LocalScene()
        self.kept: KeptLegs[TargetLeg] = KeptLegs(self.scene.reactor)
        self.target = self.make_target()

    def make_target(self) -> HttpTarget:
        """The server, as it is for one user."""
        return HttpTarget(self.scene, lambda: self.scene.dial("example.com", 80), self.kept)

    def test_failures(self) -> None:
        """A server that cannot be reached is told apart from one that takes too long."""
        for problem, expected in (("no-answer", NoWorkConnectionInTime), ("unknown-host", NoWorkConnection)):
            self.scene.failure = ConnectionFailed("x", problem=problem)
            failure = self.failureResultOf(self.target.open_work_leg(ALICE))
            self.assertIs(failure.type, expected)

    def test_taken_back(self) -> None:
        """A kept connection goes back to who had it, once; one that is gone to nobody."""
        leg = self.successResultOf(self.target.open_work_leg(ALICE))
        receiver = RecordingReceiver(leg)
        leg.keep()
        self.assertFalse(leg.take_back(RecordingReceiver()))
        leg.keep()
        self.assertTrue(leg.take_back(receiver))
        self.assertFalse(leg.take_back(receiver))
        self.assertFalse(leg.failed("why"))

    def test_others(self) -> None:
        """One that waits serves whoever asks next, who may be somebody else."""
        leg = self.successResultOf(self.target.open_work_leg(ALICE))
        RecordingReceiver(leg)
        leg.keep()
        other = self.make_target()
        self.assertIs(other.work_leg_for(ALICE), leg)
        self.assertIs(leg.proxy, other)
        self.assertIsNot(self.target.work_leg_for(ALICE), leg)

    def test_ended(self) -> None:
        """One that the server has ended is not kept."""
        leg = self.successResultOf(self.target.open_work_leg(ALICE))
        receiver = RecordingReceiver(leg)
        self.scene.dialed[0][1].finish_writing()
        self.scene.network.flush()
        leg.keep()
        self.assertFalse(leg.take_back(receiver))
