"""Makes one line of text of a log event: frp's form, or one JSON object.

A line never contains a control character that came with an event's fields: what a peer sends can
neither forge a line nor speak to a terminal.  Nor is it ever longer than a few thousand characters.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

from relaykit.escaping import shown

__all__ = [
    "CONTEXT",
    "MOST_TEXT",
    "LineForm",
    "colored",
    "frp_line",
    "in_color",
    "json_line",
    "line_of",
    "told_text",
]

LineForm = Callable[[LogEvent, str], str]
"""Makes a line, newline included, of an event and the place in the source that it came from."""

MOST_TEXT = 5000
"""Characters of one text in the log, escapes as they are written; the longest of ours is a list of addresses,
which ends at 4,096."""

CONTEXT = ("run", "proxy")
"""Fields that tell whose event it is; frp puts them in brackets before the text."""

_LETTERS = {
    LogLevel.debug: "D",
    LogLevel.info: "I",
    LogLevel.warn: "W",
    LogLevel.error: "E",
    LogLevel.critical: "E",
}
_COLORS = {
    LogLevel.debug: "\x1b[1;36m",
    LogLevel.info: "\x1b[1;34m",
    LogLevel.warn: "\x1b[1;33m",
    LogLevel.error: "\x1b[1;31m",
    LogLevel.critical: "\x1b[1;31m",
}
_RESET = "\x1b[0m"


def frp_line(event: LogEvent, source: str) -> str:
    """``2024-05-06 07:08:09.123 [I] [server/service.py:21] [run] [proxy] text``, in local time.

    A traceback follows on lines of its own.
    """
    return line_of(event["log_time"], event["log_level"], source, told_text(event))


def line_of(at: float, level: LogLevel, source: str, text: str) -> str:
    """Such a line of what it is made of; ``at`` is in seconds since 1970."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    return f"{stamp}.{int(at % 1 * 1000):03} [{_LETTERS[level]}] [{source}] {text}\n"


def told_text(event: LogEvent) -> str:
    """What such a line has behind the place, without the newline: context, text, and a traceback below."""
    rows = [f"{_context(event)}{shown(formatEvent(event), MOST_TEXT)}"]
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        rows += (f"    {shown(row, MOST_TEXT)}" for row in failure.getTraceback().splitlines())
    return "\n".join(rows)


def json_line(event: LogEvent, source: str) -> str:
    """One JSON object: time (ISO 8601 with offset), level, source, message, and the event's fields."""
    entry: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"]).astimezone().isoformat(timespec="milliseconds"),
        "level": event["log_level"].name,
        "source": source,
        "namespace": event.get("log_namespace", ""),
        "message": _cut(formatEvent(event)),
    }
    for name, value in event.items():
        if not name.startswith("log_"):
            entry.setdefault(name, _json_value(value))
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        entry["traceback"] = failure.getTraceback()
    return json.dumps(entry, ensure_ascii=True) + "\n"


def colored(form: LineForm) -> LineForm:
    """The same form, each line in the color of its level; the newline is inside, as frp has it."""
    return lambda event, source: in_color(form(event, source), event["log_level"])


def in_color(line: str, level: LogLevel) -> str:
    """A line in the color of its level."""
    return f"{_COLORS[level]}{line}{_RESET}"


def _context(event: LogEvent) -> str:
    """The context in brackets, so far as the text does not mention it itself."""
    text = event.get("log_format") or ""
    names = (name for name in CONTEXT if event.get(name) and f"{{{name}" not in text)
    return "".join(f"[{shown(str(event[name]), MOST_TEXT)}] " for name in names)


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_cut(str(key)): _json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    return _cut(str(value))


def _cut(text: str) -> str:
    """The beginning of a text; JSON escapes by itself, with six characters at most."""
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."
