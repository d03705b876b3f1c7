"""What is busy in a program at one moment, made of what its API tells, and how busy, made of two moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from attrs import field, frozen

from relaykit.administration.own.openapi import PREFIX
from relaykit.escaping import printable

__all__ = ["MOST_ROWS", "Ask", "BusyProxy", "BusyUser", "Sample", "take_sample"]

MOST_ROWS = 100
"""Proxies, and users, that are asked for: as many as a tall terminal has rows."""

Ask: TypeAlias = Callable[[str], dict[str, Any]]
"""What the program answers to GET of a path."""


@frozen(kw_only=True)
class BusyProxy:
    """A proxy, or a visitor of a client.

    :ivar whose: its client, at a server; else where users come in.
    :ivar state: in a word, or what came of the last look; empty for nothing to tell.
    :ivar moved: bytes to the client and to users, by its users up to now.
    """

    name: str = field(converter=printable)
    type: str
    whose: str = field(converter=printable)
    state: str
    users: int
    moved: tuple[int, int]

    @property
    def key(self) -> object:
        """What it is known by in the next sample."""
        return self.name, self.type


@frozen(kw_only=True)
class BusyUser:
    """A user who is served, or waits."""

    address: str = field(converter=printable)
    proxy: str = field(converter=printable)
    path: str = field(converter=printable)
    is_waiting: bool
    seconds: float
    moved: tuple[int, int]

    @property
    def key(self) -> object:
        """What it is known by in the next sample."""
        return self.proxy, self.address


@frozen(kw_only=True)
class Sample:
    """A program at one moment.

    :ivar at: when, in seconds of any clock.
    :ivar role: server or client.
    :ivar clients: how many are logged in; None at a client.
    :ivar proxies: how many there are, of which ``busiest`` has some.
    :ivar users: likewise, of which ``user_rows`` has some.
    :ivar moved: bytes to clients and to users up to now.
    """

    at: float
    role: str
    state: str
    clients: int | None
    proxies: int
    users: int
    moved: tuple[int, int]
    busiest: Sequence[BusyProxy] = ()
    user_rows: Sequence[BusyUser] = ()

    @property
    def moved_by_key(self) -> dict[object, tuple[int, int]]:
        """What each row has moved; the program as a whole by None."""
        return {
            None: self.moved,
            **{each.key: each.moved for each in self.busiest},
            **{each.key: each.moved for each in self.user_rows},
        }

    def rates(self, before: Sample | None) -> dict[object, tuple[float, float]]:
        """Bytes a second of each row since another sample, by its key; of the program by None."""
        if before is None or self.at <= before.at:
            return {}
        known, now, seconds = before.moved_by_key, self.moved_by_key, self.at - before.at
        return {
            key: (max(0, to - known[key][0]) / seconds, max(0, back - known[key][1]) / seconds)
            for key, (to, back) in now.items()
            if key in known
        }


def take_sample(ask: Ask, role: str, at: float, wall_clock: float) -> Sample:
    """Asks a program for what is busy.

    :param wall_clock: seconds since 1970.
    :raises RelaykitError: it does not answer.
    """
    overview = ask(f"{PREFIX}/overview")
    users = ask(f"{PREFIX}/users?order=busy&pageSize={MOST_ROWS}")
    is_server = role == "server"
    rows = _of_server(ask) if is_server else _of_client(ask)
    return Sample(
        at=at,
        role=role,
        state=overview["state"] if is_server else _connection(overview),
        clients=overview["clients"] if is_server else None,
        proxies=overview["proxies"],
        users=overview["users"],
        moved=(overview["bytesIn"], overview["bytesOut"]),
        busiest=tuple(rows),
        user_rows=tuple(
            BusyUser(
                address=each["address"] or "unknown",
                proxy=each["proxy"],
                path="" if each["path"] == "relay" else each["path"],
                is_waiting=each["isWaiting"],
                seconds=max(0.0, wall_clock - each["since"]),
                moved=(each["bytesIn"], each["bytesOut"]),
            )
            for each in users["items"]
        ),
    )


def _connection(overview: dict[str, Any]) -> str:
    way = f" {overview['path']}" if overview["path"] else ""
    return f"connected to {overview['server']}{way}" if overview["connected"] else "not connected"


def _of_server(ask: Ask) -> Iterable[BusyProxy]:
    for each in ask(f"{PREFIX}/proxies?order=busy&pageSize={MOST_ROWS}")["items"]:
        probe = each["probe"]
        looked = "" if probe is None else "online" if probe["online"] else "NOT SERVED"
        yield BusyProxy(
            name=each["name"],
            type=each["type"],
            whose=each["client"],
            state=looked if each["state"] == "open" else each["state"],
            users=each["users"],
            moved=(each["bytesIn"], each["bytesOut"]),
        )


def _of_client(ask: Ask) -> Iterable[BusyProxy]:
    told = ask(f"{PREFIX}/proxies")
    rows = [
        BusyProxy(
            name=each["name"],
            type=each["type"],
            whose=each["address"],
            state=each["state"],
            users=each["users"],
            moved=(each["bytesIn"], each["bytesOut"]),
        )
        for each in told["proxies"]
    ]
    rows += [
        BusyProxy(
            name=each["name"],
            type=f"{each['type']} visitor",
            whose=each["listening"],
            state="listening" if each["listening"] else "",
            users=each["users"],
            moved=(0, 0),
        )
        for each in told["visitors"]
    ]
    return sorted(rows, key=lambda each: (-each.users, -sum(each.moved)))[:MOST_ROWS]
