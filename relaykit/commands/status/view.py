"""What a running client looks like to the people before it: made of its status and of what it logs.

A snapshot is data; :mod:`relaykit.commands.status.plain` writes it in lines, and
:mod:`relaykit.commands.status.live` draws it on a terminal.
"""

from __future__ import annotations

import enum

from attrs import field, frozen

from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.commands.known_problems import KnownProblem
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts

__all__ = ["ConnectionState", "EntryPoint", "LastProblem", "Snapshot", "StatusView"]


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
class Snapshot:
    """A client at one moment.

    :ivar at: the time of the snapshot.
    :ivar seconds: for how long it has been in its state; until the next attempt, where it waits.
    """

    at: float
    server: str
    state: ConnectionState
    seconds: float
    entry_points: tuple[EntryPoint, ...] = ()
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
    """

    server: ServerName
    leads_to: dict[str, str] = field(factory=dict)
    hints: dict[str, str] = field(factory=dict)
    schemes: dict[str, str] = field(factory=dict)

    def snapshot(self, status: ClientStatus, now: float, problem: LastProblem | None) -> Snapshot:
        """The snapshot of a status."""
        state, seconds = _state(status, now)
        return Snapshot(
            at=now,
            server=str(self.server),
            state=state,
            seconds=seconds,
            entry_points=(*map(self._of_proxy, status.proxies), *map(self._of_visitor, status.visitors)),
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
        # A proxy with several domains has several addresses.
        addresses = [each for each in address.split(",") if each]
        if (scheme := self.schemes.get(name)) is not None:
            addresses = [each if "://" in each else f"{scheme}://{each}/" for each in addresses]
        url = next((each for each in addresses if "://" in each), "")
        where = ", ".join(addresses) or self.hints.get(name, "")
        leads_to = self.leads_to.get(name, "")
        return EntryPoint(name=name, leads_to=leads_to, open=open_, where=where, url=url, reason=reason)


def _state(status: ClientStatus, now: float) -> tuple[ConnectionState, float]:
    if status.stopping:
        return ConnectionState.STOPPING, 0.0
    if status.next_try is not None:
        return ConnectionState.WAITING, max(0.0, status.next_try - now)
    since = now if status.since is None else status.since
    state = ConnectionState.CONNECTED if status.connected else ConnectionState.CONNECTING
    return state, max(0.0, now - since)
