"""What a running client looks like to the people before it: made of its status and of what it logs.

A snapshot is data; :mod:`relaykit.commands.status.plain` writes it in lines, and
:mod:`relaykit.commands.status.client_picture` draws it.  Peers have a say in most of its texts: none of
them says anything to a terminal, whoever makes them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from attrs import Attribute, field, frozen
from rich.filesize import decimal

from relaykit.client.status import (
    ClientStatus,
    PeerProof,
    ProxyStatus,
    RegistrationState,
    VisitorStatus,
)
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts
from relaykit.errors import problem_of
from relaykit.escaping import printable, shown
from relaykit.known_problems.problem import KnownProblem
from relaykit.values import Exchange

__all__ = [
    "ConnectionState",
    "EntryPoint",
    "LastProblem",
    "Snapshot",
    "StatusView",
    "UserRequest",
    "ended_text",
    "is_solved",
    "printable_texts",
    "shortened",
    "stopping_text",
    "users_text",
]

MOST_LETTERS = 300
"""Letters of one text of a peer that are shown: the longest name of a host, or some lines.  Some
requests have thousands, and a server may say anything."""

MOST_ADDRESSES = 8
"""Addresses of one proxy that are shown; some sites have hundreds."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""What nobody writes in a URL."""


def printable_texts(cls: type, fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Has the texts of a class be printable, whatever they are made of; a ``field_transformer`` of attrs."""
    return [each.evolve(converter=each.converter or printable) if _is_text(each) else each for each in fields]


def _is_text(of: Attribute[Any]) -> bool:
    """Whether a field is a text, by its annotation, which is a text itself in these modules."""
    return getattr(of.type, "__name__", of.type) == "str"


class ConnectionState(enum.Enum):
    """Whether there is a session."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """The next attempt has its time."""
    STOPPING = "stopping"
    ENDED = "ended"


@frozen(kw_only=True, field_transformer=printable_texts)
class EntryPoint:
    """Where users come in.

    :ivar open: whether they can.
    :ivar where: what they dial, or how else it is reached; empty while that is not known.
    :ivar line: a command line that reaches it from another machine, where nothing is dialed; else empty.
    :ivar url: the same for a browser, where it is one's business; else empty.
    :ivar reason: why they cannot, as far as it is known; of what is open, why that is of no use to them.
    :ivar way: how users get to the other end, where there is more than one way; else empty.
    :ivar asks_again_s: seconds until the server, or the system, is asked again whether they can.
    """

    name: str
    leads_to: str
    open: bool = False
    where: str = ""
    line: str = ""
    url: str = ""
    reason: str = ""
    way: str = ""
    asks_again_s: float | None = None

    @property
    def why_not(self) -> str:
        """That it is not open, why, and what happens next."""
        again = "" if self.asks_again_s is None else f"; asks again in {self.asks_again_s:.0f} s"
        return f"not open: {self.reason}{again}" if self.reason else "not open"


@frozen(kw_only=True, field_transformer=printable_texts)
class LastProblem:
    """A thing that went wrong: what was logged, what is known of it, and when it was.

    :ivar proxy: the proxy or visitor that it is about; empty for none.
    :ivar closes: whether that proxy was not open after it; without one, whether there was no session.
    :ivar solved: whether that is over.
    """

    text: str
    known: KnownProblem | None
    at: float
    proxy: str = ""
    closes: bool = False
    solved: bool = False


@frozen(kw_only=True, field_transformer=printable_texts)
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
        seconds = exchange.seconds
        return cls(
            proxy=proxy,
            method=shortened(exchange.method),
            target=shortened(exchange.target),
            status=exchange.status,
            took=f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s",
            size=decimal(exchange.sent),
        )

    @property
    def answer(self) -> str:
        """The status, in words where there is none."""
        return "no answer" if self.status is None else str(self.status)


@frozen(kw_only=True, field_transformer=printable_texts)
class Snapshot:
    """A client at one moment.

    :ivar requests: what users asked for last, the newest first.
    :ivar at: the time of the snapshot.
    :ivar seconds: for how long it has been in its state; until the next attempt, where it waits; until what
        runs is cut, where it is stopping.
    :ivar way: by which carrier the server is reached, and ``way_reason`` why, where that was not configured.
    :ivar is_unproved: whether the server that it is connected to did not prove to be the one that is meant.
    """

    at: float
    server: str
    state: ConnectionState
    seconds: float
    entry_points: tuple[EntryPoint, ...] = ()
    requests: tuple[UserRequest, ...] = ()
    flows: FlowCounts = field(factory=FlowCounts)
    round_trip_s: float | None = None
    way: str = ""
    way_reason: str = ""
    is_unproved: bool = False
    problem: LastProblem | None = None

    @property
    def nothing_open(self) -> bool:
        """Whether it is connected for nothing: no entry point is open, and of each it is known why."""
        return self.state is ConnectionState.CONNECTED and all(
            each.reason and not each.open for each in self.entry_points or (EntryPoint(name="", leads_to=""),)
        )

    @property
    def state_text(self) -> str:
        """The state of the connection, in words."""
        match self.state:
            case ConnectionState.CONNECTED:
                unproved = ", which did not prove itself" if self.is_unproved else ""
                by = f" by {self.way}" if self.way else ""
                return f"connected to {self.server}{by}{unproved}" + (
                    ", but nothing is open" if self.nothing_open else ""
                )
            case ConnectionState.CONNECTING:
                return f"connecting to {self.server}"
            case ConnectionState.WAITING:
                return f"not connected to {self.server}, next attempt in {self.seconds:.0f} s"
            case ConnectionState.ENDED:
                return ended_text(self.flows)
        return stopping_text(self.flows.present, self.seconds)


def shortened(text: str) -> str:
    """A text of a peer as one line of people's letters, with its beginning only where it is long."""
    return shown(text, MOST_LETTERS)


def users_text(count: int) -> str:
    """So many users, in words."""
    return "1 user" if count == 1 else f"{count} users"


def stopping_text(users: int, seconds: float) -> str:
    """What those who are still there may do."""
    if not users:
        return "stopping"
    return f"{users_text(users)} may finish, {seconds:.0f} s left; Ctrl-C again ends at once"


def ended_text(flows: FlowCounts) -> str:
    """What it was all in all."""
    return (
        f"ended: {users_text(flows.total)}, {decimal(flows.near_to_far)} down, "
        f"{decimal(flows.far_to_near)} up"
    )


def is_solved(problem: LastProblem, status: ClientStatus) -> bool:
    """Whether a problem was one of a session, and there is a later one, or of a proxy that is open since."""
    if not problem.closes:
        return False
    if not problem.proxy:
        return status.connected and status.since is not None and status.since > problem.at
    return any(
        each.name == problem.proxy and each.state is RegistrationState.RUNNING for each in status.proxies
    ) or any(each.name == problem.proxy and each.is_up for each in status.visitors)


@frozen(kw_only=True)
class StatusView:
    """Makes snapshots of one client.

    :ivar leads_to: where each proxy and visitor leads, by its name.
    :ivar hints: what stands in the place of an address that a proxy does not have, by its name.
    :ivar lines: a command line that reaches each proxy without a public address, by its name.
    :ivar schemes: ``http`` or ``https`` of the proxies whose service is for browsers, by its name.
    :ivar paths: the beginnings of the paths that lead to such a proxy, by its name, where not all do.
    """

    server: ServerName
    leads_to: Mapping[str, str] = field(factory=dict)
    hints: Mapping[str, str] = field(factory=dict)
    lines: Mapping[str, str] = field(factory=dict)
    schemes: Mapping[str, str] = field(factory=dict)
    paths: Mapping[str, Sequence[str]] = field(factory=dict)

    def snapshot(
        self,
        status: ClientStatus,
        now: float,
        problem: LastProblem | None,
        requests: tuple[UserRequest, ...] = (),
        *,
        ended: bool = False,
    ) -> Snapshot:
        """The snapshot of a status; ``ended`` if it is the last one."""
        state, seconds = (ConnectionState.ENDED, 0.0) if ended else _state(status, now)
        return Snapshot(
            at=now,
            server=str(self.server),
            state=state,
            seconds=seconds,
            entry_points=(
                *(self._of_proxy(each, now) for each in status.proxies),
                *(self._of_visitor(each, now) for each in status.visitors),
            ),
            requests=requests,
            flows=status.flows,
            round_trip_s=status.round_trip_s,
            way=status.way,
            way_reason=status.way_reason,
            is_unproved=status.server_proof is PeerProof.NONE,
            problem=problem,
        )

    def _of_proxy(self, proxy: ProxyStatus, now: float) -> EntryPoint:
        return self._entry_point(
            proxy.name,
            proxy.state is RegistrationState.RUNNING,
            # The server leaves out its own name.
            f"{self.server.shown_host}{proxy.address}" if proxy.address.startswith(":") else proxy.address,
            proxy.reason,
            proxy.way,
            _left(proxy.next_try, now),
        )

    def _of_visitor(self, visitor: VisitorStatus, now: float) -> EntryPoint:
        address = visitor.local if visitor.listening is None else str(visitor.listening)
        reason = "nobody offers it now" if problem_of(visitor.reason) == "visit-nobody" else visitor.reason
        next_try_s = _left(visitor.next_try, now)
        return self._entry_point(visitor.name, visitor.is_up, address, reason, visitor.way, next_try_s)

    def _entry_point(
        self, name: str, open_: bool, address: str, reason: str, way: str, asks_again_s: float | None
    ) -> EntryPoint:
        # A proxy with several domains has several addresses, each as often as it has paths.
        addresses = list(dict.fromkeys(shortened(each) for each in address.split(",") if each))
        if (scheme := self.schemes.get(name)) is not None:
            paths = self.paths.get(name, ())
            addresses = [url for each in addresses for url in _urls(scheme, each, paths)]
        url = next((each for each in addresses if "://" in each), "")
        more = len(addresses) - MOST_ADDRESSES
        seen = [*addresses[:MOST_ADDRESSES], *([f"{more} more"] if more > 0 else [])]
        return EntryPoint(
            name=name,
            leads_to=self.leads_to.get(name, ""),
            open=open_,
            where=", ".join(seen) or self.hints.get(name, ""),
            line="" if seen else self.lines.get(name, ""),
            url=url,
            reason=shortened(reason),
            way=shortened(way),
            asks_again_s=asks_again_s,
        )


def _left(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, at - now)


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
        return ConnectionState.STOPPING, _left(status.cut_at, now) or 0.0
    if status.next_try is not None:
        return ConnectionState.WAITING, max(0.0, status.next_try - now)
    since = now if status.since is None else status.since
    state = ConnectionState.CONNECTED if status.connected else ConnectionState.CONNECTING
    return state, max(0.0, now - since)
