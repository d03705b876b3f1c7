"""Tests of rates: how often, by whom, and how many are remembered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.rates import WIDER, RateLimit
from relaykit.sansio.sources import source_of_host


class RateLimitTests(SynchronousTestCase):
    """What one key may do."""

    def test_burst_and_rate(self) -> None:
        """A key gets its burst at once and its rate for ever; time that went back gives nothing."""
        limit = RateLimit(3, 2.0, 10)

        def admitted(key: str, now: float) -> int:
            return sum(limit.admits((key,), now) for _ in range(10))

        self.assertEqual([admitted("a", at) for at in (5.0, 5.0, 6.0, 4.0, 100.0)], [3, 0, 2, 0, 3])
        self.assertEqual(admitted("b", 5.0), 3)

    def test_table_is_bounded(self) -> None:
        """The table forgets the key that came longest ago."""
        limit = RateLimit(1, 0.0, 3)
        for place in range(10):
            limit.admits((f"192.0.2.{place}",), 0.0)
        self.assertEqual(len(limit), 3)
        self.assertFalse(limit.admits(("192.0.2.9",), 0.0))
        self.assertTrue(limit.admits(("192.0.2.1",), 0.0))

    def test_wide_network(self) -> None:
        """Who has many networks within a wide one may do a few times as much as one of them, and no more."""
        limit = RateLimit(3, 1.0, 1000)
        sources = [source_of_host(f"2001:db8:0:{subnet:x}::1") for subnet in range(100)]
        for now, each in ((0.0, 3), (1.0, 1)):
            admitted = [sum(limit.admits(source, now) for _ in range(10)) for source in sources]
            self.assertEqual((sum(admitted), max(admitted)), (WIDER * each, each))
        self.assertTrue(limit.admits(source_of_host("2001:db8:0:100::1"), 1.0))
        self.assertTrue(limit.admits(source_of_host("192.0.2.7"), 1.0))

    @given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=20))
    def test_never_more(self, tries: list[tuple[float, int]]) -> None:
        """Whatever the rhythm, no more is admitted than the burst and the rate allow."""
        limit, now, admitted = RateLimit(10, 2.0, 10), 0.0, 0
        for pause, count in tries:
            now += pause
            admitted += sum(limit.admits(("a",), now) for _ in range(count))
            self.assertLessEqual(admitted, 10 + now * 2.0 + 1e-6)
