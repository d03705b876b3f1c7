"""Tests for :mod:`relaykit.local_services.unserved`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed, TransportSecurityError
from relaykit.local_services.unserved import log_unserved
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from tests.local_services.hosts import ALICE


class UnservedTests(SynchronousTestCase):
    """What is said of users who are not served."""

    log = Logger()

    def said(self, error: Exception) -> dict[str, Any]:
        """The one event of a failure."""
        with capturedLogs() as logs:
            log_unserved(Failure(error), self.log, "tls2raw", MemoryNetwork().pair()[0], ALICE)
        [event] = logs
        return event

    def test_user(self) -> None:
        """Of what is the user's business little is said."""
        for error, why in ((CancelledError(), "the user left"), (TransportSecurityError("no TLS"), "no TLS")):
            event = self.said(error)
            self.assertEqual((event["log_level"], event["reason"]), (LogLevel.debug, why))

    def test_service(self) -> None:
        """What the operator can mend is an error, with the user that was not served."""
        event = self.said(ConnectionFailed("refused"))
        self.assertEqual((event["log_level"], event["problem"]), (LogLevel.error, "local-service"))
        self.assertEqual(event["stranger"], "198.51.100.7")

    def test_defect(self) -> None:
        """What should not happen is logged as a failure, and the user cut off."""
        network = MemoryNetwork()
        user, leg = network.pair()
        got = RecordingReceiver(user)
        log_unserved(Failure(ZeroDivisionError()), self.log, "tls2raw", leg, ALICE)
        network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(got.lost)
