"""What a client knows of servers that let it in, until it is forgotten: what they proved, and ways there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, field, frozen
from twisted.logger import Logger

from relaykit.sansio.control.ways import Silence, WayMemory
from relaykit.state import StateUnavailable
from relaykit.values import HIGHEST_PORT, Address

if TYPE_CHECKING:
    from relaykit.state import StateDirectory

__all__ = ["FILE_NAME", "MOST_NETWORKS", "MOST_SERVERS", "Remembered", "RememberedServers"]

FILE_NAME = "servers.json"
"""File of the state directory: an object with ``host:port`` for each server."""

MOST_SERVERS = 4096
"""Servers that are remembered; a client is configured with a few, so more are somebody's mistake."""

MOST_NETWORKS = 32
"""Networks that are remembered with a server: as many as somebody who travels is in before he is back."""


@frozen
class Remembered:
    """One server.

    ``speaks_v2``: it had a session in version 2 of the wire, sealed with keys that come from the token.
    ``bound``: it proved the token in a bound login, with the ``certificate`` of this fingerprint.
    ``carriers``: its ports of carriers that have some of their own; None if it has not told.
    ``host``: the IP address that it was reached at last, where it has a name.
    ``networks``: what happened to the ways to it, by the network that the client was in.
    """

    speaks_v2: bool = False
    bound: bool = False
    certificate: str = ""
    carriers: Mapping[str, int] | None = None
    host: str = ""
    networks: Mapping[str, WayMemory] = field(factory=dict)

    def joined(self, other: Remembered) -> Remembered:
        """Both together; what is newer counts, and nothing that was known gets lost."""
        others = {name: ways for name, ways in self.networks.items() if name not in other.networks}
        latest = sorted({**others, **other.networks}.items(), key=lambda item: item[1].worked_at)
        return evolve(
            self,
            speaks_v2=self.speaks_v2 or other.speaks_v2,
            bound=self.bound or other.bound,
            certificate=other.certificate or self.certificate,
            carriers=self.carriers if other.carriers is None else other.carriers,
            host=other.host or self.host,
            networks=dict(latest[-MOST_NETWORKS:]),
        )


NOTHING = Remembered()


class RememberedServers:
    """All of them.  Others use the same file, to learn or to forget, so it is read each time.

    Where it cannot be read or written, that is logged once, and things are known until the program ends.
    """

    log = Logger()

    def __init__(self, state: StateDirectory | None) -> None:
        self._state = state
        self._unkept: dict[str, Remembered] = {}
        self._last_read: dict[str, Remembered] = {}
        self._complained = False

    def get(self, server: str) -> Remembered:
        """What is known of the server with this ``host:port``."""
        return self._read().get(server, NOTHING).joined(self._unkept.get(server, NOTHING))

    def learn(self, server: str, learned: Remembered) -> None:
        """A server was seen like that."""
        known = self.get(server)
        joined = known.joined(learned)
        if joined != known and not self._keep(server, joined):
            self._unkept[server] = joined

    def forget(self, host: str, port: int | None = None) -> list[str]:
        """Forgets a server, or all of a host; answers which were known.

        :raises StateUnavailable: the file cannot be read or written.
        """
        if self._state is None:
            return []
        servers = _decoded(self._state.read_json(FILE_NAME))
        found = [each for each in servers if _is_meant(each, host, port)]
        if found:
            kept = {each: known for each, known in servers.items() if each not in found}
            self._state.write_json(FILE_NAME, _encoded(kept))
        for each in found:
            self._unkept.pop(each, None)
        return sorted(found)

    def _read(self) -> dict[str, Remembered]:
        try:
            if self._state is not None:
                self._last_read = _decoded(self._state.read_json(FILE_NAME))
        except StateUnavailable as error:
            # A file that cannot be read must not look like one that says nothing.
            self._complain(str(error))
        return self._last_read

    def _keep(self, server: str, known: Remembered) -> bool:
        """Writes it to the file; answers whether it is there."""
        servers = self._read()
        if self._state is None:
            return False
        if len(servers) >= MOST_SERVERS and server not in servers:
            self._complain(f"{MOST_SERVERS} servers are remembered already")
            return False
        try:
            self._state.write_json(FILE_NAME, _encoded({**servers, server: known}))
        except StateUnavailable as error:
            self._complain(str(error))
            return False
        return True

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            self.log.warn(
                "what servers proved is remembered only until this program ends: {reason}",
                reason=reason,
                problem="state-directory",
            )


def _is_meant(server: str, host: str, port: int | None) -> bool:
    if port is not None:
        return server == str(Address(host, port))
    return server.rpartition(":")[0] == str(Address(host, 0)).rpartition(":")[0]


def _encoded(servers: dict[str, Remembered]) -> dict[str, Any]:
    return {server: asdict(known) for server, known in servers.items()}


def _decoded(value: Any) -> dict[str, Remembered]:
    """What a file says; entries that make no sense say nothing."""
    if not isinstance(value, dict):
        return {}
    return {
        server: Remembered(
            speaks_v2=entry.get("speaks_v2") is True,
            bound=entry.get("bound") is True,
            certificate=str(entry.get("certificate", "")),
            carriers=_carriers(entry.get("carriers")),
            host=str(entry.get("host", "")),
            networks=_networks(entry.get("networks")),
        )
        for server, entry in value.items()
        if isinstance(entry, dict)
    }


def _carriers(value: Any) -> Mapping[str, int] | None:
    if not isinstance(value, dict):
        return None
    return {name: port for name, port in value.items() if type(port) is int and 0 < port <= HIGHEST_PORT}


def _networks(value: Any) -> Mapping[str, WayMemory]:
    found = {}
    for name, entry in value.items() if isinstance(value, dict) else ():
        match entry:
            case {"worked": str(worked), "worked_at": int() | float() as at, "silences": dict(silences)}:
                found[name] = WayMemory(worked, at, _silences(silences))
    return found


def _silences(value: Mapping[str, Any]) -> Mapping[str, Silence]:
    found = {}
    for way, entry in value.items():
        match entry:
            case {"times": int(times), "at": int() | float() as at} if times > 0:
                found[way] = Silence(times, at)
    return found
