"""Draws what runs on a terminal, again and again at the same place."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Generic, Protocol, TextIO, TypeAlias, TypeVar

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.segment import Segment
from rich.text import Text
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from relaykit.commands.status.output import takes_output
from relaykit.commands.status.parts import framed
from relaykit.commands.status.terminal import Terminal
from relaykit.commands.status.view import UserRequest
from relaykit.escaping import printable_lines

__all__ = ["LiveRenderer", "Picture"]

PERIOD_S = 0.5
"""Rates are over this time; shorter ones would be hard to read."""

SHARE = 20
"""A picture is drawn again after so many times what the last one took: a large one takes some hundredths of a
second, in which no user is served, and whatever is logged asks for one."""

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


Rows: TypeAlias = list[list[Segment]]
"""What each row of a terminal shows."""


@frozen
class _ChangedRows:
    """Some rows, each at its place."""

    rows: Mapping[int, list[Segment]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for row, line in self.rows.items():
            yield Control.move_to(0, row)
            yield from line


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._picture = picture
        self._terminal = terminal
        self._stream = stream
        self._console = console or Console(file=stream, highlight=False)
        self._is_on = False
        self._rows: Rows = []
        self._clock = clock
        self._due_at = 0.0
        self._before: SnapshotT | None = None
        self._drawn: SnapshotT | None = None
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
        self._snapshot = snapshot
        self._terminal.look()
        if self._clock() >= self._due_at:
            self._before, self._drawn = self._drawn, snapshot
            self._draw()

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
        self._is_on = True
        with suppress(OSError):
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
        self.refresh()

    def leave(self) -> None:
        self._is_on = False
        with suppress(OSError):
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def refresh(self) -> None:
        """Draws all of the last snapshot once more."""
        self._rows = []
        self._draw()

    def key(self, letter: str) -> None:
        if letter == "l":
            self._shows_log = not self._shows_log
            self._draw()
        else:
            self._on_key(letter)

    def _draw(self) -> None:
        """Draws the rows that have changed: text that was marked with a mouse stays so."""
        if not self._is_on or self._snapshot is None or not takes_output(self._stream):
            return
        began = self._clock()
        console, before = self._console, self._rows
        width, height = console.size
        self._rows = Segment.set_shape(self._lines(self._snapshot), width, height)
        changed = {row: line for row, line in enumerate(self._rows) if before[row : row + 1] != [line]}
        with suppress(OSError):
            console.print(_ChangedRows(changed), end="", crop=False)
        now = self._clock()
        self._due_at = now + SHARE * (now - began)

    def _lines(self, snapshot: SnapshotT) -> Rows:
        try:
            if self._shows_log:
                return self._console.render_lines(self._drawn_log())
            drawn = self._picture.drawn(snapshot, self._before, self._console, self._keys)
            return self._console.render_lines(drawn)
        except Exception:
            # One that cannot be drawn must not end the drawing of all that come after it.
            return self._console.render_lines(Text(printable_lines(Failure().getTraceback())))

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
