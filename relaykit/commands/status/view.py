"""What a running client looks like to the people before it: made of its status and of what it logs.

A snapshot is data; :mod:`relaykit.commands.status.plain` writes it in lines, and
:mod:`relaykit.commands.status.live` draws it on a terminal.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Self
from urllib.parse import quote

from attrs import field, frozen
from rich.filesize import decimal

from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.commands.known_problems import KnownProblem
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts
from relaykit.logs.lines import printable
from relaykit.values import Exchange

__all__ = ["ConnectionState", "EntryPoint", "LastProblem", "Snapshot", "StatusView", "UserRequest"]

MOST_TARGET_LETTERS = 200
"""Letters of what a user asked for that are shown: a line or two; some requests have thousands."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""What nobody writes in a URL."""


class ConnectionState(enum.Enum):
    """Whether there is a session."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """The next attempt has its time."""
    STOPPING = "stopping"


@frozen(kw_only=True)
class EntryPoint:
    """Where users come in.

    :ivar open: whether they can.
    :ivar where: what they dial, or how else it is reached; empty while that is not known.
    :ivar url: the same for a browser, where it is one's business; else empty.
    :ivar reason: why they cannot, as far as it is known.
    """

    name: str
    leads_to: str
    open: bool = False
    where: str = ""
    url: str = ""
    reason: str = ""


@frozen(kw_only=True)
class LastProblem:
    """The last thing that went wrong: what was logged, what is known of it, and when it was."""

    text: str
    known: KnownProblem | None
    at: float


@frozen(kw_only=True)
class UserRequest:
    """What a user has asked for, as it is shown: it has one line, and says nothing to a terminal.

    :ivar status: of the answer; None if there was none.
    :ivar took: how long it took.
    :ivar size: of what was sent in answer.
    """

    proxy: str
    method: str
    target: str
    status: int | None
    took: str
    size: str

    @classmethod
    def of(cls, proxy: str, exchange: Exchange) -> Self:
        """An exchange of a proxy."""
        seconds, target = exchange.seconds, printable(exchange.target)
        return cls(
            proxy=proxy,
            method=printable(exchange.method),
            target=target if len(target) <= MOST_TARGET_LETTERS else f"{target[:MOST_TARGET_LETTERS]}...",
            status=exchange.status,
            took=f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s",
            size=decimal(exchange.sent),
        )

    @property
    def answer(self) -> str:
        """The status, in words where there is none."""
        return "no answer" if self.status is None else str(self.status)


@frozen(kw_only=True)
class Snapshot:
    """A client at one moment.

    :ivar requests: what users asked for last, the newest first.
    :ivar at: the time of the snapshot.
    :ivar seconds: for how long it has been in its state; until the next attempt, where it waits.
    """

    at: float
    server: str
    state: ConnectionState
    seconds: float
    entry_points: tuple[EntryPoint, ...] = ()
    requests: tuple[UserRequest, ...] = ()
    flows: FlowCounts = field(factory=FlowCounts)
    round_trip_s: float | None = None
    problem: LastProblem | None = None

    @property
    def state_text(self) -> str:
        """The state of the connection, in words."""
        match self.state:
            case ConnectionState.CONNECTED:
                return f"connected to {self.server}"
            case ConnectionState.CONNECTING:
                return f"connecting to {self.server}"
            case ConnectionState.WAITING:
                return f"not connected to {self.server}, next attempt in {self.seconds:.0f} s"
        users = self.flows.present
        return f"stopping: {users} users may end what they do" if users else "stopping"


@frozen(kw_only=True)
class StatusView:
    """Makes snapshots of one client.

    :ivar leads_to: where each proxy and visitor leads, by its name.
    :ivar hints: how each proxy without a public address is reached, by its name.
    :ivar schemes: ``http`` or ``https`` of the proxies whose service is for browsers, by its name.
    :ivar paths: the beginnings of the paths that lead to such a proxy, by its name, where not all do.
    """

    server: ServerName
    leads_to: Mapping[str, str] = field(factory=dict)
    hints: Mapping[str, str] = field(factory=dict)
    schemes: Mapping[str, str] = field(factory=dict)
    paths: Mapping[str, Sequence[str]] = field(factory=dict)

    def snapshot(
        self,
        status: ClientStatus,
        now: float,
        problem: LastProblem | None,
        requests: tuple[UserRequest, ...] = (),
    ) -> Snapshot:
        """The snapshot of a status."""
        state, seconds = _state(status, now)
        return Snapshot(
            at=now,
            server=str(self.server),
            state=state,
            seconds=seconds,
            entry_points=(*map(self._of_proxy, status.proxies), *map(self._of_visitor, status.visitors)),
            requests=requests,
            flows=status.flows,
            round_trip_s=status.round_trip_s,
            problem=problem,
        )

    def _of_proxy(self, proxy: ProxyStatus) -> EntryPoint:
        address = proxy.address
        if address.startswith(":"):
            # The server leaves out its own name.
            host = self.server.host
            address = f"[{host}]{address}" if ":" in host else f"{host}{address}"
        is_open = proxy.state is RegistrationState.RUNNING
        return self._entry_point(proxy.name, is_open, address, proxy.reason)

    def _of_visitor(self, visitor: VisitorStatus) -> EntryPoint:
        address = "" if visitor.listening is None else str(visitor.listening)
        return self._entry_point(visitor.name, visitor.listening is not None, address)

    def _entry_point(self, name: str, open_: bool, address: str, reason: str = "") -> EntryPoint:
        # A proxy with several domains has several addresses, each as often as it has paths.
        addresses = list(dict.fromkeys(each for each in address.split(",") if each))
        if (scheme := self.schemes.get(name)) is not None:
            paths = self.paths.get(name, ())
            addresses = [url for each in addresses for url in _urls(scheme, each, paths)]
        url = next((each for each in addresses if "://" in each), "")
        where = ", ".join(addresses) or self.hints.get(name, "")
        leads_to = self.leads_to.get(name, "")
        return EntryPoint(name=name, leads_to=leads_to, open=open_, where=where, url=url, reason=reason)


def _urls(scheme: str, address: str, paths: Sequence[str]) -> Iterator[str]:
    """What a browser opens at an address; only the host if that has a wildcard, which nobody can open."""
    said, _, host = address.rpartition("://")
    if "*" in host or "/" in host:
        yield host if "*" in host else address
        return
    scheme = said or scheme
    host = host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
    for path in paths or ("/",):
        yield f"{scheme}://{host}{quote(path)}"


def _state(status: ClientStatus, now: float) -> tuple[ConnectionState, float]:
    if status.stopping:
        return ConnectionState.STOPPING, 0.0
    if status.next_try is not None:
        return ConnectionState.WAITING, max(0.0, status.next_try - now)
    since = now if status.since is None else status.since
    state = ConnectionState.CONNECTED if status.connected else ConnectionState.CONNECTING
    return state, max(0.0, now - since)
