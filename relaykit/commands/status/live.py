"""Draws what runs on a terminal, again and again at the same place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from relaykit.commands.status.output import takes_output
from relaykit.commands.status.parts import framed
from relaykit.commands.status.terminal import Terminal
from relaykit.commands.status.view import UserRequest

__all__ = ["LiveRenderer", "Picture"]

PERIOD_S = 0.5
"""Rates are over this time; shorter ones would be hard to read."""

MOST_TOLD = 8
"""Texts that are printed at the end because nobody may miss them: the first tell what others do."""

MOST_LOG_LINES = 500
"""Lines of the log that are kept: some windows full."""

_LOG_STYLES = {LogLevel.warn: "yellow", LogLevel.error: "red", LogLevel.critical: "red"}

SnapshotT_contra = TypeVar("SnapshotT_contra", contravariant=True)
SnapshotT = TypeVar("SnapshotT")


class Picture(Protocol[SnapshotT_contra]):
    """What is drawn of a snapshot."""

    keys: str
    """What keys do besides those of every picture; empty for nothing."""

    def drawn(
        self, snapshot: SnapshotT_contra, before: SnapshotT_contra | None, console: Console, keys: str
    ) -> RenderableType:
        """What fits the console; rates are those since ``before``, and ``keys`` says what keys do."""

    def last(self, snapshot: SnapshotT_contra, console: Console) -> RenderableType:
        """What stays when it has ended."""


class LiveRenderer(Generic[SnapshotT]):
    """Draws on a screen of its own, and leaves the last state on that of the shell.

    The reactor draws it: a thread of rich's own would read what runs while it changes.
    """

    period_s: float | None = PERIOD_S

    def __init__(
        self,
        picture: Picture[SnapshotT],
        terminal: Terminal,
        stream: TextIO,
        console: Console | None = None,
    ) -> None:
        self._picture = picture
        self._terminal = terminal
        self._stream = stream
        self._console = console or Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._before: SnapshotT | None = None
        self._snapshot: SnapshotT | None = None
        self._told: list[str] = []
        self._log: deque[Text] = deque(maxlen=MOST_LOG_LINES)
        self._shows_log = False
        self._on_key: Callable[[str], None] = lambda letter: None

    def begin(self, on_key: Callable[[str], None]) -> None:
        """Takes the terminal; keys that are not its own are told."""
        self._on_key = on_key
        self._terminal.begin(self)

    def show(self, snapshot: SnapshotT) -> None:
        """Draws a snapshot, unless the terminal takes nothing at the moment: that must stop no traffic."""
        self._before, self._snapshot = self._snapshot, snapshot
        self._terminal.look()
        self.refresh()

    def tell(self, text: str) -> None:
        """Keeps a text for the end, and in the log."""
        if len(self._told) < MOST_TOLD:
            self._told.append(text)
        for line in text.splitlines():
            self.tell_log(line, LogLevel.error)

    def tell_log(self, line: str, level: LogLevel) -> None:
        """Keeps a line for who looks at the log."""
        self._log.append(Text(line, style=_LOG_STYLES.get(level, "default")))

    def tell_request(self, request: UserRequest) -> None:
        """Nothing: it is in what is drawn next."""

    def close(self) -> None:
        """Leaves the last state, and what was told, on the screen of the shell."""
        self._terminal.leave()
        # The terminal may be gone.
        with suppress(OSError):
            for text in self._told:
                self._console.print(Text(text))
            if self._snapshot is not None:
                self._console.print(self._picture.last(self._snapshot, self._console))
        self._terminal.end()

    # --- the terminal's occupant ------------------------------------------------------------------

    def enter(self) -> None:
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with suppress(OSError):
            self._live.start()
        self.refresh()

    def leave(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()

    def refresh(self) -> None:
        """Draws the last snapshot once more."""
        if self._live is not None and self._snapshot is not None and takes_output(self._stream):
            with suppress(OSError):
                self._live.update(self._drawn(self._snapshot), refresh=True)

    def key(self, letter: str) -> None:
        if letter == "l":
            self._shows_log = not self._shows_log
            self.refresh()
        else:
            self._on_key(letter)

    def _drawn(self, snapshot: SnapshotT) -> RenderableType:
        try:
            if self._shows_log:
                return self._drawn_log()
            return self._picture.drawn(snapshot, self._before, self._console, self._keys)
        except Exception:
            # One that cannot be drawn must not end the drawing of all that come after it.
            return Text(Failure().getTraceback())

    @property
    def _keys(self) -> str:
        if not self._terminal.has_keys:
            return "Ctrl-C ends it"
        return ", ".join(filter(None, ("q ends it", self._picture.keys, "l shows the log")))

    def _drawn_log(self) -> RenderableType:
        """As many of the last lines as fit: the last one is seen in any case."""
        room, lines = self._console.height - 2, deque[Text]()
        for line in reversed(self._log):
            room -= len(line.wrap(self._console, max(1, self._console.width - 4)))
            if room < 0 and lines:
                break
            lines.appendleft(line)
        return framed(lines, "log", "l goes back", "default")
