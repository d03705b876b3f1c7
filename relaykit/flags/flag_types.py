"""What the value of a flag may be, as frp's programs read it.

Reading fails with :class:`ValueError`; its text is what the user is shown after the value.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

__all__ = [
    "BOOLEAN",
    "DURATION",
    "INTEGER",
    "LARGEST_INTEGER",
    "LIST",
    "MAPPING",
    "SECRET",
    "TEXT",
    "FlagType",
    "quoted",
    "read_boolean",
    "read_duration",
    "read_integer",
    "read_list",
    "read_mapping",
]

LARGEST_INTEGER = 2**63 - 1
"""Numbers are 64 bits wide, as in the programs that this grammar comes from."""


@frozen
class FlagType:
    """How the values of a flag are written and read.

    :ivar name: shown in the help text after the flag.
    :ivar implied: the value of a flag that is given without one; None when it needs one.
    :ivar join: makes one value of those of a repeated flag; without it the last one counts.
    :ivar is_secret: whether nobody else should see the value.
    """

    name: str
    read: Callable[[str], Any]
    implied: str | None = None
    join: Callable[[Any, Any], Any] | None = None
    is_secret: bool = False


_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_OCTAL = re.compile(r"[+-]?0[0-7_]+")
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_integer(text: str) -> int:
    """A decimal, hexadecimal (``0x``), octal (``0o`` or ``0``) or binary (``0b``) number."""
    try:
        if not text.isascii() or text != text.strip():
            raise ValueError
        number = int(text, 8 if _OCTAL.fullmatch(text) else 0)
    except ValueError:
        raise ValueError("it is not a whole number") from None
    if not -LARGEST_INTEGER - 1 <= number <= LARGEST_INTEGER:
        raise ValueError("it is out of range")
    return number


def read_boolean(text: str) -> bool:
    """One of the few words for yes and no; case counts."""
    if text not in _TRUE | _FALSE:
        raise ValueError("it is neither true nor false")
    return text in _TRUE


def read_duration(text: str) -> float:
    """Seconds of a duration such as ``30s``, ``1m30s`` or ``500ms``; a number needs its unit."""
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0.0
    parts = _DURATION.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError("it is not a duration such as 30s or 1m30s")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds


def read_list(text: str) -> tuple[str, ...]:
    """Texts separated by commas, quoted as in CSV where they contain some.  Source: RFC 4180."""
    try:
        return tuple(next(csv.reader([text], strict=True), ()))
    except csv.Error:
        raise ValueError("its quotes do not match") from None


def read_mapping(text: str) -> Mapping[str, str]:
    """``key=value`` pairs separated by commas; with a single ``=`` the value may contain commas."""
    pairs: dict[str, str] = {}
    for pair in [text.strip('"')] if text.count("=") < 2 else read_list(text):
        key, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"{pair} must be formatted as key=value")
        pairs[key] = value
    return pairs


def quoted(text: str) -> str:
    """The text in double quotes; what cannot be printed is escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


TEXT = FlagType("string", str)
SECRET = FlagType("string", str, is_secret=True)
INTEGER = FlagType("int", read_integer)
BOOLEAN = FlagType("", read_boolean, implied="true")
DURATION = FlagType("duration", read_duration)
LIST = FlagType("strings", read_list, join=lambda before, now: before + now)
MAPPING = FlagType("key=value", read_mapping, join=lambda before, now: {**before, **now})
