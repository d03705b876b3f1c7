"""A log file that is put aside at midnight; files put aside long ago are removed.

No library does it as frp does: the time in a name is that of the rotation, and old files go by their age.
``TimedRotatingFileHandler`` names the day before and counts files, Twisted's ``DailyLogFile`` keeps all.  Nor
does one tell that a full disk has swallowed lines.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["RotatedFile"]

SECONDS_A_DAY = 24 * 3600
FILE_MODE = 0o600
FOLDER_MODE = 0o755
_STAMP = "%Y%m%d-%H%M%S"

_OF_SYSTEMS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
"""Windows would else change line ends; elsewhere a link that somebody has put in the place of the file would
lead the log into another one."""

_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _OF_SYSTEMS


class RotatedFile:
    """Appends text to a file.  Source of names and modes: frp's log files.

    The first write of a new day of local time renames the file to ``NAME.YYYYMMDD-HHMMSS.EXT`` and
    begins a new one; where that cannot be done, the file goes on.  A write that fails loses its text: a
    full disk does not stop a relay.

    :param path: relative paths are resolved at once.
    :param keep_days: files put aside longer ago are removed; negative keeps all.
    :param failing: is called with the reason when text is lost, once until it is written again.
    :param recovered: is called then, with how many texts were lost; it may write.
    :raises OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        keep_days: int,
        failing: Callable[[str], None] = lambda reason: None,
        recovered: Callable[[int], None] = lambda lost: None,
    ) -> None:
        self._path = path.absolute()
        self._keep_days = keep_days
        self._failing = failing
        self._recovered = recovered
        self._lost = 0
        self._torn = False
        self._day: tuple[int, int] | None = None
        self._path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        self._file = self._open()

    def write(self, text: str, now: float, count: int = 1) -> None:
        """Appends ``text`` at the time ``now`` (seconds since 1970); if it is lost it counts as so many."""
        local = time.localtime(now)
        day = (local.tm_year, local.tm_yday)
        if self._day is not None and day > self._day:
            with contextlib.suppress(OSError):
                self._rotate(now)
        self._day = day
        try:
            self._append(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._lost:
                self._failing(error.strerror or str(error))
            self._lost += count
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._recovered(lost)

    def reopen(self) -> None:
        """Goes on in the file that has the name now: a new one, where the former was moved away.

        :raises OSError: it cannot be opened; the former one goes on.
        """
        former, self._file = self._file, self._open()
        os.close(former)
        self._torn = False

    def was_moved(self) -> bool:
        """Whether another file has the name now, or none, as where a program that rotates logs was here."""
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except OSError:
            return True

    def close(self) -> None:
        """Closes the file; nothing may be written any more."""
        os.close(self._file)

    def _append(self, text: bytes) -> None:
        """Writes at the end, on a line of its own also where the line before is not whole."""
        if self._torn:
            text = b"\n" + text
        written = os.write(self._file, text)
        self._torn = written < len(text)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self) -> int:
        try:
            return os.open(self._path, _APPENDING, FILE_MODE)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            why = "is a symbolic link, which is not followed: name the file itself"
            raise OSError(error.errno, why, str(self._path)) from error

    def _rotate(self, now: float) -> None:
        aside = self._path.with_name(
            f"{self._path.stem}.{time.strftime(_STAMP, time.localtime(now))}{self._path.suffix}"
        )
        if aside.exists():
            return
        self._path.rename(aside)
        former, self._file = self._file, self._open()
        os.close(former)
        self._torn = False
        self._remove_old(now)

    def _remove_old(self, now: float) -> None:
        if self._keep_days < 0:
            return
        name = re.compile(rf"{re.escape(self._path.stem)}\.(\d{{8}}-\d{{6}}){re.escape(self._path.suffix)}")
        for sibling in self._path.parent.iterdir():
            found = name.fullmatch(sibling.name)
            if found is None:
                continue
            try:
                put_aside = time.mktime(time.strptime(found.group(1), _STAMP))
            except ValueError:
                continue
            if now - put_aside > self._keep_days * SECONDS_A_DAY:
                sibling.unlink(missing_ok=True)
