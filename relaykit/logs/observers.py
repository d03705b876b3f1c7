"""Log observers: which events are written, in which form, and where to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from attrs import field, frozen
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from zope.interface import implementer

from relaykit.logs.files import RotatedFile
from relaykit.logs.lines import LineForm, colored, frp_line, json_line
from relaykit.logs.place import PLACE, place_of_caller

__all__ = ["CONSOLE", "LogSettings", "LogWriter", "log_writer"]

log = Logger()

CONSOLE = "console"
"""The name of standard output where a file could be."""

_LEVELS = {
    "trace": LogLevel.debug,
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}
_FRAMEWORK = ("twisted.", "log_legacy")
"""Namespaces whose routine events are not ours to tell; ``trace`` shows them."""

_LAST_PROBLEMS = 8
"""Warnings and errors that are remembered, for who would else say the same again: an end has few of them."""


@frozen(kw_only=True)
class LogSettings:
    """What of the log is written, and where to.

    :ivar to: ``console``, or the path of a file.
    :ivar level: ``trace``, ``debug``, ``info``, ``warn`` or ``error``.
    :ivar max_days: days that rotated files are kept; negative keeps them for ever.
    :ivar color: whether lines on the console are colored.
    :ivar format: ``text`` (as frp writes it) or ``json``.
    """

    to: str = CONSOLE
    level: str = "info"
    max_days: int = 3
    color: bool = True
    format: str = "text"


@implementer(ILogObserver)
@frozen
class LogWriter:
    """Writes the events that are important enough.

    :param write: takes the text and its time (seconds since 1970).
    :param file: the file that it goes to, if there is one.
    """

    _form: LineForm
    _write: Callable[[str, float], None]
    _level: str
    _file: RotatedFile | None = None
    _least: LogLevel = field(init=False)
    _last: deque[str] = field(init=False, factory=lambda: deque(maxlen=_LAST_PROBLEMS))

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_least", _LEVELS[self._level])

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level is None or level < self._least:
            return
        if level <= LogLevel.info and self._level != "trace":
            namespace = event.get("log_namespace") or ""
            if namespace.startswith(_FRAMEWORK):
                return
        if level >= LogLevel.warn:
            self._last.append(formatEvent(event))
        self._write(self._form(event, event.get(PLACE) or place_of_caller()), event["log_time"])

    def has_shown(self, text: str) -> bool:
        """Whether one of the last warnings and errors on the console had this text in it."""
        return self._file is None and any(text in each for each in self._last)

    def reopen(self) -> None:
        """Goes on in the file that has the log's name now, and says so: what SIGHUP asks a program for."""
        if self._file is None:
            log.info("SIGHUP: the log has no file to open again, and the configuration is not read again")
            return
        try:
            self._file.reopen()
        except OSError as error:
            log.warn(
                "the log file cannot be opened again, the former one goes on: {reason}",
                reason=error.strerror,
                problem="log-file",
            )
            return
        log.info("SIGHUP: the log file was opened again; the configuration is not read again")


def log_writer(
    settings: LogSettings, console: TextIO, complain: Callable[[str], None] = lambda text: None
) -> LogWriter:
    """The observer for these settings.

    :param complain: is told when a file that was opened cannot be written, for the log cannot tell.
    :raises OSError: the file cannot be opened.
    """
    form: LineForm = json_line if settings.format == "json" else frp_line
    if settings.to != CONSOLE:
        file = RotatedFile(
            Path(settings.to),
            settings.max_days,
            lambda reason: complain(f"the log {settings.to} cannot be written: {reason}"),
            lambda lost: log.warn(
                "{lines} lines of this log could not be written", lines=lost, problem="log-full"
            ),
        )
        return LogWriter(form, file.write, settings.level, file)
    if settings.color and settings.format != "json":
        form = colored(form)
    return LogWriter(form, _to_stream(console), settings.level)


def _to_stream(stream: TextIO) -> Callable[[str, float], None]:
    def write(text: str, now: float) -> None:
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError as error:
                stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
            stream.flush()
        except (OSError, ValueError):  # whoever read it is gone, or it was closed
            return

    return write
