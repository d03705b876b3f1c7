"""Tests for :mod:`relaykit.sansio.http.ranges`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.ranges import MOST_RANGES, NotSatisfiable, parse_ranges


class RangeTests(SynchronousTestCase):
    """What is asked for of ten bytes."""

    def test_parts(self) -> None:
        """One part, several, and the last ones, never beyond the end."""
        for value, expected in (
            (b"bytes=0-3", [(0, 4)]),
            (b"Bytes = 4-", [(4, 10)]),
            (b"bytes=-3", [(7, 10)]),
            (b"bytes=-30", [(0, 10)]),
            (b"bytes=8-99", [(8, 10)]),
            (b"bytes=0-0, ,5-6,77-", [(0, 1), (5, 7)]),
        ):
            self.assertEqual(list(parse_ranges(value, 10)), expected, value)

    def test_all(self) -> None:
        """What says nothing, or too much, gets all."""
        many = b"bytes=" + b",".join([b"0-0"] * (MOST_RANGES + 1))
        for value in (
            b"",
            b"bytes=",
            b"bytes=-",
            b"lines=1-2",
            b"bytes=3-2",
            b"bytes=a-b",
            b"bytes=0-,0-",
            many,
        ):
            self.assertEqual(list(parse_ranges(value, 10)), [], value)

    def test_nothing_there(self) -> None:
        """Parts behind the end only are an error."""
        for value, size in ((b"bytes=10-", 10), (b"bytes=-0", 10), (b"bytes=0-", 0)):
            self.assertRaises(NotSatisfiable, parse_ranges, value, size)

    @given(
        st.one_of(st.binary(), st.from_regex(rb"bytes=([0-9]{0,3}-[0-9]{0,3},?){1,4}")), st.integers(0, 500)
    )
    def test_whatever(self, value: bytes, size: int) -> None:
        """Whatever is asked, each part is there, and all are no more than the whole."""
        try:
            parts = parse_ranges(value, size)
        except NotSatisfiable:
            return
        self.assertTrue(all(0 <= start < end <= size for start, end in parts))
        self.assertLessEqual(sum(end - start for start, end in parts), size)
