"""Keeps what people see of a client up to date while it runs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from relaykit.commands.known_problems import KNOWN_PROBLEMS
from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import LastProblem, Snapshot, StatusView, UserRequest
from relaykit.interfaces import IExchangeObserver
from relaykit.logs.lines import printable

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.client.status import ClientStatus
    from relaykit.commands.context import CommandContext
    from relaykit.values import Exchange

__all__ = ["LogFollower", "Renderer", "choose_renderer"]

MEASURE_S = 5.0
"""Pause between two measurements of the round trip while somebody watches."""


LAST_REQUESTS = 50
"""Requests that are remembered: as many as a tall terminal has rows."""


class Renderer(Protocol):
    """Shows snapshots, in lines or drawn on a terminal."""

    period_s: float | None
    """How often it wants a snapshot although nothing has happened, in seconds; None for never."""

    def show(self, snapshot: Snapshot) -> None:
        """Shows a snapshot."""

    def tell(self, text: str) -> None:
        """Shows a text that is no part of a snapshot."""

    def tell_request(self, request: UserRequest) -> None:
        """A user has asked for something; the next snapshots have it, too."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Followed(Protocol):
    """What is followed: a client."""

    def status(self) -> ClientStatus: ...

    def measure_round_trip(self) -> None: ...

    def observe(self, observer: IExchangeObserver) -> None: ...

    def stop_observing(self, observer: IExchangeObserver) -> None: ...


def choose_renderer(context: CommandContext, title: str, *, plain: bool, codes: bool = True) -> Renderer:
    """The live one where there is a terminal that can be drawn on, with QR codes or without; else lines."""
    if plain or not context.stdout.isatty() or context.environ.get("TERM") == "dumb":
        return PlainRenderer(context)
    from relaykit.commands.status.live import LiveRenderer

    return LiveRenderer(title, context.stdout, codes=codes)


@implementer(ILogObserver, IExchangeObserver)
class LogFollower:
    """Shows a client: when it logs something, and as often as the renderer wants; and what its users ask for.

    It owns the renderer.  From :meth:`begin` on, the log of this process comes here alone: the last warning
    or error is shown as the problem, and the traceback of a defect, which nobody may miss, as a text.
    """

    def __init__(self, client: Followed, view: StatusView, renderer: Renderer, reactor: Any) -> None:
        self.problem: LastProblem | None = None
        self._client = client
        self._view = view
        self._renderer = renderer
        self._reactor = reactor
        self._requests: deque[UserRequest] = deque(maxlen=LAST_REQUESTS)
        self._soon: IDelayedCall | None = None
        self._ended = False
        self._looking = LoopingCall(self._look)
        self._measuring = LoopingCall(client.measure_round_trip)
        self._looking.clock = self._measuring.clock = reactor

    def begin(self) -> None:
        """Begins to show."""
        self._client.observe(self)
        globalLogBeginner.beginLoggingTo([self], discardBuffer=True, redirectStandardIO=False)
        if self._renderer.period_s is not None:
            self._looking.start(self._renderer.period_s)
            self._measuring.start(MEASURE_S)
        else:
            self._look_soon()

    def has_told(self, text: str) -> bool:
        """Whether the last problem that was shown has this text in it."""
        return self.problem is not None and text in self.problem.text

    def end(self) -> None:
        """Shows how it ended, and nothing more."""
        self._ended = True
        self._client.stop_observing(self)
        for call in (self._looking, self._measuring):
            if call.running:
                call.stop()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._look()
        self._renderer.close()

    def __call__(self, event: LogEvent) -> None:
        """Takes an event of the log."""
        level = event.get("log_level")
        if self._ended or level is None or not str(event.get("log_namespace")).startswith("relaykit."):
            return
        failure = event.get("log_failure")
        if failure is not None:
            self._renderer.tell(failure.getTraceback())
        if level >= LogLevel.warn:
            # Every event of a session begins with its run id, which people do not need.
            form = (event.get("log_format") or "").removeprefix("[{run}] ")
            self.problem = LastProblem(
                text=printable(formatEvent({**event, "log_format": form})),
                known=KNOWN_PROBLEMS.get(event.get("problem", "")),
                at=self._reactor.seconds(),
            )
        self._look_soon()

    def on_exchange(self, proxy: str, exchange: Exchange) -> None:
        request = UserRequest.of(proxy, exchange)
        self._requests.appendleft(request)
        self._renderer.tell_request(request)

    def _look_soon(self) -> None:
        """What is logged is often said before it is done; at the end of this turn, both are."""
        if self._soon is None:
            self._soon = self._reactor.callLater(0, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self._look()

    def _look(self) -> None:
        status = self._client.status()
        if self._renderer.period_s is not None and status.round_trip_s is None:
            self._client.measure_round_trip()
        self._renderer.show(
            self._view.snapshot(status, self._reactor.seconds(), self.problem, tuple(self._requests))
        )
