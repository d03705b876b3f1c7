"""Tests for what strangers may cost."""

from __future__ import annotations

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.server import admission
from relaykit.server.admission import (
    LOGINS_AT_ONCE,
    LOGINS_PER_S,
    MAX_PENDING,
    MAX_PENDING_PER_SOURCE,
    MAX_SOURCES,
    LoginRate,
    PendingConnections,
    source_of,
)
from relaykit.values import Address, Origin


def origin(host: str, port: int = 1) -> Origin:
    """A connection from there."""
    return Origin(Address(host, port))


def nothing() -> None:
    """Nothing to drop."""


class SourceTests(SynchronousTestCase):
    """Tests for :func:`source_of`."""

    def test_addresses(self) -> None:
        """An IPv4 address is a source of its own; of IPv6 it is the network that one customer has."""
        for host, source in (
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
        ):
            self.assertEqual(source_of(origin(host)), source)

    def test_port(self) -> None:
        """The port plays no part; without an address all are one source."""
        self.assertEqual(source_of(origin("192.0.2.7", 1)), source_of(origin("192.0.2.7", 2)))
        self.assertEqual(source_of(Origin()), "")


class HalfOpenTests(SynchronousTestCase):
    """Tests for :class:`PendingConnections`."""

    def setUp(self) -> None:
        """Nobody is there, one source is known."""
        self.pending = PendingConnections(lambda source: source == "192.0.2.1")

    def test_per_source(self) -> None:
        """One source has so many places and no more; another one has its own."""
        places = [self.pending.enter(origin("192.0.2.7"), nothing) for _ in range(MAX_PENDING_PER_SOURCE)]
        self.assertNotIn(None, places)
        self.assertIsNone(self.pending.enter(origin("192.0.2.7"), nothing))
        self.assertIsNotNone(self.pending.enter(origin("192.0.2.8"), nothing))

    def test_known_source(self) -> None:
        """A source that a client is logged in from may have as many as there are."""
        for _ in range(MAX_PENDING_PER_SOURCE + 1):
            self.assertIsNotNone(self.pending.enter(origin("192.0.2.1"), nothing))

    def test_all_together(self) -> None:
        """There are so many places for all together, known or not."""
        with mock.patch.object(admission, "MAX_PENDING", 3):
            for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
                self.assertIsNotNone(self.pending.enter(origin(host), nothing))
            for host in ("192.0.2.1", "192.0.2.4"):
                self.assertIsNone(self.pending.enter(origin(host), nothing))
        self.assertGreater(MAX_PENDING, MAX_PENDING_PER_SOURCE)

    def test_left(self) -> None:
        """A place that was left is free again, once."""
        first, second = (self.pending.enter(origin("192.0.2.7"), nothing) for _ in range(2))
        assert first is not None and second is not None
        first.release()
        first.release()
        self.assertEqual(len(self.pending), 1)
        second.release()
        self.assertEqual(len(self.pending), 0)
        self.assertEqual(self.pending._of_source, {})


class LoginRateTests(SynchronousTestCase):
    """Tests for :class:`LoginRate`."""

    def setUp(self) -> None:
        """Nobody has tried yet."""
        self.rate = LoginRate()

    def admitted(self, host: str, tries: int, now: float) -> int:
        """How many of so many logins are looked at."""
        return sum(self.rate.admits(origin(host), now) for _ in range(tries))

    def test_burst(self) -> None:
        """A source may try so often at once, and then at a rate."""
        self.assertEqual(self.admitted("192.0.2.7", 1000, 0.0), LOGINS_AT_ONCE)
        self.assertEqual(self.admitted("192.0.2.7", 1000, 2.0), 2 * LOGINS_PER_S)
        self.assertEqual(self.admitted("192.0.2.8", 1000, 2.0), LOGINS_AT_ONCE)

    def test_rest(self) -> None:
        """After a rest it may try as often again, and not more often."""
        self.admitted("192.0.2.7", 1000, 0.0)
        self.assertEqual(self.admitted("192.0.2.7", 1000, 3600.0), LOGINS_AT_ONCE)

    def test_time_going_back(self) -> None:
        """Time that goes back brings nothing and takes nothing."""
        self.admitted("192.0.2.7", LOGINS_AT_ONCE - 1, 100.0)
        self.assertEqual(self.admitted("192.0.2.7", 10, 50.0), 1)

    def test_forgotten(self) -> None:
        """Sources that rested long enough take no memory."""
        for number in range(1000):
            self.rate.admits(origin(f"198.51.100.{number}"), float(number) / 100)
        self.assertEqual(len(self.rate), 1000)
        self.rate.admits(origin("192.0.2.7"), 100.0)
        self.assertEqual(len(self.rate), 1)

    def test_bounded(self) -> None:
        """However many sources try at the same time, the memory is bounded."""
        for number in range(MAX_SOURCES + 100):
            self.rate.admits(origin(f"host{number}"), 0.0)
        self.assertEqual(len(self.rate), MAX_SOURCES)

    @given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 200)), max_size=20))
    def test_never_more(self, tries: list[tuple[float, int]]) -> None:
        """Whatever the rhythm, no more is admitted than the burst and the rate allow."""
        rate, now, admitted = LoginRate(), 0.0, 0
        for pause, count in tries:
            now += pause
            admitted += sum(rate.admits(origin("192.0.2.7"), now) for _ in range(count))
            self.assertLessEqual(admitted, LOGINS_AT_ONCE + now * LOGINS_PER_S + 1e-6)
