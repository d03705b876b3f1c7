"""What is drawn of a running client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from io import StringIO
from urllib.parse import urlsplit

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relaykit.commands.status.parts import Letters, datagrams, duration, framed, grid, problem_text, traffic
from relaykit.commands.status.view import ConnectionState, EntryPoint, Snapshot, UserRequest
from relaykit.dataplane.datagram_flows import DatagramCounts

__all__ = ["ClientPicture"]

QUIET_ZONE = 2
"""Light modules around a QR code.  Four are the standard's; two are what readers of screens need."""

MOST_CODE_LETTERS = 300
"""Letters of a URL that has a QR code: one of more has modules that no telephone tells apart on a screen."""

LEAST_REQUESTS = 3
"""Requests that are shown before a QR code is: who has scanned it wants to see what comes of it."""

HEADING_ROWS = 2
"""Rows above the requests: an empty one, and what they are."""

MOST_CODES = 16
"""QR codes that are remembered, so that they are not made anew for each drawing: of all that fit a screen."""

GAP = 2
"""Cells between two columns."""

FRAME = 4
"""Cells of a row that its panel has for itself."""

_HERE = ("127.", "localhost", "[::1]")
"""How addresses begin that lead to this machine wherever they are read: no code is drawn of them."""

_COLORS = {
    ConnectionState.CONNECTED: "green",
    ConnectionState.CONNECTING: "yellow",
    ConnectionState.WAITING: "red",
    ConnectionState.STOPPING: "yellow",
    ConnectionState.ENDED: "default",
}

_STATUS_COLORS = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
"""Colors of answers, by the first digit of their status."""


class ClientPicture:
    """Draws snapshots of a client: QR codes and requests, as far as there is room for them.

    :param codes: whether QR codes are wanted.
    """

    keys = "r dials now"

    def __init__(self, title: str, *, codes: bool = True) -> None:
        self._title = title
        self._codes_wanted = codes

    def drawn(
        self, snapshot: Snapshot, before: Snapshot | None, console: Console, keys: str
    ) -> RenderableType:
        """What is drawn of a snapshot.

        :param before: the one before, which rates are measured from.
        :param keys: what the keys do.
        """
        painting = _Painting(self._title, snapshot, before, console, keys)
        lines = list(painting.lines())
        used = len(console.render_lines(Group(painting.panel(()), *lines)))
        requests = snapshot.requests
        kept = min(len(requests), LEAST_REQUESTS)
        reserved = used + (kept + HEADING_ROWS if kept else 0)
        codes, hint = painting.codes(console.height - reserved) if self._codes_wanted else ([], None)
        room = console.height - used - HEADING_ROWS - sum(len(code.split()) for code in codes)
        below: list[RenderableType] = [*lines, *codes]
        if hint is not None and room > 0:
            room -= 1
            below.append(hint)
        return Group(painting.panel(requests[: max(0, room)]), *below)

    def last(self, snapshot: Snapshot, console: Console) -> RenderableType:
        """What stays on the terminal when it has ended."""
        return _Painting(self._title, snapshot, None, console, "").panel(())


