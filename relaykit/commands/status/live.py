"""Draws a running client on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from io import StringIO
from typing import TextIO
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relaykit.commands.status.output import takes_output
from relaykit.commands.status.view import ConnectionState, EntryPoint, LastProblem, Snapshot, UserRequest
from relaykit.dataplane.datagram_flows import DatagramCounts

__all__ = ["LiveRenderer"]

PERIOD_S = 0.5
"""Rates are over this time; shorter ones would be hard to read."""

QUIET_ZONE = 2
"""Light modules around a QR code.  Four are the standard's; two are what readers of screens need."""

LEAST_REQUESTS = 3
"""Requests that are shown before a QR code is: who has scanned it wants to see what comes of it."""

HEADING_ROWS = 2
"""Rows above the requests: an empty one, and what they are."""

MOST_CODES = 16
"""QR codes that are remembered, so that they are not made anew for each drawing: of all that fit a screen."""

_HERE = ("127.", "localhost", "[::1]")
"""How addresses begin that lead to this machine wherever they are read: no code is drawn of them."""

_COLORS = {
    ConnectionState.CONNECTED: "green",
    ConnectionState.CONNECTING: "yellow",
    ConnectionState.WAITING: "red",
    ConnectionState.STOPPING: "yellow",
}

_STATUS_COLORS = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
"""Colors of answers, by the first digit of their status."""


class LiveRenderer:
    """A panel that is drawn again and again at the same place.

    The reactor draws it: a thread of rich's own would read the client while it changes.
    """

    period_s: float | None = PERIOD_S

    def __init__(
        self, title: str, stream: TextIO, console: Console | None = None, *, codes: bool = True
    ) -> None:
        self._title = title
        self._stream = stream
        self._console = console or Console(file=stream, highlight=False)
        self._codes_wanted = codes
        self._unicode = "utf" in self._console.encoding.lower()
        self._before: Snapshot | None = None
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def show(self, snapshot: Snapshot) -> None:
        """Draws a snapshot, unless the terminal takes nothing at the moment: that must stop no traffic."""
        if not takes_output(self._stream):
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.drawn(snapshot), refresh=True)
        self._before = snapshot

    def tell(self, text: str) -> None:
        """Prints a text above the panel."""
        self._console.print(Text(text))

    def close(self) -> None:
        """Leaves what was drawn last where it is."""
        self._live.stop()

    def tell_request(self, request: UserRequest) -> None:
        """Nothing: it is in what is drawn next."""

    def drawn(self, snapshot: Snapshot) -> RenderableType:
        """What is drawn of a snapshot: QR codes and requests, as far as there is room for them."""
        room = self._console.height - len(self._console.render_lines(self._panel(snapshot, ())))
        requests = snapshot.requests
        kept = min(len(requests), LEAST_REQUESTS)
        codes = list(self._codes(snapshot, room - kept - HEADING_ROWS if kept else room))
        room -= sum(len(code.split()) for code in codes) + HEADING_ROWS
        return Group(self._panel(snapshot, requests[: max(0, room)]), *codes)

    def _panel(self, snapshot: Snapshot, requests: Sequence[UserRequest]) -> Panel:
        rows: list[RenderableType] = [
            self._state(snapshot),
            self._entry_points(snapshot),
            self._traffic(snapshot),
        ]
        if snapshot.flows.datagrams != DatagramCounts():
            rows.append(_datagrams(snapshot.flows.datagrams))
        if snapshot.problem is not None:
            rows.append(_problem(snapshot.problem, snapshot.at))
        if requests:
            rows += [Text("\nlast requests", style="dim"), _requests(requests)]
        return Panel(
            Group(*rows),
            title=self._title,
            title_align="left",
            subtitle="Ctrl-C ends it",
            subtitle_align="right",
            border_style=_COLORS[snapshot.state],
        )

    def _state(self, snapshot: Snapshot) -> Text:
        dot = "●" if self._unicode else "*"
        style = f"bold {_COLORS[snapshot.state]}"
        text = Text.assemble((f"{dot} {snapshot.state_text}", style), overflow="ellipsis")
        if snapshot.state is ConnectionState.CONNECTED:
            text.append(f"  for {_duration(snapshot.seconds)}")
            if snapshot.round_trip_s is not None:
                text.append(f", round trip {snapshot.round_trip_s * 1000:.1f} ms")
        return text

    def _entry_points(self, snapshot: Snapshot) -> Table:
        arrow = "→" if self._unicode else "->"
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(overflow="fold")
        for each in snapshot.entry_points:
            where = Text(each.where, style="bold" if each.open else "dim")
            if not each.open and (each.reason or not each.where):
                why = f": {each.reason}" if each.reason else ""
                where = Text(f"not open{why}", style="red")
            table.add_row(Text(each.name), where, Text(f"{arrow} {each.leads_to}" if each.leads_to else ""))
        return table

    def _traffic(self, snapshot: Snapshot) -> Text:
        flows, before = snapshot.flows, self._before
        seconds = snapshot.at - before.at if before is not None else 0.0
        users = "1 user" if flows.present == 1 else f"{flows.present} users"
        text = f"{users} now, {flows.total} so far"
        for name, arrow, words in (("near_to_far", "↓", "from users"), ("far_to_near", "↑", "to users")):
            moved: int = getattr(flows, name)
            lately = moved - getattr(before.flows, name) if before is not None and seconds > 0 else 0
            rate = decimal(round(lately / seconds)) if lately else "0 bytes"
            text += f"   {arrow if self._unicode else words} {decimal(moved)} ({rate}/s)"
        return Text(text)

    def _codes(self, snapshot: Snapshot, room: int) -> Iterator[Text]:
        """QR codes of the addresses that a telephone's browser can open, as far as there is room."""
        wanted = self._codes_wanted and self._unicode
        for each in filter(_for_browsers, snapshot.entry_points) if wanted else ():
            code = _code(each.url)
            rows = code.split()
            room -= len(rows)
            if room < 0 or rows[0].cell_len > self._console.width:
                return
            yield code


def _datagrams(counts: DatagramCounts) -> Text:
    dropped = f", {counts.dropped} dropped" if counts.dropped else ""
    return Text(f"datagrams: {counts.near_to_far} from users, {counts.far_to_near} to users{dropped}")


def _requests(requests: Sequence[UserRequest]) -> Table:
    """One row for each; what is asked for has what the others leave of it."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    for each in requests:
        style = "red" if each.status is None else _STATUS_COLORS.get(each.status // 100, "default")
        table.add_row(
            Text(each.answer, style=style), *map(Text, (each.method, each.target, each.took, each.size))
        )
    return table


@lru_cache(MOST_CODES)
def _code(text: str) -> Text:
    """A QR code in half blocks; light modules are drawn."""
    import segno  # only where one is drawn

    drawn = StringIO()
    segno.make(text, error="l").terminal(drawn, border=QUIET_ZONE, compact=True)
    return Text(drawn.getvalue().rstrip("\n"), style="bright_white on black", no_wrap=True)


def _for_browsers(entry_point: EntryPoint) -> bool:
    """Whether it can be opened from another device."""
    here = urlsplit(entry_point.url).netloc.startswith(_HERE)
    return entry_point.open and bool(entry_point.url) and not here


def _problem(problem: LastProblem, now: float) -> Text:
    text = Text(f"\n{_duration(now - problem.at)} ago: ", style="yellow")
    text.append(problem.text)
    if problem.known is not None:
        text.append(f"\n{problem.known.cause} {problem.known.remedy}", style="default")
    return text


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
