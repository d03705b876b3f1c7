"""Where the control socket of a program is, for the program itself and for commands that look for it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from relaykit.state import StateDirectory, digest_of

__all__ = ["control_folder", "control_folders", "is_socket_of", "reachable_path", "socket_name"]

_PREFIX, _SUFFIX = "control-", ".sock"


def socket_name(role: str, config: str) -> str:
    """The name of the socket of a role with this configuration file; of this very process without one."""
    subject = os.path.realpath(config) if config else f"process {os.getpid()}"
    return f"{_PREFIX}{role}-{digest_of(subject)}{_SUFFIX}"


def is_socket_of(role: str, name: str) -> bool:
    """Whether a file's name is that of a socket of a role, whatever its configuration."""
    return name.startswith(f"{_PREFIX}{role}-") and name.endswith(_SUFFIX)


def control_folder(environ: Mapping[str, str], state: StateDirectory | None) -> Path | None:
    """Where a program opens its socket: what systemd has made for it, what its user has until the next start
    of the machine, or its state directory; None if there is none of them.
    """
    return next(_own_folders(environ, state), None)


def control_folders(environ: Mapping[str, str], state: StateDirectory | None, role: str) -> Iterator[Path]:
    """Where the socket of a role may be: of one's own programs, and of the machine's services."""
    yield from _own_folders(environ, state)
    for folder in ("/run", "/var/lib"):
        yield Path(folder, f"relaykit-{role}")


def _own_folders(environ: Mapping[str, str], state: StateDirectory | None) -> Iterator[Path]:
    if of_service := environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        yield Path(of_service)
    of_user = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(of_user) and os.path.isdir(of_user):
        yield Path(of_user, "relaykit")
    if state is not None:
        yield state.path


@contextlib.contextmanager
def reachable_path(folder: Path, name: str) -> Iterator[str]:
    """A path of a socket that is short enough, however deep the folder is; good until the end.

    Source: unix(7), ``sun_path`` has 108 bytes.
    """
    if sys.platform != "linux":
        yield str(folder / name)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
