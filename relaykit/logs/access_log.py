"""Where the lines about users go: a thread writes them, and what it cannot keep up with is dropped."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import localtime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.blocking import OneThread, ThreadBusy
from relaykit.logs.access import ACCESS_FORMS
from relaykit.logs.files import RotatedFile
from relaykit.logs.observers import CONSOLE

if TYPE_CHECKING:
    from relaykit.logs.access import AccessEntry

__all__ = ["MOST_LINES", "STOP_S", "AccessLog", "AccessSettings"]

MOST_LINES: Final = 20_000
"""Lines that wait for the disk, some 5 MB; those that come then are dropped and counted."""

STOP_S: Final = 2.0
"""Seconds that the last lines get when the program ends: a disk that hangs must not keep it."""

_MOST_CALLS = 8
"""Calls that wait for the thread: one with lines, and those of settings that have changed meanwhile."""

_STANDARD_OUTPUT = 1

_Line: TypeAlias = tuple[str, float]
"""A line and its time, in seconds since 1970."""


@frozen(kw_only=True)
class AccessSettings:
    """Where the lines go, and how they look.

    :ivar to: ``console``, or the path of a file.
    :ivar max_days: days that rotated files are kept; negative keeps them for ever.
    :ivar format: ``text`` or ``json``.
    """

    to: str
    max_days: int = 3
    format: str = "text"


class _Output(Protocol):
    """Where lines go; for the thread alone."""

    def write(self, lines: Sequence[_Line]) -> None: ...

    def close(self) -> None: ...


class AccessLog:
    """Takes an entry for each connection, while it is on.

    :param reactor: an IReactorFromThreads, whose time is monotonic.
    :param folder: what relative paths start from, wherever the program has gone since.
    """

    log = Logger()

    def __init__(self, reactor: Any, folder: str = "") -> None:
        self._reactor = reactor
        self._folder = os.path.abspath(folder)
        self._thread = OneThread(reactor, _MOST_CALLS, "for the access log")
        self._settings: AccessSettings | None = None
        self._output: _Output | None = None
        self._lines: list[_Line] = []
        self._is_writing = False
        self._dropped = 0

    @property
    def is_on(self) -> bool:
        """Whether it takes entries."""
        return self._output is not None

    def change(self, settings: AccessSettings | None) -> None:
        """Goes on as these settings say, None for not at all; lines that wait go where they should have."""
        if settings == self._settings:
            return
        self._write_rest()
        self._settings = settings
        self._output = None if settings is None else self._output_of(settings)

    def add(self, entry: AccessEntry) -> None:
        """Has a line written, or drops it where too many wait."""
        if self._settings is None:
            return
        if len(self._lines) >= MOST_LINES:
            self._drop(1)
            return
        self._lines.append((ACCESS_FORMS[self._settings.format](entry), entry.time))
        if not self._is_writing:
            self._write()

    def close(self) -> Deferred[None]:
        """Writes what waits, and ends; fires when that is done, or takes too long."""
        self.change(None)
        return self._thread.end().addTimeout(STOP_S, self._reactor, lambda *_: None)

    def _write(self) -> None:
        """Has the thread write all lines that wait."""
        output, lines = self._output, self._lines
        if output is None or not lines:
            return
        self._lines, self._is_writing = [], True
        self._thread.call(lambda: output.write(lines)).addErrback(self._not_written, len(lines)).addCallback(
            self._written
        )

    def _written(self, _: object) -> None:
        self._is_writing = False
        if self._dropped and not self._lines:
            dropped, self._dropped = self._dropped, 0
            self.log.warn(
                "{lines} lines of the access log are missing: its disk was too slow",
                lines=dropped,
                problem="access-log",
            )
        self._write()

    def _not_written(self, failure: Any, count: int) -> None:
        if failure.check(ThreadBusy):
            self._drop(count)
        else:
            self.log.failure("a defect of the access log", failure)

    def _write_rest(self) -> None:
        """Has lines that wait written, and their output closed."""
        output, lines = self._output, self._lines
        self._lines = []
        if output is None:
            return

        def end() -> None:
            output.write(lines)
            output.close()

        self._thread.call(end).addErrback(self._not_written, len(lines))

    def _drop(self, count: int) -> None:
        if not self._dropped:
            self.log.warn(
                "the access log cannot be written as fast as users come; lines are dropped",
                problem="access-log",
            )
        self._dropped += count

    def _output_of(self, settings: AccessSettings) -> _Output:
        if settings.to == CONSOLE:
            return _Console()
        path = Path(self._folder, settings.to)

        def failing(reason: str) -> None:
            self._reactor.callFromThread(self._tell_failing, path, reason)

        def recovered(lost: int) -> None:
            self._reactor.callFromThread(self._tell_recovered, path, lost)

        return _File(path, settings.max_days, failing, recovered)

    def _tell_failing(self, path: Path, reason: str) -> None:
        self.log.warn(
            "the access log {path} cannot be written: {reason}",
            path=path,
            reason=reason,
            problem="access-log",
        )

    def _tell_recovered(self, path: Path, lost: int) -> None:
        self.log.warn(
            "the access log {path} is written again; {lines} lines are missing",
            path=path,
            lines=lost,
            problem="access-log",
        )


class _File:
    """A file that is opened when it is needed, and again where it was moved away or could not be."""

    def __init__(
        self, path: Path, keep_days: int, failing: Callable[[str], None], recovered: Callable[[int], None]
    ) -> None:
        self._path = path
        self._keep_days = keep_days
        self._failing = failing
        self._recovered = recovered
        self._file: RotatedFile | None = None
        self._lost = 0

    def write(self, lines: Sequence[_Line]) -> None:
        try:
            file = self._opened()
        except OSError as error:
            if not self._lost:
                self._failing(error.strerror or str(error))
            self._lost += len(lines)
            return
        # As few calls as can be: for each of them a thread waits until the reactor lets go of Python's lock.
        for _, of_day in itertools.groupby(lines, lambda line: localtime(line[1])[:3]):
            texts, times = zip(*of_day, strict=True)
            file.write("".join(texts), times[0], len(texts))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> RotatedFile:
        if self._file is None:
            self._file = RotatedFile(self._path, self._keep_days, self._failing, self._recovered)
            if self._lost:
                self._recovered(self._lost)
                self._lost = 0
        elif self._file.was_moved():
            with contextlib.suppress(OSError):
                self._file.reopen()
        return self._file


class _Console:
    """Standard output."""

    def write(self, lines: Sequence[_Line]) -> None:
        data = "".join(text for text, _ in lines).encode("utf-8", "backslashreplace")
        # Whoever read it may be gone.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(_STANDARD_OUTPUT, data) :]

    def close(self) -> None:
        """Nothing of it is closed."""
