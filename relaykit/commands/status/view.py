"""What a running client looks like to the people before it: made of its status and of what it logs.

A picture is data; :mod:`relaykit.commands.status.plain` writes it in lines, and
:mod:`relaykit.commands.status.live` draws it on a terminal.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from attrs import field, frozen
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from relaykit.client.status import ClientStatus, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.commands.known_problems import KNOWN_PROBLEMS, KnownProblem
from relaykit.commands.tunnels.logins import ServerName
from relaykit.dataplane.plane import FlowCounts
from relaykit.logs.lines import printable

__all__ = [
    "ConnectionState",
    "EntryPoint",
    "Problem",
    "ProblemListener",
    "Snapshot",
    "StatusView",
    "state_text",
]


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
    :ivar address: what they dial; empty if nothing is public.
    :ivar url: the same for a browser, where it is one's business; else empty.
    :ivar hint: how else it is reached.
    """

    name: str
    leads_to: str
    open: bool = False
    address: str = ""
    url: str = ""
    hint: str = ""


@frozen(kw_only=True)
class Problem:
    """The last thing that went wrong: what was logged, what to do about it, and when it was."""

    text: str
    known: KnownProblem | None
    at: float


@frozen(kw_only=True)
class Snapshot:
    """A client at one moment.

    :ivar at: the time of the picture.
    :ivar seconds: for how long it has stood so; until the next attempt, where it waits.
    """

    at: float
    server: str
    standing: ConnectionState
    seconds: float
    entry_points: tuple[EntryPoint, ...] = ()
    flows: FlowCounts = field(factory=FlowCounts)
    round_trip_s: float | None = None
    problem: Problem | None = None


@frozen(kw_only=True)
class StatusView:
    """Makes pictures of one client.

    :ivar leads_to: where each proxy and visitor leads, by its name.
    :ivar hints: how each proxy without a public address is reached, by its name.
    :ivar web: names of the proxies whose service is for browsers.
    """

    server: ServerName
    leads_to: dict[str, str] = field(factory=dict)
    hints: dict[str, str] = field(factory=dict)
    web: frozenset[str] = frozenset()

    def paint(self, status: ClientStatus, now: float, problem: Problem | None) -> Snapshot:
        """The picture of a status."""
        standing, seconds = _standing(status, now)
        return Snapshot(
            at=now,
            server=str(self.server),
            standing=standing,
            seconds=seconds,
            entry_points=(
                *(self._of_proxy(each) for each in status.proxies),
                *(self._of_visitor(each) for each in status.visitors),
            ),
            flows=status.flows,
            round_trip_s=status.round_trip_s,
            problem=problem,
        )

    def _of_proxy(self, proxy: ProxyStatus) -> EntryPoint:
        address = self._public(proxy.address)
        return EntryPoint(
            name=proxy.name,
            leads_to=self.leads_to.get(proxy.name, ""),
            open=proxy.state is RegistrationState.RUNNING,
            address=address,
            url=self._url(proxy.name, address),
            hint=self.hints.get(proxy.name, ""),
        )

    def _of_visitor(self, visitor: VisitorStatus) -> EntryPoint:
        address = "" if visitor.listening is None else str(visitor.listening)
        return EntryPoint(
            name=visitor.name,
            leads_to=self.leads_to.get(visitor.name, ""),
            open=visitor.listening is not None,
            address=address,
            url=self._url(visitor.name, address),
        )

    def _public(self, told: str) -> str:
        """What the server told that users dial; it leaves out its own name."""
        if not told.startswith(":"):
            return told
        host = self.server.host
        return f"[{host}]{told}" if ":" in host else f"{host}{told}"

    def _url(self, name: str, address: str) -> str:
        if "://" in address:
            return address
        return f"http://{address}/" if address and name in self.web else ""


def _standing(status: ClientStatus, now: float) -> tuple[ConnectionState, float]:
    if status.stopping:
        return ConnectionState.STOPPING, 0.0
    if status.next_try is not None:
        return ConnectionState.WAITING, max(0.0, status.next_try - now)
    since = now if status.since is None else status.since
    return ConnectionState.CONNECTED if status.connected else ConnectionState.CONNECTING, max(
        0.0, now - since
    )


def state_text(picture: Snapshot) -> str:
    """How a client stands, in words."""
    match picture.standing:
        case ConnectionState.CONNECTED:
            return f"connected to {picture.server}"
        case ConnectionState.CONNECTING:
            return f"connecting to {picture.server}"
        case ConnectionState.WAITING:
            return f"not connected to {picture.server}, next attempt in {picture.seconds:.0f} s"
        case ConnectionState.STOPPING:
            users = f"{picture.flows.present} users may end what they do" if picture.flows.present else ""
            return f"stopping: {users}" if users else "stopping"


# --- what goes wrong ---------------------------------------------------------------------------


@implementer(ILogObserver)
class ProblemListener:
    """A log observer that keeps the last problem.

    :param heard: called for each event of relaykit's own: there may be something new to see.
    :param tell: gets the traceback of a defect, which nobody may miss.
    """

    def __init__(
        self, clock: Callable[[], float], heard: Callable[[], None], tell: Callable[[str], None]
    ) -> None:
        self.problem: Problem | None = None
        self._clock = clock
        self._heard = heard
        self._tell = tell

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level is None or not str(event.get("log_namespace")).startswith("relaykit."):
            return
        failure = event.get("log_failure")
        if failure is not None:
            self._tell(failure.getTraceback())
        if level >= LogLevel.warn:
            text = printable(formatEvent({**event, "log_format": _without_run(event)}))
            known = KNOWN_PROBLEMS.get(event.get("problem", ""))
            self.problem = Problem(text=text, known=known, at=self._clock())
        self._heard()


def _without_run(event: LogEvent) -> str:
    """The format of an event without the run id that those of a session begin with: people do not need it."""
    return (event.get("log_format") or "").removeprefix("[{run}] ")
