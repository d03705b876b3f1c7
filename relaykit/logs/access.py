"""One line for each connection of a user, when it has ended: for people, and for programs that ban hosts.

What a stranger could choose comes after the address, in quotes, with quotes and control characters escaped:
it can neither begin a line nor look like another field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from relaykit.escaping import shown

if TYPE_CHECKING:
    from relaykit.values import Address

__all__ = ["ACCESS_FORMS", "MOST_NAME", "AccessEntry", "AccessForm"]

MOST_NAME = 256
"""Characters of a name in a line, escapes as they are written; those that people give are shorter."""


@frozen(kw_only=True)
class AccessEntry:
    """One connection.

    :ivar time: when it ended; seconds since 1970.
    :ivar address: where the user was; None where that is not known.
    :ivar client: the name of the client over its logins; empty where none was asked.
    :ivar bytes_in: from the user to the client.
    :ivar reason: the value of a :class:`relaykit.values.Ended`.
    """

    time: float
    address: Address | None
    proxy: str
    client: str
    bytes_in: int
    bytes_out: int
    seconds: float
    reason: str


AccessForm: TypeAlias = Callable[[AccessEntry], str]
"""Makes a line of an entry, newline included."""


def _text(entry: AccessEntry) -> str:
    """``TIME address=A port=1 proxy="NAME" client="NAME" bytes_in=2 bytes_out=3 seconds=4.5 reason=WHY``."""
    host, port = ("-", 0) if entry.address is None else (entry.address.host, entry.address.port)
    return (
        f"{_time(entry)} address={_plain(host)} port={port} proxy={_quoted(entry.proxy)} "
        f"client={_quoted(entry.client)} bytes_in={entry.bytes_in} bytes_out={entry.bytes_out} "
        f"seconds={entry.seconds:.3f} reason={entry.reason}\n"
    )


def _json(entry: AccessEntry) -> str:
    """The same as one JSON object."""
    told = {
        "time": _time(entry),
        "address": "" if entry.address is None else entry.address.host,
        "port": 0 if entry.address is None else entry.address.port,
        "proxy": shown(entry.proxy, MOST_NAME),
        "client": shown(entry.client, MOST_NAME),
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "seconds": round(entry.seconds, 3),
        "reason": entry.reason,
    }
    return json.dumps(told) + "\n"


def _time(entry: AccessEntry) -> str:
    """ISO 8601, local time with its offset from UTC."""
    return datetime.fromtimestamp(entry.time).astimezone().isoformat(timespec="milliseconds")


def _plain(host: str) -> str:
    """An address without anything that could end a field: it has digits, letters, ``:``, ``.`` and ``%``."""
    return "".join(each for each in host if each.isalnum() or each in ":.%-_")


def _quoted(name: str) -> str:
    escaped = shown(name.replace("\\", "\\\\").replace('"', '\\"'), MOST_NAME)
    return f'"{escaped}"'


ACCESS_FORMS: Mapping[str, AccessForm] = {"text": _text, "json": _json}
"""By ``log.format``."""
