"""Tests of datagrams that go together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.segments import MOST_SEGMENTS, end_of_run, split


class SegmentsTests(SynchronousTestCase):
    """Runs of datagrams."""

    def run_of(self, *sizes: int, begin: int = 0, most_segment: int = 65507) -> int:
        """How many go together from there on."""
        return end_of_run([bytes(size) for size in sizes], begin, most_segment) - begin

    def test_one_size(self) -> None:
        """Those of one size go together, and a shorter one ends them."""
        self.assertEqual(self.run_of(10, 10, 10, 11), 3)
        self.assertEqual(self.run_of(10, 10, 9, 10), 3)
        self.assertEqual(self.run_of(12, 10, 10, 10, begin=1), 3)
        self.assertEqual(self.run_of(10), 1)

    def test_alone(self) -> None:
        """Empty ones go alone, and so do those that cannot go with others."""
        self.assertEqual(self.run_of(0, 0), 1)
        self.assertEqual(self.run_of(10, 0), 1)
        self.assertEqual(self.run_of(10, 10, most_segment=9), 1)

    def test_limits(self) -> None:
        """No more go together than one call takes, in number and in bytes."""
        self.assertEqual(self.run_of(*[10] * 100), MOST_SEGMENTS)
        self.assertEqual(self.run_of(*[1400] * 100), 46)

    @given(st.lists(st.integers(0, 2000), min_size=1, max_size=100))
    def test_any(self, sizes: list[int]) -> None:
        """Whatever the sizes, what goes together comes apart again as it was."""
        datagrams = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
        begin = 0
        while begin < len(datagrams):
            end = end_of_run(datagrams, begin)
            run = datagrams[begin:end]
            joined = b"".join(run)
            self.assertLessEqual(len(joined), 65507)
            if joined:
                self.assertEqual(split(joined, len(run[0])), run)
            begin = end