class _Painting:
    """One drawing of one snapshot."""

    def __init__(
        self, title: str, snapshot: Snapshot, before: Snapshot | None, console: Console, keys: str
    ) -> None:
        self._title = title
        self._snapshot = snapshot
        self._before = before
        self._width = console.width
        self._height = console.height
        self._letters = Letters(console)
        self._keys = keys

    def panel(self, requests: Sequence[UserRequest]) -> Panel:
        """The panel, with these requests."""
        snapshot, before = self._snapshot, self._before
        rows: list[RenderableType] = [self._state()]
        is_ended = snapshot.state is ConnectionState.ENDED
        if snapshot.state is ConnectionState.CONNECTED and snapshot.way_reason:
            rows.append(Text(snapshot.way_reason, style="dim", no_wrap=True, overflow="ellipsis"))
        if not is_ended:
            rows += [
                self._entry_points(),
                traffic(
                    snapshot.flows,
                    None if before is None else before.flows,
                    0.0 if before is None else snapshot.at - before.at,
                    self._letters,
                ),
            ]
        if snapshot.flows.datagrams != DatagramCounts():
            rows.append(datagrams(snapshot.flows.datagrams))
        is_over = snapshot.problem is not None and snapshot.problem.solved and is_ended
        if snapshot.problem is not None and not is_over:
            rows.append(problem_text(snapshot.problem, snapshot.at))
        if requests:
            rows += [Text("\nlast requests", style="dim"), _requests(requests)]
        return framed(rows, self._title, self._keys, self._color)

    @property
    def _color(self) -> str:
        snapshot = self._snapshot
        is_of_no_use = snapshot.entry_points and all(each.reason for each in snapshot.entry_points)
        if snapshot.state is ConnectionState.CONNECTED and is_of_no_use:
            return "yellow"
        return _COLORS[snapshot.state]

    def _state(self) -> Text:
        snapshot = self._snapshot
        text = Text.assemble(
            (f"{self._letters.dot} {snapshot.state_text}", f"bold {self._color}"), overflow="ellipsis"
        )
        if snapshot.state is ConnectionState.CONNECTED:
            text.append(f"  for {duration(snapshot.seconds)}")
            if snapshot.round_trip_s is not None:
                text.append(f", round trip {snapshot.round_trip_s * 1000:.1f} ms")
        return text

    def _entry_points(self) -> Table:
        rows = [(Text(each.name), _where(each), self._leads_to(each)) for each in self._snapshot.entry_points]
        widths = [_widest(row[0].plain for row in rows), _widest(_words(row[1] for row in rows))]
        widths.append(_widest(row[2].plain for row in rows))
        kept = _columns(widths, self._width - FRAME)
        table = Table.grid(padding=(0, GAP))
        for column in kept:
            table.add_column(overflow="fold", min_width=min(widths[column], self._width - FRAME))
        for row in rows:
            table.add_row(*(row[column] for column in kept))
        return table

    def _leads_to(self, entry_point: EntryPoint) -> Text:
        return Text(f"{self._letters.arrow} {entry_point.leads_to}" if entry_point.leads_to else "")

    def lines(self) -> Iterator[Text]:
        """What reaches services that nobody can dial, below the panel, so that it can be copied."""
        for each in self._snapshot.entry_points:
            if each.open and each.line:
                yield Text(f"\nOn the other machine, run:\n\n{_broken(each.line, self._width)}\n")

    def codes(self, room: int) -> tuple[list[Text], Text | None]:
        """QR codes of the addresses that a telephone's browser can open, as far as these rows have room.

        And what to do for the first that has none.
        """
        drawn: list[Text] = []
        for each in filter(_for_browsers, self._snapshot.entry_points) if self._letters.unicode else ():
            code = _code(each.url)
            rows = code.split()
            room -= len(rows)
            if room < 0 or rows[0].cell_len > self._width:
                return drawn, None if drawn else self._larger(rows[0].cell_len, self._height - room)
            drawn.append(code)
        return drawn, None

    def _larger(self, width: int, height: int) -> Text:
        wanted = [f"{height} rows high"] if height > self._height else []
        if width > self._width:
            wanted.append(f"{width} columns wide")
        text = f"make the window {' and '.join(wanted)} for a QR code"
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _broken(line: str, width: int) -> str:
    """A command line in as few lines as fit, broken before flags, as a shell takes it."""
    lines = [""]
    for number, part in enumerate(line.split(" --")):
        part = f"--{part}" if number else part
        if number and len(f"{lines[-1]} {part} \\") > width:
            lines.append(part)
        else:
            lines[-1] += f" {part}" if number else part
    return " \\\n".join(lines)


def _where(entry_point: EntryPoint) -> Text:
    if entry_point.open:
        text = Text(entry_point.where, style="bold")
        if entry_point.way:
            text.append(f"  {entry_point.way}", style="not bold")
        return text.append(f"  {entry_point.reason}", style="yellow") if entry_point.reason else text
    if entry_point.where and not entry_point.reason:
        return Text(entry_point.where, style="dim")
    return Text(entry_point.why_not, style="red")


_GIVEN_UP: Sequence[Sequence[int]] = ((), (0,), (0, 2))
"""Columns of an entry point that are left out in a narrow window: first its name, then where it leads.

An address that is broken in two cannot be copied."""


def _columns(widths: Sequence[int], room: int) -> list[int]:
    """The columns that there is room for, or the address alone."""
    kept: list[int] = []
    for given_up in _GIVEN_UP:
        kept = [number for number in range(len(widths)) if number not in given_up]
        if sum(widths[number] for number in kept) + GAP * (len(kept) - 1) <= room:
            break
    return kept


def _words(cells: Iterable[Text]) -> Iterator[str]:
    return (word for cell in cells for word in cell.plain.split())


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _requests(requests: Sequence[UserRequest]) -> Table:
    """One row for each; what is asked for has what the others leave of it."""
    return grid(map(_request_cells, requests), "left", "left", "left", "right", "right", ratio=2)


def _request_cells(request: UserRequest) -> Sequence[Text]:
    status = request.status
    style = "red" if status is None else _STATUS_COLORS.get(status // 100, "default")
    words = (request.method, request.target, request.took, request.size)
    return (Text(request.answer, style=style), *map(Text, words))


@lru_cache(MOST_CODES)
def _code(text: str) -> Text:
    """A QR code in half blocks; light modules are drawn."""
    import segno  # only where one is drawn

    drawn = StringIO()
    segno.make(text, error="l").terminal(drawn, border=QUIET_ZONE, compact=True)
    return Text(drawn.getvalue().rstrip("\n"), style="bright_white on black", no_wrap=True)


def _for_browsers(entry_point: EntryPoint) -> bool:
    """Whether it can be opened from another device."""
    if not entry_point.open or not 0 < len(entry_point.url) <= MOST_CODE_LETTERS:
        return False
    try:
        return not urlsplit(entry_point.url).netloc.startswith(_HERE)
    except ValueError:  # the server said what is no address
        return False
