"""Tests for :mod:`relaykit.administration.traffic`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.traffic import DAYS, LOOK_S, DailyTraffic, Moved
from relaykit.history.keeper import HistoryUnavailable
from relaykit.values import Amount

DAY = timedelta(days=1)


class DailyTrafficTests(SynchronousTestCase):
    """Tests for what was moved on which day."""

    def setUp(self) -> None:
        self.date = date(2026, 3, 28)
        self.totals: dict[str, Moved] = {}
        self.clock = Clock()
        self.traffic = DailyTraffic(lambda: self.totals.items(), self.clock, lambda: self.date)
        self.traffic.startService()
        self.addCleanup(self.traffic.stopService)

    def days(self, name: str) -> list[Moved]:
        """What a proxy moved, today first."""
        return [moved for _, moved in self.traffic.traffic_of(name, self.totals.get(name, (0, 0)))]

    def next_day(self) -> None:
        """Midnight, and the next look."""
        self.date += DAY
        self.clock.advance(LOOK_S)

    def test_days(self) -> None:
        """Totals are told apart by days, today first, and a day that is a week ago is forgotten."""
        self.totals["a"] = 10, 1
        self.assertEqual(self.days("a"), [(10, 1)] + [(0, 0)] * (DAYS - 1))
        self.next_day()
        self.totals["a"] = 15, 1
        self.totals["b"] = 7, 7
        self.assertEqual(self.days("a")[:3], [(5, 0), (10, 1), (0, 0)])
        self.assertEqual(self.traffic.today_of("b", (7, 7)), (7, 7))
        for _ in range(DAYS - 2):
            self.next_day()
        self.assertEqual(self.days("a")[-2:], [(5, 0), (10, 1)])
        self.next_day()
        self.assertEqual(self.days("a")[-2:], [(0, 0), (5, 0)])
        days = self.traffic.traffic_of("a", (15, 1))
        self.assertEqual([day for day, _ in days], [self.date - number * DAY for number in range(DAYS)])

    def test_asked_before_the_look(self) -> None:
        """Whoever asks after midnight hears of the new day, also before the next look."""
        self.totals["a"] = 10, 1
        self.date += DAY
        self.assertEqual(self.traffic.today_of("a", (10, 1)), (0, 0))
        self.assertEqual(self.days("a")[:2], [(0, 0), (10, 1)])

    def test_days_asleep(self) -> None:
        """Days on which nothing ran have nothing, and those before them stay where they were."""
        self.totals["a"] = 10, 1
        self.date += 3 * DAY
        self.assertEqual(self.days("a")[:5], [(0, 0), (0, 0), (0, 0), (10, 1), (0, 0)])

    def test_set_back(self) -> None:
        """A clock that is set back leaves no day in the future."""
        self.totals["a"] = 10, 1
        self.date -= DAY
        self.totals["a"] = 12, 1
        self.assertEqual(self.days("a"), [(0, 0)] * DAYS)
        self.totals["a"] = 13, 1
        self.assertEqual(self.days("a")[0], (1, 0))

    def test_begun_anew(self) -> None:
        """A proxy whose totals began anew has moved all of them today."""
        self.totals["a"] = 10, 10
        self.next_day()
        self.assertEqual(self.traffic.today_of("a", (3, 12)), (3, 12))

    def test_idle(self) -> None:
        """Of a day nothing is kept about proxies that moved nothing."""
        self.totals.update(a=(0, 0), b=(1, 0))
        self.next_day()
        self.assertEqual(list(self.traffic._days.values()), [{"b": (1, 0)}])

    def test_stopped(self) -> None:
        """Once it is stopped it looks no more, and it can be started again."""
        self.traffic.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.traffic.startService()


class EarlierTrafficTests(SynchronousTestCase):
    """Tests for what was moved before the start."""

    def setUp(self) -> None:
        self.date = date(2026, 3, 29)
        self.totals: dict[str, Moved] = {}
        self.clock = Clock()
        self.asked: list[tuple[date, date]] = []
        self.reading: Deferred[Mapping[date, Mapping[str, Amount]]] = Deferred()
        self.traffic = DailyTraffic(lambda: self.totals.items(), self.clock, lambda: self.date, self.read)
        self.traffic.startService()
        self.addCleanup(self.traffic.stopService)

    def read(self, first: date, last: date) -> Deferred[Mapping[date, Mapping[str, Amount]]]:
        """Reads the history."""
        self.asked.append((first, last))
        return self.reading

    def days(self, name: str) -> list[Moved]:
        """What a proxy moved, today first."""
        return [moved for _, moved in self.traffic.traffic_of(name, self.totals.get(name, (0, 0)))]

    def test_added(self) -> None:
        """It is added to what was moved since, today and on the days before."""
        self.assertEqual(self.asked, [(self.date - 6 * DAY, self.date)])
        self.totals["a"] = 3, 0
        self.assertEqual(self.days("a")[0], (3, 0))
        self.reading.callback(
            {
                self.date: {"a": Amount(10, 1, 1), "b": Amount(7, 7, 1)},
                self.date - 2 * DAY: {"a": Amount(4, 4, 1)},
            }
        )
        self.assertEqual(self.days("a")[:3], [(13, 1), (0, 0), (4, 4)])
        self.assertEqual(self.traffic.today_of_all(self.totals), (20, 8))
        self.date += DAY
        self.totals["a"] = 5, 0
        self.assertEqual(self.days("a")[:4], [(0, 0), (15, 1), (0, 0), (4, 4)])
        self.assertEqual(self.days("b")[:2], [(0, 0), (7, 7)])
        self.assertEqual(self.traffic.today_of_all(self.totals), (0, 0))

    def test_read_after_midnight(self) -> None:
        """Where it comes only when the day is over it counts for that day."""
        self.totals["a"] = 3, 0
        started = self.date
        self.date += DAY
        self.assertEqual(self.days("a")[:2], [(0, 0), (3, 0)])
        self.reading.callback({started: {"a": Amount(10, 1, 1)}})
        self.assertEqual(self.days("a")[:2], [(0, 0), (13, 1)])

    def test_unavailable(self) -> None:
        """Where it cannot be read it is as if there was nothing."""
        self.reading.errback(HistoryUnavailable("no"))
        self.assertEqual(self.days("a"), [(0, 0)] * DAYS)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_defect(self) -> None:
        """A defect is told to the log, and hurts nobody."""
        self.reading.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_started_again(self) -> None:
        """Another start of the role begins with what the history has then."""
        self.reading.callback({self.date: {"a": Amount(10, 1, 1)}})
        self.totals["a"] = 5, 0
        self.traffic.stopService()
        self.reading, self.totals = Deferred(), {}
        self.traffic.startService()
        self.reading.callback({self.date: {"a": Amount(15, 1, 1)}})
        self.totals["a"] = 2, 0
        self.assertEqual(self.days("a")[0], (17, 1))
