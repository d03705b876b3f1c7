"""Draws a running client on a terminal."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import segno
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relaykit.commands.status.view import ConnectionState, EntryPoint, Problem, Snapshot, state_text
from relaykit.dataplane.plane import FlowCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LiveRenderer", "bytes_text", "qr_rows"]

PERIOD_S = 0.5
"""Rates are over this time; shorter ones would be hard to read."""

QUIET_ZONE = 2
"""Light modules context a QR code.  Four are the standard's; two are what readers of screens need."""

PANEL_ROWS = 14
"""Rows that everything but QR codes takes, at most; a code is drawn where there is room for it, too."""

_HERE = ("127.", "localhost", "[::1]")
"""How addresses begin that lead to this machine wherever they are read: no code is drawn of them."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_COLORS = {
    ConnectionState.CONNECTED: "green",
    ConnectionState.CONNECTING: "yellow",
    ConnectionState.WAITING: "red",
    ConnectionState.STOPPING: "yellow",
}


class LiveRenderer:
    """A panel that is drawn again and again at the same place."""

    period_s: float | None = PERIOD_S

    def __init__(self, title: str, stream: TextIO, console: Console | None = None) -> None:
        self._title = title
        self._stream = stream
        self._console = console or Console(file=stream, highlight=False)
        self._unicode = "utf" in self._console.encoding.lower()
        self._before: Snapshot | None = None
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, picture: Snapshot) -> None:
        """Draws a picture, unless the terminal takes nothing at the moment: that must stop no traffic."""
        if not _takes_output(self._stream):
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.drawn(picture), refresh=True)
        self._before = picture

    def tell(self, text: str) -> None:
        """Prints a text above the panel."""
        self._console.print(Text(text))

    def close(self) -> None:
        """Leaves the last picture where it is."""
        self._live.stop()

    def drawn(self, picture: Snapshot) -> RenderableType:
        """What is drawn of a picture."""
        rows: list[RenderableType] = [self._standing(picture), self._entrances(picture)]
        rows.append(self._traffic(picture.flows, self._rates(picture)))
        if picture.problem is not None:
            rows.append(_problem(picture.problem, picture.at))
        panel = Panel(
            Group(*rows),
            title=self._title,
            title_align="left",
            subtitle="Ctrl-C ends it",
            subtitle_align="right",
            border_style=_COLORS[picture.standing],
        )
        return Group(panel, *self._codes(picture))

    def _standing(self, picture: Snapshot) -> Text:
        color = _COLORS[picture.standing]
        dot = "●" if self._unicode else "*"
        text = Text.assemble((f"{dot} {state_text(picture)}", f"bold {color}"), overflow="ellipsis")
        if picture.standing is ConnectionState.CONNECTED:
            text.append(f"  for {_duration(picture.seconds)}")
            if picture.round_trip_s is not None:
                text.append(f", round trip {picture.round_trip_s * 1000:.1f} ms")
        return text

    def _entrances(self, picture: Snapshot) -> Table:
        arrow = "→" if self._unicode else "->"
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(overflow="fold")
        for each in picture.entry_points:
            where = Text(each.url or each.address or each.hint, style="bold" if each.open else "dim")
            if not each.open:
                where = Text("not open", style="red") if not where.plain else where
            table.add_row(Text(each.name), where, Text(f"{arrow} {each.leads_to}" if each.leads_to else ""))
        return table

    def _traffic(self, flows: FlowCounts, rates: tuple[float, float]) -> Text:
        into, out_of = ("↓", "↑") if self._unicode else ("from users", "to users")
        users = "1 user" if flows.present == 1 else f"{flows.present} users"
        return Text(
            f"{users} now, {flows.total} so far   "
            f"{into} {bytes_text(flows.near_to_far)} ({bytes_text(rates[0])}/s)   "
            f"{out_of} {bytes_text(flows.far_to_near)} ({bytes_text(rates[1])}/s)"
        )

    def _rates(self, picture: Snapshot) -> tuple[float, float]:
        """Bytes a second since the picture before, from users and to them."""
        before = self._before
        if before is None or picture.at <= before.at:
            return 0.0, 0.0
        seconds = picture.at - before.at
        return (
            (picture.flows.near_to_far - before.flows.near_to_far) / seconds,
            (picture.flows.far_to_near - before.flows.far_to_near) / seconds,
        )

    def _codes(self, picture: Snapshot) -> Iterator[Text]:
        """QR codes of the addresses that a telephone's browser can open, as far as there is room."""
        room = self._console.height - PANEL_ROWS
        for entry_point in _for_browsers(picture.entry_points) if self._unicode else ():
            rows = qr_rows(entry_point.url)
            room -= len(rows)
            if room < 0 or len(rows[0]) > self._console.width:
                return
            yield Text("\n".join(rows), style="black on white", no_wrap=True)


def qr_rows(text: str) -> list[str]:
    """A QR code in half blocks, two rows of modules in each line; dark ones are drawn."""
    modules = [[bool(dark) for dark in row] for row in segno.make(text, error="l").matrix]
    width = len(modules[0]) + 2 * QUIET_ZONE
    margin = [False] * QUIET_ZONE
    light = [False] * width
    rows = [light] * QUIET_ZONE + [[*margin, *row, *margin] for row in modules] + [light] * QUIET_ZONE
    if len(rows) % 2:
        rows.append(light)
    return [
        "".join(" ▄▀█"[2 * upper + lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]


def bytes_text(count: float) -> str:
    """An amount of bytes for people, in powers of a thousand."""
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def _for_browsers(entry_points: Sequence[EntryPoint]) -> list[EntryPoint]:
    """What can be opened from another device."""
    return [
        each
        for each in entry_points
        if each.open and each.url and not urlsplit(each.url).netloc.startswith(_HERE)
    ]


def _problem(problem: Problem, now: float) -> Text:
    text = Text(f"\n{_duration(now - problem.at)} ago: ", style="yellow")
    text.append(problem.text)
    if problem.known is not None:
        text.append(f"\n{problem.known.cause} {problem.known.remedy}", style="default")
    return text


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _takes_output(stream: TextIO) -> bool:
    """Whether a terminal is ready for more; one that was stopped with Ctrl-S is not."""
    try:
        _, ready, _ = select.select([], [stream.fileno()], [], 0)
    except (OSError, ValueError):  # no descriptor, or a system that cannot ask
        return True
    return bool(ready)
