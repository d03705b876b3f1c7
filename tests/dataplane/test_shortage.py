"""Tests for telling of a lack of descriptors."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.shortage import RECOVERED_AFTER_S, Shortage


class ShortageTests(SynchronousTestCase):
    """Tests for :class:`Shortage`."""

    def test_told_once(self) -> None:
        """It is told once, whoever meets it, and again after it was over."""
        clock = Clock()
        shortage = Shortage(clock)
        with capturedLogs() as logged:
            for _ in range(2):
                shortage.passed()
                shortage.met("accepted on :7000", "too many open files")
                shortage.met("made", "too many open files")
                clock.advance(RECOVERED_AFTER_S - 1)
                shortage.passed()
                shortage.met("made", "too many open files")
                clock.advance(RECOVERED_AFTER_S)
                shortage.passed()
                shortage.passed()
        levels = [event["log_level"] for event in logged]
        self.assertEqual(levels, [LogLevel.error, LogLevel.info] * 2)
