"""The bytes of each proxy by day, for the last week, in memory; a history has those before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.history.keeper import HistoryUnavailable
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.values import Amount

__all__ = ["DAYS", "LOOK_S", "DailyTraffic", "Moved", "ReadDays"]

DAYS = 7
"""Days that are told of, today included; frp's figure.  Of each day only proxies are kept that moved
anything, some 100 bytes for each."""

LOOK_S = 60.0
"""Seconds between two looks at the date: the traffic of a day's first ones may count for the day before."""

Moved: TypeAlias = tuple[int, int]
"""Bytes from users to the client, and the other way."""

ReadDays: TypeAlias = "Callable[[date, date], Deferred[Mapping[date, Mapping[str, Amount]]]]"
"""Reads what each proxy has moved on the days from one to another one, before the start of the role; fails
with :class:`relaykit.history.keeper.HistoryUnavailable`."""

_NOTHING: Moved = (0, 0)


class DailyTraffic(Service):
    """Tells totals, which only grow, apart by the days of the local calendar.

    :param totals: the proxies by their names, with what each has moved up to now, from none at the start on.
    :param today: the date here.
    :param read_days: what was moved before the start; None where nobody knows.
    """

    log = Logger()

    def __init__(
        self,
        totals: Callable[[], Iterable[tuple[str, Moved]]],
        clock: IReactorTime,
        today: Callable[[], date] = date.today,
        read_days: ReadDays | None = None,
    ) -> None:
        self._totals = totals
        self._clock = clock
        self._today = today
        self._date = today()
        self._begun_at: Mapping[str, Moved] = {}
        """What each proxy had moved when the day began."""
        self._days: dict[date, Mapping[str, Moved]] = {}
        self._earlier: Mapping[str, Moved] = {}
        """What each had moved today before the start."""
        self._read_days = read_days
        self._timer = Timer(clock, self._look)

    def startService(self) -> None:
        super().startService()
        self._date = today = self._today()
        if self._read_days is not None:
            self._begun_at, self._days, self._earlier = {}, {}, {}
            reading = self._read_days(today - timedelta(days=DAYS - 1), today)
            reading.addCallback(self._add, today).addErrback(self._not_read)
        self._look()

    def stopService(self) -> None:
        super().stopService()
        self._timer.set(None)

    def traffic_of(self, name: str, total: Moved) -> Sequence[tuple[date, Moved]]:
        """What a proxy, which has moved so much up to now, has moved on each day, today first."""
        self._turn()
        days = [self._date - timedelta(days=number) for number in range(DAYS)]
        moved = {day: self._days.get(day, {}).get(name, _NOTHING) for day in days}
        moved[self._date] = self._today_of(name, total)
        return list(moved.items())

    def today_of(self, name: str, total: Moved) -> Moved:
        """What it has moved today."""
        self._turn()
        return self._today_of(name, total)

    def today_of_all(self, totals: Mapping[str, Moved]) -> Moved:
        """What all have moved today: these, and those that have not been there since the start."""
        self._turn()
        moved = [self._today_of(name, total) for name, total in totals.items()]
        moved += [each for name, each in self._earlier.items() if name not in totals]
        return sum(to_client for to_client, _ in moved), sum(to_user for _, to_user in moved)

    def _today_of(self, name: str, total: Moved) -> Moved:
        since = _since(self._begun_at.get(name, _NOTHING), total)
        return _sum(self._earlier.get(name, _NOTHING), since)

    def _add(self, found: Mapping[date, Mapping[str, Amount]], started: date) -> None:
        """Knows what was moved before the start, which was on that day."""
        for day, amounts in found.items():
            moved = {name: (each.bytes_in, each.bytes_out) for name, each in amounts.items()}
            if day == self._date:
                self._earlier = moved
            elif day <= started:
                since = self._days.get(day, {})
                self._days[day] = {
                    name: _sum(moved.get(name, _NOTHING), since.get(name, _NOTHING))
                    for name in {*moved, *since}
                }

    def _not_read(self, failure: Failure) -> None:
        """The history says itself that it cannot be used."""
        if not failure.check(HistoryUnavailable):
            self.log.failure("a defect in what was moved before the start", failure)

    def _look(self) -> None:
        self._turn()
        self._timer.set(self._clock.seconds() + LOOK_S)

    def _turn(self) -> None:
        """Ends the day, if it is over."""
        today = self._today()
        if today == self._date:
            return
        totals = dict(self._totals())
        moved = ((name, self._today_of(name, total)) for name, total in totals.items())
        of_day = {name: each for name, each in moved if each != _NOTHING}
        self._days[self._date] = {**self._earlier, **of_day}
        self._begun_at, self._date, self._earlier = totals, today, {}
        oldest = today - timedelta(days=DAYS - 1)
        self._days = {day: each for day, each in self._days.items() if oldest <= day < today}


def _since(before: Moved, now: Moved) -> Moved:
    """What was moved between two totals; who begins anew, as under another type, has moved all of it."""
    if now[0] < before[0] or now[1] < before[1]:
        return now
    return now[0] - before[0], now[1] - before[1]


def _sum(some: Moved, more: Moved) -> Moved:
    return some[0] + more[0], some[1] + more[1]
