"""Tests of the timer that is set anew."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.alarm import Alarm


class AlarmTests(SynchronousTestCase):
    """When it rings."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rung: list[float] = []
        self.alarm = Alarm(self.clock, lambda: self.rung.append(self.clock.seconds()))

    def test_rings_once(self) -> None:
        """It rings at the time that was set last, and has one call scheduled at most."""
        for at in (5.0, 3.0, 3.0, 4.0):
            self.alarm.set(at)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.rung, [4.0])

    def test_never(self) -> None:
        """Set to never it does not ring, and can be set again."""
        self.alarm.set(1.0)
        self.alarm.set(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.alarm.set(1.0)
        self.clock.advance(2.0)
        self.alarm.set(1.0)
        self.clock.advance(0.0)
        self.assertEqual(self.rung, [2.0, 2.0])
