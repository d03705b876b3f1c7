"""Who has the file of a history, in a thread of its own: nothing else waits for the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from relaykit.blocking import OneThread, ThreadBusy
from relaykit.errors import RelaykitError
from relaykit.history.file import DamagedFile, HistoryFile, set_aside

__all__ = ["MOST_WAITING", "STOP_S", "HistoryKeeper", "HistoryUnavailable"]

MOST_WAITING: Final = 64
"""Jobs that wait for the file, each a minute that is written or a span that is read; one more fails at once.
A page of a dashboard asks for some."""

STOP_S: Final = 2.0
"""Seconds that the last jobs get when the program ends: a disk that hangs must not keep it."""

ResultT = TypeVar("ResultT")


class HistoryUnavailable(RelaykitError):
    """The file cannot be written or read at the moment; the text says why."""

    problem = "history-file"


class HistoryKeeper:
    """Does jobs with the file, one after the other.

    A damaged file is set aside, and a new one is begun.

    :param reactor: an IReactorFromThreads, whose time is monotonic.
    """

    log = Logger()

    def __init__(self, path: Path, reactor: Any) -> None:
        self.path = path
        self._reactor = reactor
        self._thread = OneThread(reactor, MOST_WAITING, f"for {path.name}")
        self._file: HistoryFile | None = None
        """For the thread alone."""

    def do(self, job: Callable[[HistoryFile], ResultT]) -> Deferred[ResultT]:
        """Does a job; fails with :class:`HistoryUnavailable`.  Cancelling gives up waiting."""
        return self._thread.call(lambda: self._do(job)).addErrback(self._unavailable)

    def stop(self) -> Deferred[None]:
        """Does what was asked for, and closes the file; fires when that is done, or takes too long."""
        self._thread.call(self._close).addErrback(lambda failure: failure.trap(ThreadBusy))
        return self._thread.end().addTimeout(STOP_S, self._reactor, lambda *_: None)

    # --- in the thread ----------------------------------------------------------------------------

    def _do(self, job: Callable[[HistoryFile], ResultT]) -> ResultT:
        try:
            return job(self._open())
        except DamagedFile as error:
            self._close()
            aside = set_aside(self.path)
            self._reactor.callFromThread(self._tell, aside, str(error))
            return self._do_anew(job)
        except BaseException:
            self._close()
            raise

    def _do_anew(self, job: Callable[[HistoryFile], ResultT]) -> ResultT:
        try:
            return job(self._open())
        except BaseException:
            self._close()
            raise

    def _open(self) -> HistoryFile:
        if self._file is None:
            self._file = HistoryFile(self.path)
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(sqlite3.Error):
                file.close()

    # --- in the reactor ---------------------------------------------------------------------------

    def _tell(self, aside: Path, reason: str) -> None:
        self.log.warn(
            "the history {path} is damaged ({reason}): it is called {aside} now, and a new one begins",
            path=self.path,
            reason=reason,
            aside=aside.name,
            problem="history-file",
        )

    def _unavailable(self, failure: Failure) -> Failure:
        if failure.check(ThreadBusy):
            raise HistoryUnavailable(f"{self.path} is busy: {MOST_WAITING} requests wait for it")
        if failure.check(sqlite3.Error, OSError, DamagedFile):
            why = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
            raise HistoryUnavailable(f"{self.path} cannot be used: {why}") from failure.value
        return failure
