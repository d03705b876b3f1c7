"""Tests for :mod:`benchmarks.abuse`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.abuse import percentile


class PercentileTests(SynchronousTestCase):
    """Tests for what is told of the users' waits."""

    def test_of_hundred(self) -> None:
        """Half of the values are at most the median, and one in a hundred is above the 99th percentile."""
        values = [float(number) for number in range(100, 0, -1)]
        self.assertEqual(percentile(values, 50), 50.0)
        self.assertEqual(percentile(values, 99), 99.0)

    def test_few(self) -> None:
        """Of fewer than a hundred the slowest one counts."""
        self.assertEqual(percentile([3.0, 1.0, 2.0], 99), 3.0)
        self.assertEqual(percentile([3.0, 1.0, 2.0], 50), 2.0)
        self.assertEqual(percentile([7.0], 50), 7.0)
