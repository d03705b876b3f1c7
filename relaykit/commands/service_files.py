"""How the service of a unit comes to the files that its configuration names.

Its user is made when it starts and owns nothing; home directories and temporary files are hidden from it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import field, frozen

from relaykit.options import FileUse, NamedFile

__all__ = ["HIDDEN", "ServiceFiles", "is_hidden", "service_files"]

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""What ``ProtectHome=`` and ``PrivateTmp=`` hide."""

_LOG_KEYS = ("log.to", "log.access")
_LOGS, _STATE = Path("/var/log"), Path("/var/lib")
_OF_A_PAIR = (FileUse.CERTIFICATE, FileUse.KEY)


@frozen(kw_only=True)
class ServiceFiles:
    """What a unit says of files.

    :ivar credentials: what systemd reads as root and hands over at each start: name and path.
    :ivar groups: groups that the user of the service needs for the others.
    :ivar logs: the folder below ``/var/log`` that it may write to; empty for none.
    :ivar notes: what is left to do for who installs the unit, each a sentence.
    """

    credentials: Sequence[tuple[str, str]] = ()
    groups: Sequence[str] = ()
    logs: str = ""
    notes: Sequence[str] = field(default=(), repr=False)


def service_files(role: str, named: Iterable[NamedFile]) -> ServiceFiles:
    """What the unit of a role says of these files, which are looked at as they are on this machine."""
    found = _Found(role)
    named = [_from_root(each, found) for each in named]
    handed_over: set[str] = set()
    for each in named:
        if each.use is FileUse.WRITTEN:
            found.write(each)
        elif found.is_handed_over(each):
            handed_over.add(_together(each))
    found.credentials += [(each.key, each.path) for each in named if _together(each) in handed_over]
    return found.result()


def is_hidden(path: str) -> bool:
    """Whether a service does not see a path, or what it leads to."""
    return any(_is_below(each, folder) for each in (path, os.path.realpath(path)) for folder in HIDDEN)


class _Found:
    """Collects what becomes of each file."""

    def __init__(self, role: str) -> None:
        self._service = f"relaykit-{role}"
        self._state = _STATE / self._service
        self._groups: dict[str, None] = {}
        self._logs = ""
        self.credentials: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def is_handed_over(self, named: NamedFile) -> bool:
        """Whether the service cannot read a file itself; takes down the groups by which it can."""
        if is_hidden(named.path):
            return True
        if not os.path.lexists(named.path):
            self.notes.append(f"{named.key}: {named.path} is not there yet, or cannot be seen by you")
            return named.use in (*_OF_A_PAIR, FileUse.SECRET)
        groups = _groups_that_read(Path(named.path))
        if groups is None:
            return True
        self._groups.update(dict.fromkeys(groups))
        return False

    def write(self, named: NamedFile) -> None:
        """Finds a place for what the service writes."""
        path = Path(named.path)
        if _is_below(named.path, str(self._state)):
            return
        if named.key in _LOG_KEYS:
            below = path.relative_to(_LOGS).parts if _is_below(named.path, str(_LOGS)) else ()
            if len(below) > 1:
                self._logs = below[0]
                return
            self.notes.append(
                f"{named.key}: the service cannot write {path}; write to {_LOGS}/relaykit/{path.name}, or "
                "leave the key out: the journal has the log then"
            )
        elif named.key == "store.path":
            self.notes.append(
                f"{named.key}: the service cannot write {path}; have it write {self._state / path.name}"
            )
        else:
            self.notes.append(
                f"{named.key}: the service cannot write {path}; leave the key out, for it has {self._state}"
            )

    def result(self) -> ServiceFiles:
        """All of it."""
        if self.credentials:
            keys = ", ".join(key for key, _ in self.credentials)
            self.notes.append(
                f"{keys}: handed over when the service starts; whoever replaces them has to restart it "
                f"(systemctl try-restart {self._service})"
            )
        return ServiceFiles(
            credentials=tuple(self.credentials),
            groups=tuple(self._groups),
            logs=self._logs,
            notes=tuple(self.notes),
        )


def _together(named: NamedFile) -> str:
    """What a file is handed over with: a key with its certificate, for the two must fit each other."""
    return named.key.rpartition(".")[0] if named.use in _OF_A_PAIR else named.key


def _from_root(named: NamedFile, found: _Found) -> NamedFile:
    """The same file by its whole path, as the service sees it, which starts in the root folder."""
    if os.path.isabs(named.path):
        return named
    found.notes.append(f"{named.key}: {named.path} is looked for in /, where the service starts")
    return NamedFile(named.key, os.path.join("/", named.path), named.use)


def _groups_that_read(path: Path) -> frozenset[str] | None:
    """The groups by which a user without any right reads a file; None if it cannot, or nobody can tell."""
    real = Path(os.path.realpath(path))
    needed: set[str] = set()
    wanted = [(real, stat.S_IROTH, stat.S_IRGRP)]
    wanted += [(each, stat.S_IXOTH, stat.S_IXGRP) for each in {*path.parents, *real.parents}]
    try:
        for each, others, group in wanted:
            found = each.stat()
            if found.st_mode & others:
                continue
            if not found.st_mode & group or not found.st_gid:
                return None
            needed.add(each.group())
    except (OSError, KeyError):
        return None
    return frozenset(needed)


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
