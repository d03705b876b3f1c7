"""A folder whose files are read, and nothing outside of it: calls that may block, made in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from attrs import define, field, frozen

from relaykit.sansio.http.conditions import Validators

__all__ = ["MOST_LISTED", "Entry", "FileChanged", "Folder", "Listed", "OpenedFile"]

MOST_LISTED: Final = 10_000
"""Names of one folder that are listed: a page with more is of no use to anybody, and takes seconds."""

_IS_WINDOWS = os.name == "nt"
_CAN_WALK = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class FileChanged(Exception):
    """A file is not any more what its reader was promised."""


@frozen
class Entry:
    """One name in a folder: ``size`` is in bytes, ``modified`` in seconds since 1970."""

    name: str
    is_folder: bool
    size: int
    modified: float


@frozen
class Listed:
    """What is in a folder that has no index: folders first; ``is_cut`` if there is more."""

    entries: Sequence[Entry]
    is_cut: bool


@define(eq=False)
class OpenedFile:
    """An open file as it was when it was opened; whoever has it closes it."""

    _descriptor: int
    size: int
    validators: Validators
    _state: tuple[int, int]

    def read(self, start: int, count: int) -> bytes:
        """So many bytes.

        :raises FileChanged: it was changed, or shortened.
        :raises OSError: it cannot be read.
        """
        if hasattr(os, "pread"):
            data = os.pread(self._descriptor, count, start)
        else:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            data = os.read(self._descriptor, count)
        if not data or _state_of(os.fstat(self._descriptor)) != self._state:
            raise FileChanged
        return data

    def close(self) -> None:
        """Gives it back."""
        os.close(self._descriptor)


@frozen
class Folder:
    """What is below a path; symbolic links count where they lead to something below it."""

    path: str
    _index: str = field(default="index.html", kw_only=True)

    def open(self, names: Sequence[str], *, wants_folder: bool) -> OpenedFile | Listed | None:
        """What is there by these names, from the folder on down.

        A folder is its index, or what is in it; without ``wants_folder`` None is answered for one, and with
        it a file is not there.

        :raises OSError: it is not there, or not for this program, or neither a file nor a folder.
        """
        if not all(map(_is_name, names)):
            raise FileNotFoundError
        root = os.path.realpath(self.path)
        found = self._open_below(root, names)
        if isinstance(found, OpenedFile):
            if wants_folder:
                found.close()
                raise NotADirectoryError
            return found
        if not wants_folder:
            return None
        with suppress(OSError):
            index = self._open_below(root, (*names, self._index))
            if isinstance(index, OpenedFile):
                return index
        return self._listed(root, found)

    def _open_below(self, root: str, names: Sequence[str]) -> OpenedFile | str:
        """A file, or the real path of a folder.

        Each step of the real path is opened by itself, as no link: whoever puts one there in the meantime
        leads nobody out.
        """
        real = os.path.realpath(os.path.join(root, *names))
        steps = _steps_below(root, real)
        if not _CAN_WALK:
            return _open_file(real, None, real)
        folder = os.open(root, _FLAGS | os.O_DIRECTORY)
        try:
            for step in steps[:-1]:
                below = os.open(step, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            return _open_file(steps[-1], folder, real) if steps else real
        finally:
            os.close(folder)

    def _listed(self, root: str, folder: str) -> Listed:
        entries: list[Entry] = []
        with os.scandir(folder) as found:
            for each in found:
                if len(entries) >= MOST_LISTED:
                    return Listed(_in_order(entries), True)
                entries += self._entry(root, each)
        return Listed(_in_order(entries), False)

    def _entry(self, root: str, found: os.DirEntry[str]) -> Iterator[Entry]:
        """Nothing for what would not be sent."""
        with suppress(OSError):
            if found.is_symlink():
                _steps_below(root, os.path.realpath(found.path))
            said = found.stat()
            is_folder = stat.S_ISDIR(said.st_mode)
            if (is_folder or stat.S_ISREG(said.st_mode)) and _is_name(found.name):
                yield Entry(found.name, is_folder, said.st_size, said.st_mtime)


def _steps_below(root: str, real: str) -> Sequence[str]:
    try:
        if os.path.commonpath((root, real)) != root:
            raise FileNotFoundError
    except ValueError as error:
        raise FileNotFoundError from error
    relative = os.path.relpath(real, root)
    return () if relative == os.curdir else relative.split(os.sep)


def _open_file(name: str, folder: int | None, real: str) -> OpenedFile | str:
    """Devices and pipes are not even opened: that alone has effects."""
    said = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(said.st_mode):
        return real
    if not stat.S_ISREG(said.st_mode):
        raise FileNotFoundError
    descriptor = os.open(name, _FLAGS, dir_fd=folder)
    try:
        said = os.fstat(descriptor)
        if not stat.S_ISREG(said.st_mode):
            raise FileNotFoundError
    except BaseException:
        os.close(descriptor)
        raise
    tag = b'"%x-%x-%x"' % (said.st_ino, said.st_size, said.st_mtime_ns)
    return OpenedFile(descriptor, said.st_size, Validators(tag, said.st_mtime_ns // 10**9), _state_of(said))


def _state_of(said: os.stat_result) -> tuple[int, int]:
    return said.st_size, said.st_mtime_ns


def _in_order(entries: Sequence[Entry]) -> Sequence[Entry]:
    return sorted(entries, key=lambda each: (not each.is_folder, each.name.casefold(), each.name))


def _is_name(name: str) -> bool:
    """Whether it names something in a folder; on Windows, neither a device nor a stream."""
    if not name or name in (".", "..") or "\0" in name or "\\" in name or "/" in name:
        return False
    if not _IS_WINDOWS:
        return PurePosixPath(name).name == name
    return ":" not in name and not name.endswith((".", " ")) and not PureWindowsPath(name).is_reserved()
