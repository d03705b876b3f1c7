"""Log observers: which events are written, in which form, and where to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from attrs import define, field, frozen
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from zope.interface import implementer

from relaykit.logs.files import RotatedFile
from relaykit.logs.lines import LineForm, colored, frp_line, json_line
from relaykit.logs.place import PLACE, place_of_caller

__all__ = ["CONSOLE", "LogSettings", "LogWriter", "is_told", "log_writer"]

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


@frozen
class _Output:
    """Where lines go, and which.

    :ivar write: takes the text and its time (seconds since 1970).
    :ivar file: the file that it goes to, if there is one.
    """

    form: LineForm
    write: Callable[[str, float], None]
    level: str
    file: RotatedFile | None = None


def is_told(event: LogEvent, level: str) -> bool:
    """Whether an event is important enough for a log of this level, one of those of :class:`LogSettings`."""
    own = event.get("log_level")
    if own is None or own < _LEVELS[level]:
        return False
    if own > LogLevel.info or level == "trace":
        return True
    return not (event.get("log_namespace") or "").startswith(_FRAMEWORK)


@implementer(ILogObserver)
@define(eq=False)
class LogWriter:
    """Writes the events that are important enough.

    :param make: makes an output of settings; raises OSError where its file cannot be opened.
    """

    _make: Callable[[LogSettings], _Output]
    _output: _Output
    _last: deque[str] = field(init=False, factory=lambda: deque(maxlen=_LAST_PROBLEMS))

    def __call__(self, event: LogEvent) -> None:
        output = self._output
        if not is_told(event, output.level):
            return
        if event["log_level"] >= LogLevel.warn:
            self._last.append(formatEvent(event))
        output.write(output.form(event, event.get(PLACE) or place_of_caller()), event["log_time"])

    def has_shown(self, text: str) -> bool:
        """Whether one of the last warnings and errors on the console had this text in it."""
        return self._output.file is None and any(text in each for each in self._last)

    def reopen(self) -> None:
        """Goes on in the file that has the log's name now, and says so: what SIGHUP asks a program for."""
        if self._output.file is None:
            log.info("SIGHUP: the log has no file to open again")
            return
        try:
            self._output.file.reopen()
        except OSError as error:
            log.warn(
                "the log file cannot be opened again, the former one goes on: {reason}",
                reason=error.strerror,
                problem="log-file",
            )
            return
        log.info("SIGHUP: the log file was opened again")

    def change(self, settings: LogSettings) -> None:
        """Goes on as these settings say.

        :raises OSError: their file cannot be opened; the log goes on as before.
        """
        former, self._output = self._output, self._make(settings)
        if former.file is not None:
            former.file.close()


def log_writer(
    settings: LogSettings, console: TextIO, complain: Callable[[str], None] = lambda text: None
) -> LogWriter:
    """The observer for these settings.

    :param complain: is told when a file that was opened cannot be written, for the log cannot tell.
    :raises OSError: the file cannot be opened.
    """

    def make(settings: LogSettings) -> _Output:
        return _output(settings, console, complain)

    return LogWriter(make, make(settings))


def _output(settings: LogSettings, console: TextIO, complain: Callable[[str], None]) -> _Output:
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
        return _Output(form, file.write, settings.level, file)
    if settings.color and settings.format != "json":
        form = colored(form)
    return _Output(form, _to_stream(console), settings.level)


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
