"""Tests for :mod:`benchmarks.flood`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.flood import LEAST_RATE, next_rate


class RateTests(SynchronousTestCase):
    """Tests for how many datagrams are too many."""

    def test_more_than_arrive(self) -> None:
        """Half as many again as arrived are sent next, however long the step took."""
        self.assertEqual(next_rate(10_000, 0.5), 30_000.0)

    def test_nothing_arrived(self) -> None:
        """It begins, and begins anew, with a small rate."""
        self.assertEqual(next_rate(0, 0.1), LEAST_RATE)
