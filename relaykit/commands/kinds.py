"""What the value of a flag may be, as frp's programs read it (Go's syntax of numbers and durations).

Reading fails with :class:`ValueError`; its text is what the user is shown after the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

__all__ = [
    "BOOLEAN",
    "DURATION",
    "INTEGER",
    "LIST",
    "MAPPING",
    "TEXT",
    "Kind",
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
class Kind:
    """How the values of a flag are written and read.

    :ivar name: shown in the help text after the flag.
    :ivar implied: the value of a flag that is given without one; None when it needs one.
    :ivar join: makes one value of those of a repeated flag; without it the last one counts.
    """

    name: str
    read: Callable[[str], Any]
    implied: str | None = None
    join: Callable[[Any, Any], Any] | None = None


# --- numbers and words ----------------------------------------------------------------------

_INTEGER = re.compile(
    r"[+-]?(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)",
    re.ASCII,
)
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def read_integer(text: str) -> int:
    """A decimal, hexadecimal (``0x``), octal (``0o`` or ``0``) or binary (``0b``) number."""
    found = _INTEGER.fullmatch(text)
    if found is None:
        raise ValueError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    digits = found.group(1).replace("_", "")
    base = _BASES.get(digits[:2].lower())
    if base is None:
        base = 8 if digits[0] == "0" else 10
    else:
        digits = digits[2:]
    number = -int(digits, base) if text[0] == "-" else int(digits, base)
    if not -LARGEST_INTEGER - 1 <= number <= LARGEST_INTEGER:
        raise ValueError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return number


def read_boolean(text: str) -> bool:
    """One of the few words for yes and no; case counts."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


# --- durations ------------------------------------------------------------------------------

_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?", re.ASCII)
_DURATION_UNIT = re.compile(r"[^0-9.]*", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_duration(text: str) -> float:
    """Seconds of a duration such as ``30s``, ``1m30s`` or ``500ms``; a number needs its unit."""
    sign = -1.0 if text[:1] == "-" else 1.0
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    seconds = 0.0
    while rest:
        part = _DURATION_PART.match(rest)
        if part is None or not (part.group(1) or part.group(2)):
            raise ValueError(f"time: invalid duration {quoted(text)}")
        number = float(f"{part.group(1) or '0'}.{part.group(2) or '0'}")
        rest = rest[part.end() :]
        unit = _DURATION_UNIT.match(rest)
        name = unit.group() if unit is not None else ""
        if not name:
            raise ValueError(f"time: missing unit in duration {quoted(text)}")
        if name not in _SECONDS:
            raise ValueError(f"time: unknown unit {quoted(name)} in duration {quoted(text)}")
        seconds += number * _SECONDS[name]
        rest = rest[len(name) :]
    return sign * seconds


# --- lists and maps -------------------------------------------------------------------------


def read_list(text: str) -> tuple[str, ...]:
    """Texts separated by commas, quoted as in CSV where they contain some."""
    return tuple(_csv_fields(text)) if text else ()


def read_mapping(text: str) -> Mapping[str, str]:
    """``key=value`` pairs separated by commas; with a single ``=`` the value may contain commas."""
    signs = text.count("=")
    if signs == 0:
        raise ValueError(f"{text} must be formatted as key=value")
    pairs: dict[str, str] = {}
    for pair in [text.strip('"')] if signs == 1 else _csv_fields(text):
        key, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"{pair} must be formatted as key=value")
        pairs[key] = value
    return pairs


def _csv_fields(line: str) -> list[str]:
    """The fields of one line of CSV.  Columns in errors count bytes from 1.  Source: RFC 4180."""
    fields: list[str] = []
    at = 0
    while True:
        if line[at : at + 1] == '"':
            field, at = _quoted_field(line, at + 1)
        else:
            end = line.find(",", at)
            end = len(line) if end < 0 else end
            field = line[at:end]
            if '"' in field:
                raise ValueError(_csv_error(line, at + field.index('"'), 'bare " in non-quoted field'))
            at = end
        fields.append(field)
        if at >= len(line):
            return fields
        at += 1


def _quoted_field(line: str, start: int) -> tuple[str, int]:
    """The text of a quoted field that begins at ``start``, and where it ends."""
    pieces: list[str] = []
    at = start
    while True:
        end = line.find('"', at)
        if end < 0:
            raise ValueError(_csv_error(line, len(line), 'extraneous or missing " in quoted-field'))
        pieces.append(line[at:end])
        at = end + 1
        if line[at : at + 1] == '"':
            pieces.append('"')
            at += 1
        elif at == len(line) or line[at] == ",":
            return "".join(pieces), at
        else:
            raise ValueError(_csv_error(line, end, 'extraneous or missing " in quoted-field'))


def _csv_error(line: str, index: int, reason: str) -> str:
    column = len(line[:index].encode("utf-8", "surrogateescape")) + 1
    return f"parse error on line 1, column {column}: {reason}"


# --- quoting --------------------------------------------------------------------------------

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def quoted(text: str) -> str:
    """The text in double quotes; what cannot be printed is escaped."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == " " or character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode leaves it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


TEXT = Kind("string", str)
INTEGER = Kind("int", read_integer)
BOOLEAN = Kind("", read_boolean, implied="true")
DURATION = Kind("duration", read_duration)
LIST = Kind("strings", read_list, join=lambda before, now: before + now)
MAPPING = Kind("key=value", read_mapping, join=lambda before, now: {**before, **now})
