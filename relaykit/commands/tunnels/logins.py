"""Servers that a command line need not describe again: address, token and fingerprint.

They are kept in the state directory, which only its owner may read, and only where the user asks for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from relaykit.errors import RelaykitError
from relaykit.state import StateDirectory, StateUnavailable
from relaykit.values import HIGHEST_PORT, Secret

__all__ = ["DEFAULT_PORT", "Login", "RememberedLogins", "ServerName"]

DEFAULT_PORT = 7000
"""Where servers listen unless they are told otherwise; frp's port."""

FILE_NAME = "logins.json"

MOST_KEPT = 64
"""Servers that are kept; those that were used longest ago make room."""

_SERVER = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^:\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?")


@frozen
class ServerName:
    """A server as users name it: a host without brackets, and a port."""

    host: str
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str) -> ServerName:
        """Reads ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address.

        :raises RelaykitError: it is none of them.
        """
        host, port = cls.split(text)
        return cls(host, DEFAULT_PORT if port is None else port)

    @staticmethod
    def split(text: str) -> tuple[str, int | None]:
        """The host, and the port if there is one; see :meth:`parse`."""
        if text.count(":") > 1 and not text.startswith("["):
            return text, None
        found = _SERVER.fullmatch(text)
        port = int(found["port"]) if found is not None and found["port"] else None
        if found is None or not (port is None or 0 < port <= HIGHEST_PORT):
            raise RelaykitError(
                f'"{text}" names no server: it must be host or host:port', problem="no-server-named"
            )
        return found["host"].strip("[]"), port

    @property
    def shown_host(self) -> str:
        """The host as it stands before a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.shown_host}:{self.port}"


@frozen(kw_only=True)
class Login:
    """What it takes to log in to a server.

    :ivar fingerprint: of its certificate; empty if any is accepted.
    """

    server: ServerName
    token: Secret
    fingerprint: str = ""


@frozen
class RememberedLogins:
    """The remembered servers; none, where there is no state directory."""

    _state: StateDirectory | None

    def latest(self) -> Login | None:
        """The one that was remembered last.

        :raises StateUnavailable: the file cannot be read.
        """
        kept = self._read()
        return kept[-1] if kept else None

    def find(self, server: ServerName) -> Login | None:
        """What is remembered of a server.

        :raises StateUnavailable: the file cannot be read.
        """
        return next((login for login in self._read() if login.server == server), None)

    def remember(self, login: Login) -> Path:
        """Keeps a server, in place of what was known of it; answers in which file.

        :raises StateUnavailable: it cannot be kept.
        """
        if self._state is None:
            raise StateUnavailable("nothing can be remembered: there is no state directory (--state-dir)")
        others = [each for each in self._read() if each.server != login.server]
        self._write([*others[1 - MOST_KEPT :], login])
        return self._state.path / FILE_NAME

    def forget(self, host: str, port: int | None = None) -> list[str]:
        """Removes a server, or all of a host; answers which were there.

        :raises StateUnavailable: the file cannot be read or written.
        """
        kept = self._read()
        found = [each for each in kept if each.server.host == host and port in (None, each.server.port)]
        if found:
            self._write([each for each in kept if each not in found])
        return [str(each.server) for each in found]

    def _read(self) -> list[Login]:
        content = self._state.read_json(FILE_NAME) if self._state is not None else None
        entries = content if isinstance(content, list) else []
        return [login for entry in entries if (login := _login(entry)) is not None]

    def _write(self, logins: list[Login]) -> None:
        assert self._state is not None
        self._state.write_json(
            FILE_NAME,
            [
                {
                    "server": str(each.server),
                    "token": each.token.reveal(),
                    "fingerprint": each.fingerprint,
                }
                for each in logins
            ],
        )


def _login(entry: Any) -> Login | None:
    """One entry of the file; None for what makes no sense."""
    match entry:
        case {"server": str(server), "token": str(token), **further}:
            try:
                login = Login(server=ServerName.parse(server), token=Secret(token))
            except RelaykitError:
                return None
            fingerprint = further.get("fingerprint")
            return evolve(login, fingerprint=fingerprint) if isinstance(fingerprint, str) else login
    return None
