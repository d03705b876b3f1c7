"""The last lines of the log, and those that come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

import msgspec
from attrs import frozen
from twisted.logger import LogLevel

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.own.events import SIGN
from relaykit.administration.own.openapi import PREFIX, own_failure
from relaykit.administration.own.shapes import LogLine as ToldLine
from relaykit.administration.own.shapes import LogLines
from relaykit.administration.routes import Route
from relaykit.administration.streams import MOST_WAITING
from relaykit.logs.tail import MOST_LINES, LogLine, LogTail

__all__ = ["log_routes"]

_USUAL_LINES = 100

_MOST_BEFORE = MOST_WAITING // 2
"""Lines before those that come, the last ones: who takes them slowly has room for as many new ones."""

_LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}

_ASKS = {
    "level": "debug, info, warn or error: those of this level and above it; else all",
    "after": "number of a line: those behind it",
}


def log_routes(tail: LogTail | None) -> Iterator[Route]:
    """Asking for the log of a role; ``tail`` is None where nothing is remembered."""
    if tail is None:
        return
    api = _Log(tail)
    yield Route(
        method="GET",
        path=f"{PREFIX}/log",
        handler=api.some,
        failed=own_failure,
        summary="The last lines of the log that are remembered, the oldest first.",
        told=LogLines,
        asks={**_ASKS, "limit": f"most lines, the last ones; at most {MOST_LINES}, else {_USUAL_LINES}"},
    )
    yield Route(
        method="GET",
        path=f"{PREFIX}/log/stream",
        handler=api.stream,
        failed=own_failure,
        summary="The lines of the log from now on, or behind one of those before, as server-sent events.",
        asks=_ASKS,
    )


@frozen
class _Log:
    _tail: LogTail

    def some(self, call: Call) -> Answer:
        """The last ones."""
        limit = _number(call, "limit", _USUAL_LINES)
        if limit > MOST_LINES:
            raise _bad(f"limit must be at most {MOST_LINES}")
        found = self._tail.last(limit, _number(call, "after", 0), _level(call)) if limit else ()
        return json_answer(LogLines(last=self._tail.last_number, items=[_told(each) for each in found]))

    def stream(self, call: Call) -> Answer:
        """Those that come."""
        tail, level = self._tail, _level(call)
        after = _number(call, "after", tail.last_number)
        if last_seen := _seen(call):
            # The program may be another one by now, which counts from the start.
            after = last_seen if last_seen <= tail.last_number else 0

        def follow(reader: Callable[[bytes], None]) -> Callable[[], None]:
            for each in tail.last(_MOST_BEFORE, after, level):
                reader(_part(each))
            return tail.follow(lambda line: None if level and line.level < level else reader(_part(line)))

        return Answer(
            type="text/event-stream", headers={"Cache-Control": "no-store"}, stream=follow, sign=SIGN
        )


def _part(line: LogLine) -> bytes:
    return b"event: line\nid: %d\ndata: %b\n\n" % (line.number, msgspec.json.encode(_told(line)))


def _told(line: LogLine) -> ToldLine:
    return ToldLine(
        number=line.number,
        at=line.at,
        level=line.level.name,
        source=line.source,
        text=line.text,
        problem=line.problem,
    )


def _level(call: Call) -> LogLevel | None:
    text = call.first("level")
    if text and text not in _LEVELS:
        raise _bad(f"level must be one of {', '.join(_LEVELS)}")
    return _LEVELS.get(text)


def _seen(call: Call) -> int:
    """The line that a reader had last who comes again; 0 for one who is new.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.4.
    """
    text = call.header("Last-Event-ID")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _number(call: Call, key: str, default: int) -> int:
    text = call.first(key)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise _bad(f"{key} must be a whole number")
    return int(text)


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)
