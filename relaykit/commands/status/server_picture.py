"""What is drawn of a running server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from relaykit.commands.status.parts import (
    Justify,
    Letters,
    datagrams,
    duration,
    framed,
    grid,
    problem_text,
    traffic,
)
from relaykit.commands.status.server import ClientRow, ProxyRow, ServerSnapshot
from relaykit.commands.status.view import users_text
from relaykit.dataplane.datagram_flows import DatagramCounts
from relaykit.sansio.control.server_life import ServerState

__all__ = ["ServerPicture"]

MOST_PROBLEMS = 3
"""Problems that are shown, the first with what to do about it: more would leave no room for what runs."""

HEADING_ROWS = 2
"""Rows above those of a table: an empty one, and what they are."""

_COLORS = {ServerState.READY: "green", ServerState.FAILED: "red"}


class ServerPicture:
    """Draws snapshots of a server: its clients and proxies, as far as there is room for them."""

    keys = ""

    def __init__(self, title: str) -> None:
        self._title = title

    def drawn(
        self, snapshot: ServerSnapshot, before: ServerSnapshot | None, console: Console, keys: str
    ) -> RenderableType:
        """What is drawn of a snapshot: below its panel what people have to know, which they may copy."""
        note = [Text(snapshot.note)] if snapshot.note else []
        head = self._head(snapshot, before, console)
        empty = Group(framed(head, self._title, keys, self._color(snapshot)), *note)
        room = console.height - len(console.render_lines(empty))
        tables = _tables(snapshot, room, Letters(console))
        return Group(framed([*head, *tables], self._title, keys, self._color(snapshot)), *note)

    def last(self, snapshot: ServerSnapshot, console: Console) -> RenderableType:
        """What stays on the terminal when it has ended."""
        rows = [self._state(snapshot, Letters(console)), *_problems(snapshot)]
        return framed(rows, self._title, "", self._color(snapshot))

    def _color(self, snapshot: ServerSnapshot) -> str:
        return _COLORS.get(snapshot.state, "yellow")

    def _state(self, snapshot: ServerSnapshot, letters: Letters) -> Text:
        return Text(f"{letters.dot} {snapshot.state_text}", style=f"bold {self._color(snapshot)}")

    def _head(
        self, snapshot: ServerSnapshot, before: ServerSnapshot | None, console: Console
    ) -> list[RenderableType]:
        letters = Letters(console)
        state = self._state(snapshot, letters)
        if snapshot.state is ServerState.READY:
            state.append(f"  for {duration(snapshot.seconds)}", style="default")
        rows: list[RenderableType] = [state]
        if snapshot.fingerprint:
            # Without what it begins with, which nobody needs to pin it, it fits 80 columns.
            digits = snapshot.fingerprint.removeprefix("sha256:")
            rows.append(Text(f"fingerprint {digits}", no_wrap=True, overflow="ellipsis"))
        rows.append(
            traffic(
                snapshot.flows,
                None if before is None else before.flows,
                0.0 if before is None else snapshot.at - before.at,
                letters,
            )
        )
        if snapshot.flows.datagrams != DatagramCounts():
            rows.append(datagrams(snapshot.flows.datagrams))
        rows += _problems(snapshot)
        return rows


def _problems(snapshot: ServerSnapshot) -> Iterator[Text]:
    for number, each in enumerate(snapshot.problems[:MOST_PROBLEMS]):
        if number == 0:
            yield problem_text(each, snapshot.at, at_server=True)
        else:
            text = Text(f"{duration(snapshot.at - each.at)} ago: ", style="yellow", overflow="ellipsis")
            text.append(each.text, style="default")
            text.no_wrap = True
            yield text


def _tables(snapshot: ServerSnapshot, room: int, letters: Letters) -> list[RenderableType]:
    """Clients and proxies; each has half of the room where both want more."""
    room -= 2 * HEADING_ROWS
    if room < 0:
        return []
    clients, proxies = snapshot.clients, snapshot.proxies
    clients = clients[: max(room // 2, room - len(proxies))]
    proxies = proxies[: room - len(clients)]
    columns: tuple[Justify, ...] = ("left", "left", "left", "left", "right", "right")
    return [
        _heading("client", snapshot.client_count, len(clients)),
        grid(map(_client_cells, clients), *columns[:-1], ratio=0),
        _heading("proxy", snapshot.proxy_count, len(proxies)),
        grid((_proxy_cells(each, letters) for each in proxies), *columns, ratio=0),
    ]


def _heading(what: str, count: int, shown: int) -> Text:
    several = "proxies" if what == "proxy" else f"{what}s"
    here = f", {shown} of them here" if shown < count else ""
    return Text(f"\n{count} {what if count == 1 else several}{here}", style="dim")


def _client_cells(client: ClientRow) -> Sequence[Text]:
    bound = Text("bound login", style="green") if client.is_bound else Text("login not bound")
    words = (client.name, client.address, client.version)
    return (*map(Text, words), bound, Text(duration(client.seconds)))


def _proxy_cells(proxy: ProxyRow, letters: Letters) -> Sequence[Text]:
    users = f"{users_text(proxy.users)} of {proxy.connections}"
    whose = f"{letters.arrow} {proxy.client}"
    words = (proxy.name, proxy.type, proxy.address, whose, users, decimal(proxy.moved))
    return tuple(map(Text, words))
