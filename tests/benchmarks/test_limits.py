"""Tests for :mod:`benchmarks.limits`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.limits import deviation, longest_burst


class LimitTests(SynchronousTestCase):
    """Tests for what is made of a download; its rates are 100 bytes a second."""

    def test_deviation(self) -> None:
        """Too much and too little deviate alike, in parts of the rate."""
        self.assertAlmostEqual(deviation([(10.0, 0), (15.0, 500)], 100.0), 0.0)
        self.assertAlmostEqual(deviation([(10.0, 200), (15.0, 400)], 100.0), 0.2)
        self.assertAlmostEqual(deviation([(10.0, 0), (11.0, 30), (15.0, 370)], 100.0), 0.2)

    def test_even(self) -> None:
        """What keeps to the rate comes in bursts of its pieces."""
        self.assertAlmostEqual(longest_burst([(at / 10, 10) for at in range(50)], 100.0), 0.1)

    def test_burst(self) -> None:
        """A burst is what is beyond the rate, in however many pieces; silence earns nothing."""
        self.assertAlmostEqual(longest_burst([(0.0, 10), (9.0, 50), (9.1, 60), (9.5, 10)], 100.0), 1.0)
