"""Tests for :mod:`relaykit.local_services.reverse_proxies.service`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.kept_legs import KEPT_S
from relaykit.errors import ConnectionFailed, NoWorkConnection
from relaykit.local_services.reverse_proxies.service import WebService
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address
from tests.local_services.hosts import ALICE, LocalScene


class WebServiceTests(SynchronousTestCase):
    """Connections to a service."""

    def setUp(self) -> None:
        self.service = WebService("http2http", Address("localhost", 80))
        self.scene = LocalScene()
        self.target = self.service.target(ALICE, self.scene)

    def test_dialed(self) -> None:
        """A connection goes where the service is."""
        self.successResultOf(self.target.open_work_leg(ALICE))
        self.assertEqual(self.scene.dialed[0][0], "localhost:80")

    def test_kept(self) -> None:
        """One that has served waits for the next request, of whichever user, and not for ever."""
        leg = self.successResultOf(self.target.work_leg_for(ALICE))
        RecordingReceiver(leg)
        leg.keep()
        other = self.service.target(ALICE, self.scene)
        self.assertIs(self.successResultOf(other.work_leg_for(ALICE)), leg)
        RecordingReceiver(leg)
        leg.keep()
        self.scene.network.advance(KEPT_S)
        self.assertIsNot(self.successResultOf(other.work_leg_for(ALICE)), leg)
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_not_reached(self) -> None:
        """The log says why, and who is not served."""
        self.scene.failure = ConnectionFailed("connection refused")
        with capturedLogs() as logs:
            self.failureResultOf(self.target.open_work_leg(ALICE), NoWorkConnection)
        [event] = logs
        self.assertEqual((event["log_level"], event["problem"]), (LogLevel.error, "local-service"))
        self.assertEqual((event["stranger"], event["reason"]), ("198.51.100.7", "connection refused"))

    def test_left(self) -> None:
        """Who leaves meanwhile has it given up, which is nothing to tell."""
        self.scene.waiting = Deferred()
        opening = self.target.open_work_leg(ALICE)
        with capturedLogs() as logs:
            opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(logs, [])
