"""Keeps what people see of a client or a server up to date while it runs."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.commands.status.plain import PlainRenderer
from relaykit.commands.status.terminal import Terminal, can_draw
from relaykit.commands.status.view import LastProblem, Snapshot, UserRequest
from relaykit.escaping import printable, printable_lines
from relaykit.known_problems.table import KNOWN_PROBLEMS
from relaykit.logs.floods import FloodLimit

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.commands.context import CommandContext
    from relaykit.commands.status.live import Picture

__all__ = ["Followed", "LogFollower", "Renderer", "client_renderer", "live_renderer"]

LAST_PROBLEMS = 5
"""Problems that are remembered: as many as a small terminal has rows to spare."""

SnapshotT = TypeVar("SnapshotT")
SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)
SnapshotT_contra = TypeVar("SnapshotT_contra", contravariant=True)


class Renderer(Protocol[SnapshotT_contra]):
    """Shows snapshots, in lines or drawn on a terminal."""

    period_s: float | None
    """How often it wants a snapshot although nothing has happened, in seconds; None for never."""

    def begin(self, on_key: Callable[[str], None]) -> None:
        """Begins to show; tells of keys, if there are any."""

    def show(self, snapshot: SnapshotT_contra) -> None:
        """Shows a snapshot."""

    def tell(self, text: str) -> None:
        """Shows a text that is no part of a snapshot."""

    def tell_log(self, line: str, level: LogLevel) -> None:
        """Something was logged; what is worth a snapshot is in the next one."""

    def tell_request(self, request: UserRequest) -> None:
        """A user has asked for something; the next snapshots have it, too."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Followed(Protocol[SnapshotT_co]):
    """What is followed: a client or a server."""

    def begin(self, tell_request: Callable[[UserRequest], None], *, watched: bool) -> None:
        """Begins to look; ``watched`` if somebody sees it all the time."""

    def end(self) -> None:
        """Looks no more."""

    def snapshot(self, problems: Sequence[LastProblem], *, ended: bool = False) -> SnapshotT_co:
        """How it is now, with what went wrong, the last first; ``ended`` if it is over."""

    def key(self, letter: str) -> None:
        """A key was pressed."""


def client_renderer(
    context: CommandContext, reactor: Any, title: str, *, plain: bool, codes: bool = True
) -> Renderer[Snapshot]:
    """The one that draws where that can be, with QR codes or without; else lines."""
    if plain or not can_draw(context.stdout, context.environ):
        return PlainRenderer(context)
    from relaykit.commands.status.client_picture import ClientPicture

    return live_renderer(context, reactor, ClientPicture(title, codes=codes))


def live_renderer(context: CommandContext, reactor: Any, picture: Picture[SnapshotT]) -> Renderer[SnapshotT]:
    """Draws on the terminal."""
    from relaykit.commands.status.live import LiveRenderer  # what draws takes long to import

    terminal = Terminal(reactor, context.stdout, context.stdin)
    return LiveRenderer(picture, terminal, context.stdout, clock=reactor.seconds)


@implementer(ILogObserver)
class LogFollower(Generic[SnapshotT]):
    """Shows what it follows: when that logs something, and as often as the renderer wants.

    It owns the renderer.  From :meth:`begin` on, the log of this process comes here: the last warnings
    and errors are shown as problems, and the traceback of a defect, which nobody may miss, as a text.

    """

    def __init__(
        self,
        followed: Followed[SnapshotT],
        renderer: Renderer[SnapshotT],
        reactor: Any,
    ) -> None:
        self._followed = followed
        self._renderer = renderer
        self._reactor = reactor
        self._problems: deque[LastProblem] = deque(maxlen=LAST_PROBLEMS)
        self._soon: IDelayedCall | None = None
        self._runs = False
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    @property
    def problem(self) -> LastProblem | None:
        """The last one."""
        return self._problems[0] if self._problems else None

    def begin(self, also: Sequence[ILogObserver] = (), warnings: Iterable[str] = ()) -> None:
        """Begins to show.

        :param also: further observers of the log.
        :param warnings: what was said before, where a picture covers it now.
        """
        self._runs = True
        limited = [FloodLimit(each, self._reactor) for each in (*also, self)]
        globalLogBeginner.beginLoggingTo(limited, discardBuffer=True, redirectStandardIO=False)
        watched = self._renderer.period_s is not None
        if watched:
            for each in warnings:
                self.complain(each)
        self._followed.begin(self._renderer.tell_request, watched=watched)
        self._renderer.begin(self._pressed)
        if self._renderer.period_s is not None:
            self._looking.start(self._renderer.period_s)
        else:
            self._look_soon()

    def has_told(self, text: str) -> bool:
        """Whether the last problem that was shown has this text in it."""
        return self.problem is not None and text in self.problem.text

    def complain(self, text: str) -> None:
        """Has a text shown as a problem that is not in the log."""
        self._problems.appendleft(LastProblem(text=printable(text), known=None, at=self._reactor.seconds()))

    def end(self) -> None:
        """Shows how it ended, and nothing more; only once."""
        if not self._runs:
            return
        self._runs = False
        try:
            if self._looking.running:
                self._looking.stop()
            if self._soon is not None:
                self._soon.cancel()
                self._soon = None
            self._followed.end()
            self._renderer.show(self._followed.snapshot(tuple(self._problems), ended=True))
        finally:
            self._renderer.close()

    def __call__(self, event: LogEvent) -> None:
        """Takes an event of the log."""
        level = event.get("log_level")
        if not self._runs or level is None or not _is_ours(event):
            return
        # Every event of a session begins with its run id, which people do not need.
        form = (event.get("log_format") or "").removeprefix("[{run}] ")
        text = printable(formatEvent({**event, "log_format": form}))
        failure = event.get("log_failure")
        if failure is not None:
            self._renderer.tell(printable_lines(failure.getTraceback()))
        if level >= LogLevel.info:
            self._renderer.tell_log(f"{time.strftime('%H:%M:%S')} {text}", level)
        if level >= LogLevel.warn:
            self._problems.appendleft(
                LastProblem(
                    text=text,
                    known=KNOWN_PROBLEMS.get(event.get("problem", "")),
                    at=self._reactor.seconds(),
                    proxy=str(event.get("proxy") or event.get("visitor") or ""),
                    closes=bool(event.get("closed")),
                )
            )
        self._look_soon()

    def _pressed(self, letter: str) -> None:
        if letter == "q":
            signal.raise_signal(signal.SIGINT)
        else:
            self._followed.key(letter)

    def _look_soon(self) -> None:
        """What is logged is often said before it is done; at the end of this turn, both are."""
        if self._soon is None:
            self._soon = self._reactor.callLater(0, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self._look()

    def _look(self) -> None:
        try:
            self._renderer.show(self._followed.snapshot(tuple(self._problems)))
        except OSError:
            # Whoever looked is gone; what is followed goes on.
            return
        except Exception:
            # One look that fails must not end those that come after it, nor may it be missed.
            self._renderer.tell(printable_lines(Failure().getTraceback()))


def _is_ours(event: LogEvent) -> bool:
    return str(event.get("log_namespace")).startswith("relaykit.")
