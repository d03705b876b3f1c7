"""Keeps what people see of a client up to date while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import globalLogBeginner

from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.view import ProblemListener, Snapshot, StatusView

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.client.status import ClientStatus
    from relaykit.commands.context import CommandContext

__all__ = ["LogFollower", "Renderer", "choose_renderer"]

MEASURE_S = 5.0
"""Pause between two measurements of the round trip while somebody watches."""


class Renderer(Protocol):
    """Shows snapshots, in lines or drawn on a terminal."""

    period_s: float | None
    """How often it wants a picture although nothing has happened, in seconds; None for never."""

    def show(self, picture: Snapshot) -> None:
        """Shows a picture."""

    def tell(self, text: str) -> None:
        """Shows a text that is no part of a picture."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Followed(Protocol):
    """What is followed: a client."""

    def status(self) -> ClientStatus: ...

    def measure_round_trip(self) -> None: ...


def choose_renderer(context: CommandContext, title: str, *, plain: bool) -> Renderer:
    """A screen where there is a terminal that can be drawn on, lines elsewhere."""
    if plain or not context.stdout.isatty() or context.environ.get("TERM") == "dumb":
        return PlainRenderer(context)
    from relaykit.commands.status.live import LiveRenderer

    return LiveRenderer(title, context.stdout)


class LogFollower:
    """Shows a client: when it logs something, and as often as the show wants.  Owns the show.

    From :meth:`begin` on, the log of this process goes nowhere else.
    """

    def __init__(self, client: Followed, painter: StatusView, show: Renderer, reactor: Any) -> None:
        self._client = client
        self._painter = painter
        self._show = show
        self._reactor = reactor
        self._soon: IDelayedCall | None = None
        self._over = False
        self._listener = ProblemListener(reactor.seconds, self._look_soon, show.tell)
        self._looking = LoopingCall(self._look)
        self._measuring = LoopingCall(client.measure_round_trip)
        self._looking.clock = self._measuring.clock = reactor

    def begin(self) -> None:
        """Begins to show."""
        globalLogBeginner.beginLoggingTo([self._listener], discardBuffer=True, redirectStandardIO=False)
        if self._show.period_s is not None:
            self._looking.start(self._show.period_s)
            self._measuring.start(MEASURE_S)
        else:
            self._look_soon()

    def has_told(self, text: str) -> bool:
        """Whether the last problem that was shown has this text in it."""
        return self._listener.problem is not None and text in self._listener.problem.text

    def end(self) -> None:
        """Shows how it ended, and nothing more."""
        self._over = True
        for call in (self._looking, self._measuring):
            if call.running:
                call.stop()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._look()
        self._show.close()

    def _look_soon(self) -> None:
        """What is logged is often said before it is done; at the end of this turn, both are."""
        if self._soon is None and not self._over:
            self._soon = self._reactor.callLater(0, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self._look()

    def _look(self) -> None:
        status = self._client.status()
        if self._show.period_s is not None and status.round_trip_s is None:
            self._client.measure_round_trip()
        self._show.show(self._painter.paint(status, self._reactor.seconds(), self._listener.problem))
