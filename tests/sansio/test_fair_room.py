"""Tests of places that many sources share."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.fair_room import FairRoom
from relaykit.sansio.sources import Source, source_of_host

FLOOD = source_of_host("192.0.2.1")
HONEST = source_of_host("192.0.2.2")

_SOURCES = st.sampled_from(
    [source_of_host(f"2001:db8:0:{subnet:x}::1") for subnet in (0, 1, 2, 0x100, 0x101, 0x200)]
    + [source_of_host(f"192.0.2.{number}") for number in range(4)]
)


class FairRoomTests(SynchronousTestCase):
    """Tests for :class:`FairRoom`."""

    def test_most_gives_way(self) -> None:
        """Whoever has most loses its oldest; who has few places keeps them, however old."""
        room: FairRoom[int] = FairRoom(4)
        self.assertIsNone(room.enter(0, HONEST))
        lost = [room.enter(number, FLOOD) for number in range(1, 100)]
        self.assertEqual(lost, [None, None, None, *range(1, 97)])
        self.assertEqual(list(room), [0, 97, 98, 99])

    def test_newcomer(self) -> None:
        """Who comes while others have all the places gets one."""
        room: FairRoom[int] = FairRoom(4)
        for number in range(4):
            room.enter(number, FLOOD)
        self.assertEqual([room.enter(number, HONEST) for number in (4, 5)], [0, 1])

    def test_one_each(self) -> None:
        """Where all have one place the one that was there first gives way."""
        room: FairRoom[int] = FairRoom(3)
        lost = [room.enter(number, source_of_host(f"192.0.2.{number}")) for number in range(6)]
        self.assertEqual(lost, [None, None, None, 0, 1, 2])

    def test_wide_network(self) -> None:
        """Who has many networks within a wide one has no more than others for it."""
        room: FairRoom[int] = FairRoom(8)
        room.enter(0, source_of_host("2001:db8:1::1"))
        for number in range(1, 100):
            room.enter(number, source_of_host(f"2001:db8:2:{number % 256:x}::1"))
            self.assertIn(0, list(room))
        self.assertEqual(len(room), 8)

    def test_limits(self) -> None:
        """A source and a wide network have limits of their own, with room left or not."""
        room: FairRoom[int] = FairRoom(100, 2, 3)
        first, second = (source_of_host(f"2001:db8::{subnet}:0:0:0:1") for subnet in (1, 2))
        self.assertEqual([room.enter(number, first) for number in range(3)], [None, None, 0])
        self.assertEqual([room.enter(number, second) for number in (3, 4)], [None, 1])
        self.assertEqual([room.enter(number, FLOOD) for number in (5, 6, 7)], [None, None, 5])

    def test_renewed(self) -> None:
        """Who is renewed goes after those of its source that came in between."""
        room: FairRoom[int] = FairRoom(3)
        for number in range(3):
            room.enter(number, FLOOD)
        room.renew(0)
        room.renew(99)
        self.assertEqual([room.enter(number, FLOOD) for number in (3, 4, 5)], [1, 2, 0])

    def test_leaving(self) -> None:
        """A place that was left is free again; leaving twice changes nothing, and nothing is left over."""
        room: FairRoom[int] = FairRoom(2)
        for number in range(3):
            room.enter(number, FLOOD)
        for number in (0, 1, 1, 2):
            room.leave(number)
        self.assertEqual((len(room), room._all.parts, room._all.size), (0, {}, 0))
        self.assertIsNone(room.dismiss())
        self.assertEqual([room.enter(number, FLOOD) for number in range(2)], [None, None])
        self.assertEqual((room.dismiss(), list(room)), (0, [1]))

    @given(st.lists(st.tuples(_SOURCES, st.integers(-1, 20)), max_size=60))
    def test_against_a_list(self, steps: list[tuple[Source, int]]) -> None:
        """Whatever comes and goes, the bounds hold, and who loses its place is of whoever had most."""
        room: FairRoom[int] = FairRoom(6, 4, 5)
        there: dict[int, Source] = {}
        for number, (source, leaving) in enumerate(steps):
            if leaving >= 0:
                if there:
                    gone = list(there)[leaving % len(there)]
                    del there[gone]
                    room.leave(gone)
                continue
            there[number] = source
            lost = room.enter(number, source)
            if lost is not None:
                widest = Counter(each[0] for each in there.values())
                counts = Counter(each[-1] for each in there.values())
                loser = there.pop(lost)
                if len(there) == 6:
                    self.assertTrue(
                        widest[loser[0]] == max(widest.values()) or counts[source[-1]] > 4, (loser, source)
                    )
                self.assertEqual(lost, min([each for each, of in there.items() if of == loser] + [lost]))
            self.assertEqual(list(room), list(there))
            self.assertLessEqual(len(there), 6)
            self.assertLessEqual(max(Counter(there.values()).values()), 4)
