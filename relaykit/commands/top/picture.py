"""What is drawn of a sample: on a terminal, or once in lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.text import Text

from relaykit.commands.status.parts import Letters, duration, framed, grid
from relaykit.commands.status.view import users_text
from relaykit.commands.top.sample import BusyProxy, BusyUser, Sample

__all__ = ["TopPicture"]

HEADING_ROWS = 2
"""Rows above those of a table: an empty one, and what they are."""

Rates = Mapping[object, tuple[float, float]]


class TopPicture:
    """Draws samples: the whole program in one line, then what is busy, as far as there is room."""

    keys = ""

    def drawn(self, snapshot: Sample, before: Sample | None, console: Console, keys: str) -> RenderableType:
        """What is drawn of a sample; rates are those since the one before."""
        letters, rates = Letters(console), snapshot.rates(before)
        head = Text(self._head(snapshot, rates, letters), style="bold", no_wrap=True, overflow="ellipsis")
        room = console.height - 3 - 2 * HEADING_ROWS
        proxies, users = snapshot.busiest, snapshot.user_rows
        proxies = proxies[: max(room // 2, room - len(users), 0)]
        users = users[: max(0, room - len(proxies))]
        rows: list[RenderableType] = [
            head,
            _heading(snapshot.proxies, "proxy", "proxies", len(proxies)),
            grid(
                (_cells(_proxy_words(each, rates, letters)) for each in proxies),
                *("left", "left", "left", "left", "right", "right", "right"),
                ratio=0,
            ),
            _heading(snapshot.users, "user", "users", len(users)),
            grid(
                (_cells(_user_words(each, rates, letters)) for each in users),
                *("left", "left", "left", "right", "right", "right"),
                ratio=0,
            ),
        ]
        return framed(rows, f"relaykit top: {snapshot.role}", keys, "green")

    def last(self, snapshot: Sample, console: Console) -> RenderableType:
        """What stays on the terminal when it has ended."""
        return Text(self._head(snapshot, {}, Letters(console)))

    def lines(self, snapshot: Sample, before: Sample | None, letters: Letters) -> Iterator[str]:
        """The same in lines, all of it."""
        rates = snapshot.rates(before)
        yield self._head(snapshot, rates, letters)
        for words in (
            [_proxy_words(each, rates, letters) for each in snapshot.busiest],
            [_user_words(each, rates, letters) for each in snapshot.user_rows],
        ):
            if words:
                yield ""
                yield from _columns(words)

    def _head(self, sample: Sample, rates: Rates, letters: Letters) -> str:
        parts = [sample.state]
        if sample.clients is not None:
            parts.append(f"{sample.clients} {'client' if sample.clients == 1 else 'clients'}")
        parts += [
            f"{sample.proxies} {'proxy' if sample.proxies == 1 else 'proxies'}",
            users_text(sample.users),
        ]
        return "; ".join((*parts, _rate(rates.get(None), letters) or "measuring"))


def _heading(count: int, one: str, several: str, shown: int) -> Text:
    here = f", the busiest {shown} of them" if shown < count else ""
    return Text(f"\n{count} {one if count == 1 else several}{here}", style="dim")


def _proxy_words(proxy: BusyProxy, rates: Rates, letters: Letters) -> Sequence[str]:
    words = (proxy.name, proxy.type, proxy.whose, proxy.state, users_text(proxy.users))
    return (*words, _rate(rates.get(proxy.key), letters), decimal(sum(proxy.moved)))


def _user_words(user: BusyUser, rates: Rates, letters: Letters) -> Sequence[str]:
    where = f"{letters.arrow} {user.proxy}"
    state = "waits" if user.is_waiting else user.path
    rate = _rate(rates.get(user.key), letters)
    return user.address, where, state, duration(user.seconds), rate, decimal(sum(user.moved))


def _rate(rate: tuple[float, float] | None, letters: Letters) -> str:
    if rate is None:
        return ""
    down, up = letters.down or "in", letters.up or "out"
    return f"{down} {decimal(round(rate[0]))}/s {up} {decimal(round(rate[1]))}/s"


def _cells(words: Sequence[str]) -> Sequence[Text]:
    return tuple(map(Text, words))


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
