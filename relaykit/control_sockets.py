"""Where the control socket of a program is, for the program itself and for commands that look for it.

A system without sockets in its folders, which is Windows, has a port of the loopback instead.  In the place
of the socket there is a file then, which tells whoever can read it where that is, and what to say there.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from attrs import frozen

from relaykit.state import StateDirectory, digest_of
from relaykit.values import Secret

__all__ = [
    "LOOPBACK",
    "LoopbackDoor",
    "control_folder",
    "control_folders",
    "is_at_loopback",
    "is_socket_of",
    "reachable_path",
    "socket_name",
]

LOOPBACK: Final = "127.0.0.1"
"""Where the port is."""

_PREFIX, _SOCKET, _PORT = "control-", ".sock", ".port"
_USUAL = _SOCKET if hasattr(socket, "AF_UNIX") else _PORT


@frozen
class LoopbackDoor:
    """A port of the loopback that answers those who know its token."""

    port: int
    token: Secret

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """What is in the file.

        :raises ValueError: it is none.
        """
        match json.loads(content):
            case {"port": int(port), "token": str(token)} if 0 < port < 65536 and port is not True and token:
                return cls(port, Secret(token))
        raise ValueError("this is not the file of a control socket")

    def dump(self) -> bytes:
        """The file."""
        return json.dumps({"port": self.port, "token": self.token.reveal()}).encode()

    @property
    def authorization(self) -> str:
        """The header of this name that the token makes: HTTP's Basic authentication, without a user."""
        return "Basic " + b64encode(f":{self.token.reveal()}".encode()).decode()


def socket_name(role: str, config: str) -> str:
    """The name of the socket of a role with this configuration file; of this very process without one."""
    subject = os.path.realpath(config) if config else f"process {os.getpid()}"
    return f"{_PREFIX}{role}-{digest_of(subject)}{_USUAL}"


def is_socket_of(role: str, name: str) -> bool:
    """Whether a file's name is that of a socket of a role, whatever its configuration."""
    return name.startswith(f"{_PREFIX}{role}-") and name.endswith((_SOCKET, _PORT))


def is_at_loopback(path: Path) -> bool:
    """Whether what is there is the file of a :class:`LoopbackDoor`."""
    return path.suffix == _PORT


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
