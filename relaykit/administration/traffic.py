"""The bytes of each proxy by day, for the last week, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeAlias

from twisted.application.service import Service

from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = ["DAYS", "LOOK_S", "DailyTraffic", "Moved"]

DAYS = 7
"""Days that are told of, today included; frp's figure.  Of each day only proxies are kept that moved
anything, some 100 bytes for each."""

LOOK_S = 60.0
"""Seconds between two looks at the date: the traffic of a day's first ones may count for the day before."""

Moved: TypeAlias = tuple[int, int]
"""Bytes from users to the client, and the other way."""

_NOTHING: Moved = (0, 0)


class DailyTraffic(Service):
    """Tells totals, which only grow, apart by the days of the local calendar, from its start on.

    :param totals: the proxies by their names, with what each has moved up to now.
    :param today: the date here.
    """

    def __init__(
        self,
        totals: Callable[[], Iterable[tuple[str, Moved]]],
        clock: IReactorTime,
        today: Callable[[], date] = date.today,
    ) -> None:
        self._totals = totals
        self._clock = clock
        self._today = today
        self._date = today()
        self._begun_at: Mapping[str, Moved] = {}
        """What each proxy had moved when the day began."""
        self._days: dict[date, Mapping[str, Moved]] = {}
        self._timer = Timer(clock, self._look)

    def startService(self) -> None:
        super().startService()
        self._date = self._today()
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

    def _today_of(self, name: str, total: Moved) -> Moved:
        return _since(self._begun_at.get(name, _NOTHING), total)

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
        self._days[self._date] = {name: each for name, each in moved if each != _NOTHING}
        self._begun_at, self._date = totals, today
        oldest = today - timedelta(days=DAYS - 1)
        self._days = {day: each for day, each in self._days.items() if oldest <= day < today}


def _since(before: Moved, now: Moved) -> Moved:
    """What was moved between two totals; who begins anew, as under another type, has moved all of it."""
    if now[0] < before[0] or now[1] < before[1]:
        return now
    return now[0] - before[0], now[1] - before[1]
