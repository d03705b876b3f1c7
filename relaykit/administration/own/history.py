"""What was moved in former times, in columns to be plotted."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeAlias

from attrs import frozen

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import History
from relaykit.administration.routes import Route
from relaykit.history.grains import LATEST_S, Grain, begin_of, kept, number_of, seconds_of
from relaykit.history.keeper import HistoryUnavailable
from relaykit.history.subjects import WHOLE, Columns, Subject, SubjectKind

__all__ = ["MOST_POINTS", "ReadHistory", "history_routes"]

MOST_POINTS = 3000
"""Points of one answer: all the minutes that are kept.  Some 100 KB of JSON."""

_POINTS = {Grain.MINUTE: 180, Grain.HOUR: 7 * 24, Grain.DAY: 90}
"""Points of an answer where none were asked for: three hours, a week, a quarter."""

_SUBJECTS = {"proxy": SubjectKind.PROXY, "client": SubjectKind.CLIENT}

_SPAN = {
    "grain": "minute, hour or day; else hour",
    "from": "seconds since 1970; the first point is the one that this is in",
    "to": "likewise the last one; else now",
}

ReadHistory: TypeAlias = Callable[[Subject, Grain, range], Awaitable[Columns]]
"""Reads what was moved in some minutes, hours or days, by their numbers; one point for each.

:raises HistoryUnavailable: it cannot be read at the moment.
"""


def history_routes(
    read: ReadHistory | None, wall_clock: Callable[[], float], subjects: Mapping[str, str]
) -> Iterator[Route]:
    """Asking for the history of a role.

    :param read: None where none is kept.
    :param wall_clock: seconds since 1970.
    :param subjects: the keys of the query that say whose it is, with what each is for; at most one is given.
    """
    api = _History(read, wall_clock, subjects)
    yield Route(
        method="GET",
        path=f"{PREFIX}/history",
        handler=api.some,
        failed=own_failure,
        summary="What was moved, by minute, hour or day: all of it, or that of one proxy or client.",
        told=History,
        asks={**subjects, **_SPAN},
    )


@frozen
class _History:
    _read: ReadHistory | None
    _wall_clock: Callable[[], float]
    _subjects: Mapping[str, str]

    async def some(self, call: Call) -> Answer:
        """The points of a span."""
        if self._read is None:
            raise CallFailed(
                HTTPStatus.NOT_FOUND,
                "no history is kept: there is no state directory, or keepHistory is false",
            )
        subject = self._subject(call)
        grain = _grain(call)
        numbers = _numbers(call, grain, self._wall_clock())
        try:
            columns = await self._read(subject, grain, numbers)
        except HistoryUnavailable as error:
            raise CallFailed(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return json_answer(
            History(
                proxy=subject.name if subject.kind is SubjectKind.PROXY else "",
                client=subject.name if subject.kind is SubjectKind.CLIENT else "",
                grain=grain.value,
                times=[begin_of(grain, each) for each in numbers],
                bytes_in=list(columns.bytes_in),
                bytes_out=list(columns.bytes_out),
                connections=list(columns.connections),
            )
        )

    def _subject(self, call: Call) -> Subject:
        given = [key for key in self._subjects if call.first(key)]
        if not given:
            return WHOLE
        key, *more = given
        if more:
            raise _bad(f"{' and '.join(given)} cannot be given together")
        return Subject(_SUBJECTS[key], call.first(key))


def _grain(call: Call) -> Grain:
    text = call.first("grain") or Grain.HOUR.value
    try:
        return Grain(text)
    except ValueError:
        raise _bad(f"grain must be one of {', '.join(each.value for each in Grain)}") from None


def _numbers(call: Call, grain: Grain, now: float) -> range:
    """The minutes, hours or days that are asked for."""
    last = number_of(grain, _time(call, "to", now))
    default = begin_of(grain, last) - (_POINTS[grain] - 1) * seconds_of(grain)
    first = number_of(grain, _time(call, "from", max(0, default)))
    if first > last:
        raise _bad("from must not be after to")
    if last - first >= MOST_POINTS:
        raise _bad(
            f"these are {last - first + 1} points, and {MOST_POINTS} are the most: choose a shorter span, or "
            f"a coarser grain; {kept(grain)} of this grain are kept"
        )
    return range(first, last + 1)


def _time(call: Call, key: str, default: float) -> float:
    text = call.first(key)
    if not text:
        return default
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if not 0 <= time <= LATEST_S:
        raise _bad(f"{key} must be a number of seconds since 1970")
    return time


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)
