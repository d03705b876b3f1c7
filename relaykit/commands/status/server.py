"""A server that is followed: what it is at each moment, as far as people look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve, field, frozen

from relaykit.commands.status.view import (
    LastProblem,
    UserRequest,
    ended_text,
    printable_texts,
    shortened,
    stopping_text,
)
from relaykit.dataplane.plane import FlowCounts
from relaykit.escaping import printable_lines
from relaykit.sansio.control.server_life import DRAIN_S, ServerState
from relaykit.server.status import ServerStatus

if TYPE_CHECKING:
    from relaykit.server.status import ClientStatus, ProxyStatus

__all__ = ["ClientRow", "FollowedServer", "ProxyRow", "Server", "ServerSnapshot"]

MOST_ROWS = 100
"""Clients, and proxies, that are shown: as many as a tall terminal has rows."""

SHARE = 20
"""A status is asked for again after so many times what the last one took: with thousands of proxies it takes
long, and that is time of the users."""


class Server(Protocol):
    """What is asked of a server."""

    def status(self) -> ServerStatus: ...


@frozen(kw_only=True, field_transformer=printable_texts)
class ClientRow:
    """A client that is logged in.

    :ivar is_bound: whether it proved itself for this very TLS session.
    :ivar seconds: for how long it has been there.
    """

    name: str
    address: str
    version: str
    is_bound: bool
    seconds: float


@frozen(kw_only=True, field_transformer=printable_texts)
class ProxyRow:
    """A proxy that is open.

    :ivar address: what users dial; empty if nothing is public.
    :ivar users: at the moment.
    :ivar moved: bytes, in both directions, up to now.
    """

    name: str
    type: str
    address: str
    client: str
    users: int
    connections: int
    moved: int


@frozen(kw_only=True, field_transformer=printable_texts)
class ServerSnapshot:
    """A server at one moment.

    :ivar at: the time of the snapshot.
    :ivar seconds: for how long it has been in its state; until what runs is cut, where it is stopping.
    :ivar clients: those that came last, the last first.
    :ivar client_count: how many there are.
    :ivar proxies: those with the most users first.
    :ivar proxy_count: how many are open.
    :ivar problems: what went wrong, the last first.
    :ivar note: what people have to know to make use of it.
    :ivar has_run: whether clients could log in at some time.
    """

    at: float
    state: ServerState
    seconds: float
    port: int = 0
    fingerprint: str = ""
    clients: tuple[ClientRow, ...] = ()
    client_count: int = 0
    proxies: tuple[ProxyRow, ...] = ()
    proxy_count: int = 0
    flows: FlowCounts = field(factory=FlowCounts)
    problems: tuple[LastProblem, ...] = ()
    note: str = field(default="", converter=printable_lines)
    has_run: bool = False
    ended: bool = False

    @property
    def state_text(self) -> str:
        """Its state, in words."""
        if self.ended and self.has_run:
            return ended_text(self.flows)
        match self.state:
            case ServerState.READY:
                return f"ready: clients dial port {self.port}"
            case ServerState.DRAINING | ServerState.CLOSING:
                return stopping_text(self.flows.present, self.seconds)
            case ServerState.STOPPED | ServerState.FAILED:
                return "not running"
        return "starting"


class FollowedServer:
    """Makes snapshots of a server.

    :ivar note: is in the snapshots from now on.
    """

    def __init__(
        self, server: Server, reactor: Any, unix_time: Callable[[], float] = time.time, note: str = ""
    ) -> None:
        self.note = note
        self._server = server
        self._reactor = reactor
        self._unix_time = unix_time
        self._last: ServerSnapshot | None = None
        self._again_at = 0.0

    def begin(self, tell_request: Callable[[UserRequest], None], *, watched: bool) -> None:
        """There is nothing to begin: a server does not look into what users ask for."""

    def end(self) -> None:
        """There is nothing to end."""

    def key(self, letter: str) -> None:
        """It has no keys of its own."""

    def snapshot(self, problems: Sequence[LastProblem], *, ended: bool = False) -> ServerSnapshot:
        """The server now; what it has done is still there when it has ended."""
        now, last = self._reactor.seconds(), self._last
        if last is None or (not ended and now >= self._again_at):
            self._last = last = self._looked(now)
            self._again_at = now + SHARE * (self._reactor.seconds() - now)
        return evolve(last, at=now, problems=tuple(problems), note=self.note, ended=ended)

    def _looked(self, now: float) -> ServerSnapshot:
        status, unix_now = self._server.status(), self._unix_time()
        clients = [each for each in status.clients if each.is_online]
        proxies = [each for each in status.proxies if each.is_open]
        since = now if status.since is None else status.since
        is_draining = status.state is ServerState.DRAINING
        return ServerSnapshot(
            at=now,
            state=status.state,
            seconds=max(0.0, since + DRAIN_S - now if is_draining else now - since),
            port=status.port,
            fingerprint=status.fingerprint,
            clients=tuple(_client_rows(clients, unix_now)),
            client_count=len(clients),
            proxies=tuple(_proxy_rows(proxies, {each.key: each for each in clients})),
            proxy_count=len(proxies),
            # What was stopped knows nothing of it any more.
            flows=status.flows if self._last is None or status.port else self._last.flows,
            has_run=status.state is ServerState.READY or (self._last is not None and self._last.has_run),
        )


def _client_rows(clients: Sequence[ClientStatus], unix_now: float) -> Iterable[ClientRow]:
    for each in sorted(clients, key=lambda each: -each.last_connected_at)[:MOST_ROWS]:
        yield ClientRow(
            name=_client_name(each),
            address="" if each.address is None else shortened(each.address.host),
            version=shortened(each.version),
            is_bound=each.bound,
            seconds=max(0.0, unix_now - each.last_connected_at),
        )


def _client_name(client: ClientStatus) -> str:
    """What people call it: its user and its host, which say more than its id."""
    return shortened(".".join(filter(None, (client.user, client.hostname or client.client_id))))


def _proxy_rows(proxies: Sequence[ProxyStatus], clients: dict[str, ClientStatus]) -> Iterable[ProxyRow]:
    for each in sorted(proxies, key=lambda each: (-each.current, -(each.last_start_at or 0.0)))[:MOST_ROWS]:
        key = f"{each.user}.{each.client_id}" if each.user else each.client_id
        client = clients.get(key)
        yield ProxyRow(
            name=shortened(each.name),
            type=each.type,
            address=shortened(each.address),
            client=shortened(key) if client is None else _client_name(client),
            users=each.current,
            connections=each.connections,
            moved=each.traffic_in + each.traffic_out,
        )
