"""Tests for commands that are not there yet."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.terminal import Printed, run_printed


class NotImplementedTests(SynchronousTestCase):
    """Tests for what they say."""

    def test_said(self) -> None:
        """A command of frp that is not there yet says so, and fails."""
        for words in ("completion powershell",):
            self.assertEqual(
                run_printed(["frpc", *words.split()]),
                Printed(1, f"frpc {words}: not available yet in relaykit\n"),
            )
