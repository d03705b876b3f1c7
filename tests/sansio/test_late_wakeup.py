"""Tests for what a late wake-up means."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.late_wakeup import GRACE_S, LATE_WAKEUP_S, grace_until


class MercyTests(SynchronousTestCase):
    """Tests for :func:`grace_until`."""

    def test_in_time(self) -> None:
        """Who is woken in time, or a little late, forgives nothing."""
        for late in (-5.0, 0.0, LATE_WAKEUP_S):
            self.assertEqual(grace_until(100.0, 100.0 + late), 100.0 + late)

    def test_late(self) -> None:
        """Who is woken late gives the peer some time from then on."""
        self.assertEqual(grace_until(100.0, 200.0), 200.0 + GRACE_S)

    def test_nothing_due(self) -> None:
        """Who waits for nothing cannot be late."""
        self.assertEqual(grace_until(None, 200.0), 200.0)
