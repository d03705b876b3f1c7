"""Tests for :mod:`relaykit.ssh_gateway.quiet`."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.quiet import QUIET


class QuietTests(SynchronousTestCase):
    """Tests for the log that says nothing."""

    def test_quiet(self) -> None:
        """Nothing arrives, failures included."""
        with capturedLogs() as logs:
            QUIET.info("a channel")
            QUIET.debug("a packet")
            QUIET.failure("a failure", Failure(ValueError("one")))
        self.assertEqual(list(logs), [])
