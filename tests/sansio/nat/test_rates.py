"""Tests of rates: how often, by whom, and how many are remembered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.rates import RateLimit, subscriber


class RateLimitTests(SynchronousTestCase):
    """What one key may do."""

    def test_burst_and_rate(self) -> None:
        """A key gets its burst at once and its rate for ever; time that went back gives nothing."""
        limit = RateLimit(3, 2.0, 10)

        def admitted(key: str, now: float) -> int:
            return sum(limit.admits(key, now) for _ in range(10))

        self.assertEqual([admitted("a", at) for at in (5.0, 5.0, 6.0, 4.0, 100.0)], [3, 0, 2, 0, 3])
        self.assertEqual(admitted("b", 5.0), 3)

    def test_table_is_bounded(self) -> None:
        """The table forgets the key that came longest ago."""
        limit = RateLimit(1, 0.0, 3)
        for place in range(10):
            limit.admits(f"192.0.2.{place}", 0.0)
        self.assertEqual(len(limit), 3)
        self.assertFalse(limit.admits("192.0.2.9", 0.0))
        self.assertTrue(limit.admits("192.0.2.1", 0.0))


class SubscriberTests(SynchronousTestCase):
    """Who an address belongs to."""

    def test_subscribers(self) -> None:
        """An IPv4 address is one subscriber's, an IPv6 address shares its /64 with others of theirs."""
        self.assertEqual(subscriber("192.0.2.7"), "192.0.2.7")
        self.assertEqual(subscriber("2001:db8:1:2::5"), subscriber("2001:db8:1:2:ffff::9"))
        self.assertNotEqual(subscriber("2001:db8:1:2::5"), subscriber("2001:db8:1:3::5"))
        self.assertEqual(subscriber("fe80::1%eth0"), subscriber("fe80::2%eth1"))
