"""What the pictures of clients and of servers have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relaykit.commands.status.view import LastProblem, users_text
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.dataplane.plane import FlowCounts

__all__ = ["Letters", "datagrams", "duration", "framed", "grid", "problem_text", "traffic"]


Justify: TypeAlias = Literal["left", "right"]
"""Where the texts of a column stand."""


class Letters:
    """What a terminal can show: letters that only Unicode has, and what stands for them elsewhere."""

    def __init__(self, console: Console) -> None:
        self.unicode = "utf" in console.encoding.lower()
        self.dot, self.arrow, self.down, self.up = (
            ("●", "→", "↓", "↑") if self.unicode else ("*", "->", "", "")
        )


def framed(rows: Sequence[RenderableType], title: str, keys: str, color: str) -> Panel:
    """A panel with these rows, and below them what its keys do."""
    return Panel(
        Group(*rows),
        title=Text(title),
        title_align="left",
        subtitle=Text(keys) if keys else None,
        subtitle_align="right",
        border_style=color,
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=max(0, int(seconds))))


def traffic(flows: FlowCounts, before: FlowCounts | None, seconds: float, letters: Letters) -> Text:
    """Users and bytes; rates are those since ``before``, which was so many seconds ago."""
    text = f"{users_text(flows.present)} now, {flows.total} so far"
    for name, arrow, words in (
        ("near_to_far", letters.down, "from users"),
        ("far_to_near", letters.up, "to users"),
    ):
        moved: int = getattr(flows, name)
        lately = moved - getattr(before, name) if before is not None and seconds > 0 else 0
        rate = decimal(round(lately / seconds)) if lately else "0 bytes"
        text += f"   {arrow or words} {decimal(moved)} ({rate}/s)"
    return Text(text)


def datagrams(counts: DatagramCounts) -> Text:
    """How many there were."""
    dropped = f", {counts.dropped} dropped" if counts.dropped else ""
    return Text(f"datagrams: {counts.near_to_far} from users, {counts.far_to_near} to users{dropped}")


def problem_text(problem: LastProblem, now: float, *, at_server: bool = False) -> Text:
    """What went wrong, with what to do about it as long as it is not solved, and where if not here."""
    age = duration(now - problem.at)
    if problem.solved:
        return Text(f"\n{age} ago, solved: {problem.text}", style="dim", no_wrap=True, overflow="ellipsis")
    text = Text(f"\n{age} ago: ", style="yellow")
    text.append(problem.text)
    if problem.known is not None:
        elsewhere = "At the client: " if at_server and problem.known.is_for_client else ""
        text.append(f"\n{problem.known.cause} {elsewhere}{problem.known.remedy}", style="default")
    return text


def grid(rows: Iterable[Sequence[Text]], *justify: Justify, ratio: int) -> Table:
    """A table without lines, whose rows are never wrapped; the column of ``ratio`` has what the others leave.

    Each column is one cell: one for each text would take ten times as long to draw.
    """
    table = Table.grid(padding=(0, 2), expand=True)
    for number, each in enumerate(justify):
        table.add_column(
            justify=each, no_wrap=True, overflow="ellipsis", ratio=1 if number == ratio else None
        )
    columns = [Text("\n").join(column) for column in zip(*rows, strict=True)]
    if columns:
        table.add_row(*columns)
    return table
