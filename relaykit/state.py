"""The state directory: what a program keeps from one start to the next, such as its certificate.

Nothing in it is configuration, and every program works without one: what would be kept is then made
again at every start.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from relaykit.errors import RelaykitError, problem_of
from relaykit.replacing import replace_file

__all__ = ["HeldFile", "StateDirectory", "StateUnavailable", "digest_of"]

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes read of one file; what is kept here is a few KB.  Guards against a wrong folder."""

MOST_LOOKED_AT = 64
"""Files whose modes are looked at: a state directory has a few."""

_DIGEST_BYTES = 8
"""Of the path of a configuration file: enough to tell a machine's files apart."""

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""What is made here is made here, whatever link somebody else has put in its place; Windows has none."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_USED_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class StateUnavailable(RelaykitError):
    """A file of the state directory cannot be read or written; the text names it and why."""

    problem = "state-directory"


class HeldFile:
    """A file that no other program holds at the same time; see :meth:`StateDirectory.hold`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Lets another one have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@frozen
class StateDirectory:
    """A folder of small files that only their owner may read.

    It is made when the first file is written.  Files are replaced as a whole: after a crash there is
    the former one or the new one.
    """

    path: Path

    @classmethod
    def find(cls, chosen: str, environ: Mapping[str, str]) -> StateDirectory | None:
        """The folder that was chosen, or what the environment says; None without any.

        In this order: ``chosen`` (``--state-dir``), ``$STATE_DIRECTORY`` as systemd sets it,
        ``$XDG_STATE_HOME/relaykit``, ``~/.local/state/relaykit``, and ``relaykit`` in ``%LOCALAPPDATA%`` on
        Windows, which has no ``$HOME``.  Relative paths are resolved at once, for a daemon changes its
        working directory.  Source: systemd.exec(5); XDG Base Directory Specification 0.8.
        """
        if chosen:
            return cls(Path(chosen).absolute())
        of_service = environ.get("STATE_DIRECTORY", "").split(":")[0]
        if of_service:
            return cls(Path(of_service).absolute())
        of_user = environ.get("XDG_STATE_HOME", "")
        if os.path.isabs(of_user):
            return cls(Path(of_user, "relaykit"))
        home = environ.get("HOME", "")
        if os.path.isabs(home):
            return cls(Path(home, ".local", "state", "relaykit"))
        of_windows = environ.get("LOCALAPPDATA", "")
        if os.path.isabs(of_windows):
            return cls(Path(of_windows, "relaykit"))
        return None

    def file_of(self, name: str, config: str) -> Path:
        """The path of a file that every configuration has for itself.

        :param config: the path of the configuration file; empty if there is none.
        """
        if config:
            stem, dot, ending = name.rpartition(".")
            name = f"{stem}-{digest_of(os.path.realpath(config))}{dot}{ending}"
        return self.path / name

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None when there is none.

        :raises StateUnavailable: it cannot be read.
        """
        path = self.path / name
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnavailable(
                f"cannot read {path}: {error.strerror}", problem=problem_of(error)
            ) from error
        if len(content) > LARGEST_FILE:
            raise StateUnavailable(f"cannot read {path}: it is larger than {LARGEST_FILE} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file, durably, readable for its owner only.

        :raises StateUnavailable: it cannot be written; the former file is as it was.
        """
        path = self.path / name
        try:
            self.path.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            replace_file(path, content, _FILE_MODE)
        except OSError as error:
            raise StateUnavailable(
                f"cannot write {path}: {error.strerror}", problem=problem_of(error)
            ) from error

    def hold(self, name: str) -> HeldFile | None:
        """Takes a file for this program alone, until it is closed or the program ends, however it ends.

        The file is made when there is none; its content means nothing.  None where another one holds it.

        :raises StateUnavailable: it cannot be made.
        """
        path = self.path / name
        try:
            self.path.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, _FILE_MODE)
            try:
                taken = _lock(descriptor)
            except OSError:
                os.close(descriptor)
                raise
            if not taken:
                os.close(descriptor)
                return None
        except OSError as error:
            is_link = error.errno == errno.ELOOP
            why = "it is a symbolic link, which is not followed: remove it" if is_link else error.strerror
            raise StateUnavailable(f"cannot hold {path}: {why}") from error
        return HeldFile(descriptor)

    def open_to_others(self) -> Iterator[str]:
        """What of it others can use or change, each in a sentence that says what to do; as ssh looks at keys.

        Where the system does not tell by modes, nothing is.
        """
        if os.name != "posix":
            return
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_mode & _WRITABLE_BY_OTHERS:
                yield f"others can put keys of theirs into {self.path}: chmod 700 {self.path}"
            for each in sorted(os.scandir(self.path), key=lambda entry: entry.name)[:MOST_LOOKED_AT]:
                if each.is_file() and each.stat().st_mode & _USED_BY_OTHERS:
                    yield f"others can use what is secret in {each.path}: chmod 600 {each.path}"

    def read_json(self, name: str) -> Any:
        """The value in a JSON file, or None when there is none.

        :raises StateUnavailable: it cannot be read, or is no JSON.
        """
        content = self.read(name)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StateUnavailable(
                f"cannot read {self.path / name}: it is no JSON ({error}); remove it to begin anew"
            ) from error

    def write_json(self, name: str, value: Any) -> None:
        """Replaces a JSON file; see :meth:`write`."""
        self.write(name, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def digest_of(subject: str) -> str:
    """What tells the files of several programs apart that have one folder."""
    return hashlib.sha256(subject.encode("utf-8", "surrogateescape")).hexdigest()[: 2 * _DIGEST_BYTES]


def _lock(descriptor: int) -> bool:
    """Takes a whole file, if nobody has it; where the system has no way to, everybody gets it."""
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_on_windows(descriptor: int) -> bool:
    try:
        msvcrt: Any = importlib.import_module("msvcrt")
    except ImportError:
        return True
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    return True
