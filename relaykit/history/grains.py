"""Minutes, hours and days: which one a time is in, when it begins, and how long what was in it is kept.

Each is known by a number, and the one after it by the next number.  Minutes and hours are those since 1970.
Days are those of the local calendar, so that the one on which summer time begins has 23 hours; their number
is that of the date, which stays the same when the machine is taken to another time zone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import date, datetime

from attrs import frozen

__all__ = [
    "GRAINS",
    "KEPT_DAYS",
    "KEPT_DAYS_OF_HOURS",
    "KEPT_DAYS_OF_MINUTES",
    "LATEST_S",
    "Calendar",
    "Grain",
    "begin_of",
    "kept",
    "number_of",
    "seconds_of",
]

LATEST_S = 2**33
"""Seconds since 1970 of the latest time that is one, in the year 2242: calendars of machines end later."""

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 24 * HOUR_S

KEPT_DAYS_OF_MINUTES = 2
"""For what happened last night, in detail."""

KEPT_DAYS_OF_HOURS = 14
"""Two weeks, to be held against each other."""

KEPT_DAYS = 90
"""Days that are kept: a quarter of a year."""


class Grain(enum.Enum):
    """How finely time is divided."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


@frozen
class Calendar:
    """How one grain counts.

    :ivar seconds: of one; of a day mostly.
    :ivar kept: how many are kept, the present one included.
    :ivar number: which one a time is in; seconds since 1970.
    :ivar begin: when one begins, likewise.
    """

    seconds: int
    kept: int
    number: Callable[[float], int]
    begin: Callable[[int], int]


def _day(time: float) -> int:
    return date.fromtimestamp(time).toordinal()


def _begin_of_day(number: int) -> int:
    day = date.fromordinal(number)
    return int(datetime(day.year, day.month, day.day).timestamp())


def _even(seconds: int, days: int) -> Calendar:
    return Calendar(
        seconds, days * DAY_S // seconds, lambda time: int(time // seconds), lambda number: number * seconds
    )


GRAINS: Mapping[Grain, Calendar] = {
    Grain.MINUTE: _even(MINUTE_S, KEPT_DAYS_OF_MINUTES),
    Grain.HOUR: _even(HOUR_S, KEPT_DAYS_OF_HOURS),
    Grain.DAY: Calendar(DAY_S, KEPT_DAYS, _day, _begin_of_day),
}
"""Of each grain."""


def number_of(grain: Grain, time: float) -> int:
    """The minute, hour or day that a time is in; ``time`` is between 0 and :data:`LATEST_S`."""
    return GRAINS[grain].number(time)


def begin_of(grain: Grain, number: int) -> int:
    """When a minute, hour or day begins, in seconds since 1970."""
    return GRAINS[grain].begin(number)


def seconds_of(grain: Grain) -> int:
    """Seconds of one; of a day mostly."""
    return GRAINS[grain].seconds


def kept(grain: Grain) -> int:
    """How many are kept, the present one included."""
    return GRAINS[grain].kept
