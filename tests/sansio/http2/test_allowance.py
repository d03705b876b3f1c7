"""Tests for :mod:`relaykit.sansio.http2.allowance`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http2.allowance import MOST_POINTS, POINTS_PER_S, Allowance
from relaykit.sansio.http2.frames import ConnectionFault, ErrorCode


class AllowanceTests(SynchronousTestCase):
    """Tests for the points of a connection."""

    def test_spent(self) -> None:
        """Who has spent all points is told to be calm."""
        allowance = Allowance(0.0)
        allowance.spend(MOST_POINTS, 0.0)
        with self.assertRaises(ConnectionFault) as caught:
            allowance.spend(1, 0.0)
        self.assertIs(caught.exception.code, ErrorCode.ENHANCE_YOUR_CALM)

    def test_comes_back(self) -> None:
        """Points come back with time and with what is of use, never more than there were."""
        allowance = Allowance(0.0)
        allowance.spend(MOST_POINTS, 0.0)
        allowance.spend(int(POINTS_PER_S), 1.0)
        allowance.earn(5)
        allowance.spend(5, 1.0)
        allowance.spend(MOST_POINTS, 1_000_000.0)
        with self.assertRaises(ConnectionFault):
            allowance.spend(1, 1_000_000.0)

    def test_time_going_back(self) -> None:
        """Time that goes back brings nothing, and takes nothing."""
        allowance = Allowance(10.0)
        allowance.spend(MOST_POINTS, 5.0)
        with self.assertRaises(ConnectionFault):
            allowance.spend(1, 5.0)
