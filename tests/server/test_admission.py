"""Tests for what strangers may cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.pool import MOST_ASKED
from relaykit.server.admission import (
    CLIENTS_OF_SOURCE,
    MAX_PENDING,
    MAX_PENDING_OF_KNOWN,
    MAX_PENDING_PER_NETWORK,
    MAX_PENDING_PER_SOURCE,
    RESERVE_PART,
    PendingConnections,
    Slot,
    most_asked,
)
from relaykit.values import Address, Origin

KNOWN = "192.0.2.1"


def origin(host: str, port: int = 1) -> Origin:
    """A connection from there."""
    return Origin(Address(host, port))


class MostAskedTests(SynchronousTestCase):
    """Tests for :func:`most_asked`."""

    @given(st.integers(4, 2 * MAX_PENDING))
    def test_room(self, most: int) -> None:
        """Several clients of one address lose no work connection that they were asked for."""
        pending = PendingConnections(lambda source: source == KNOWN, most)
        dropped: list[Slot] = []
        for _ in range(min(CLIENTS_OF_SOURCE * most_asked(most), most - most // RESERVE_PART)):
            dropped += pending.enter(origin(KNOWN), lambda: None, 0.0)[1]
        self.assertEqual(dropped, [])

    def test_figures(self) -> None:
        """There is room for hundreds of one client; where few files may be open, for some."""
        self.assertEqual(
            [most_asked(most) for most in (MAX_PENDING, 1024 // 8, 16, 4)], [MOST_ASKED, 24, 3, 1]
        )


class PendingTests(SynchronousTestCase):
    """Tests for :class:`PendingConnections`."""

    def setUp(self) -> None:
        """Nobody is there, one source is known."""
        self.pending = PendingConnections(lambda source: source == KNOWN)
        self.aborted: list[str] = []

    def enter(self, host: str, count: int = 1, is_scarce: bool = False) -> list[Slot]:
        """So many connections come from there; who must go goes."""
        slots = []
        for _ in range(count):
            come, abort = origin(host), partial(self.aborted.append, host)
            slot, dropped = self.pending.enter(come, abort, 0.0, is_scarce)
            slots.append(slot)
            for each in dropped:
                each.abort()
        return slots

    def flood(self, hosts: Iterable[str], each: int = MAX_PENDING_PER_SOURCE) -> None:
        """All of these have so many."""
        for host in hosts:
            self.enter(host, each)

    def test_per_source(self) -> None:
        """One source has so many places; for one more its oldest goes.  Another one has its own."""
        self.enter("192.0.2.7", MAX_PENDING_PER_SOURCE)
        self.assertEqual(self.aborted, [])
        self.enter("192.0.2.7")
        self.enter("192.0.2.8")
        self.assertEqual((self.aborted, len(self.pending)), (["192.0.2.7"], MAX_PENDING_PER_SOURCE + 1))

    def test_per_network(self) -> None:
        """The networks of one line of IPv6 have few places together, though each might have more."""
        self.flood((f"2001:db8:0:{subnet:x}::1" for subnet in range(256)), 10)
        self.assertEqual(len(self.pending), MAX_PENDING_PER_NETWORK)

    def test_known_source(self) -> None:
        """A source that a client is logged in from may have more, and not all."""
        self.enter(KNOWN, MAX_PENDING_OF_KNOWN)
        self.assertEqual(self.aborted, [])
        self.enter(KNOWN)
        self.assertEqual(self.aborted, [KNOWN])

    def test_reserve(self) -> None:
        """However many strangers come, those who are known have places left, and lose none to them."""
        self.enter(KNOWN, 10)
        self.flood(f"198.51.100.{number}" for number in range(20))
        self.assertEqual(len(self.pending), MAX_PENDING - MAX_PENDING // 4 + 10)
        self.assertNotIn(KNOWN, self.aborted)
        self.aborted.clear()
        self.enter(KNOWN, MAX_PENDING_OF_KNOWN - 10)
        self.assertEqual(len(self.pending), MAX_PENDING)
        self.assertNotIn(KNOWN, self.aborted)

    def test_reserve_of_strangers(self) -> None:
        """However many come from where clients are, strangers have places left, too."""
        self.pending = PendingConnections(lambda source: source.startswith("192.0.2."))
        self.flood((f"192.0.2.{number}" for number in range(2)), MAX_PENDING_OF_KNOWN)
        self.flood(f"198.51.100.{number}" for number in range(2))
        self.assertEqual(len(self.pending), MAX_PENDING)
        self.assertFalse([host for host in self.aborted if host.startswith("198.")])

    def test_honest_newcomer(self) -> None:
        """Who comes while others have all the places gets one, and keeps it while they come again."""
        attackers = [f"198.51.100.{number}" for number in range(9)]
        self.flood(attackers)
        self.enter("203.0.113.5")
        self.flood(attackers * 3)
        self.assertNotIn("203.0.113.5", self.aborted)

    def test_scarce(self) -> None:
        """Strangers keep a quarter of the places once there are few descriptors left, whoever comes."""
        self.flood(f"198.51.100.{number}" for number in range(4))
        self.enter(KNOWN, is_scarce=True)
        self.assertEqual(len(self.pending), MAX_PENDING // 4 + 1)
        self.enter("203.0.113.5", is_scarce=True)
        self.assertEqual(len(self.pending), MAX_PENDING // 4 + 1)
        self.assertNotIn("203.0.113.5", self.aborted)
        self.assertNotIn(KNOWN, self.aborted)

    def test_crowded(self) -> None:
        """It is crowded when strangers have half of the places; those who are known do not count."""
        self.enter(KNOWN, 10)
        self.flood(f"198.51.100.{number}" for number in range(4))
        self.assertFalse(self.pending.is_crowded)
        self.enter("203.0.113.5")
        self.assertTrue(self.pending.is_crowded)

    def test_dropped_since(self) -> None:
        """It is known until when nobody had to make room."""
        pending = PendingConnections(lambda source: False, 4)
        self.assertFalse(pending.has_dropped_since(0.0))
        for now in (1.0, 2.0, 3.0, 4.0):
            pending.enter(origin("192.0.2.7"), lambda: None, now)
        self.assertTrue(pending.has_dropped_since(4.0))
        self.assertFalse(pending.has_dropped_since(4.1))

    def test_left(self) -> None:
        """A place that was left is free again, once."""
        first, second = self.enter("192.0.2.7", 2)
        first.release()
        first.release()
        self.assertEqual(len(self.pending), 1)
        second.release()
        self.assertEqual(len(self.pending), 0)

    def test_abort_all(self) -> None:
        """All can be dropped at once, known or not."""
        self.enter(KNOWN)
        self.enter("192.0.2.7")
        self.pending.abort_all()
        self.assertEqual(sorted(self.aborted), [KNOWN, "192.0.2.7"])

    @given(
        st.integers(4, 20),
        st.lists(st.tuples(st.sampled_from([KNOWN, "192.0.2.7", "192.0.2.8", "2001:db8::1"]), st.booleans())),
    )
    def test_bounds(self, most: int, comers: list[tuple[str, bool]]) -> None:
        """Whoever comes, nobody has more than is allowed, and strangers cost nobody who is known a place."""
        pending = PendingConnections(lambda source: source == KNOWN, most)
        hosts: dict[Slot, str] = {}
        for host, is_scarce in comers:
            slot, dropped = pending.enter(origin(host), lambda: None, 0.0, is_scarce)
            hosts[slot] = host
            lost = [hosts.pop(each) for each in dropped]
            if host != KNOWN:
                self.assertNotIn(KNOWN, lost)
            self.assertEqual(len(pending), len(hosts))
            self.assertLessEqual(len(pending), most)
            known = sum(each == KNOWN for each in hosts.values())
            self.assertLessEqual(max(known, len(hosts) - known), most - most // 4)
