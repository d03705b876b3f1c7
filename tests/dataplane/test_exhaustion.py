"""Tests for telling of a lack of descriptors."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.exhaustion import RECOVERED_AFTER_S, Exhaustion


class ExhaustionTests(SynchronousTestCase):
    """Tests for :class:`Exhaustion`."""

    def test_told_once(self) -> None:
        """It is told once, whoever meets it, and again after it was over."""
        clock = Clock()
        exhaustion = Exhaustion(clock)
        with capturedLogs() as logged:
            for _ in range(2):
                exhaustion.passed()
                exhaustion.met("accepted on :7000", "too many open files")
                exhaustion.met("made", "too many open files")
                clock.advance(RECOVERED_AFTER_S - 1)
                exhaustion.passed()
                exhaustion.met("made", "too many open files")
                clock.advance(RECOVERED_AFTER_S)
                exhaustion.passed()
                exhaustion.passed()
        levels = [event["log_level"] for event in logged]
        self.assertEqual(levels, [LogLevel.error, LogLevel.info] * 2)
