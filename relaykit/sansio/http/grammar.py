"""The grammar of heads, strict: what else one of two ends might read in another way.

Source: RFC 9110 section 5, RFC 9112 sections 2 to 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import Final, TypeAlias

from relaykit.errors import RemoteProtocolError

__all__ = [
    "MOST_FIELDS",
    "MOST_HEAD_BYTES",
    "MOST_REMEMBERED_BYTES",
    "MOST_TARGET_BYTES",
    "Lines",
    "Malformed",
    "fault_of_line",
    "is_token",
    "is_value",
    "key_of",
    "keys_of",
    "listed",
    "split_lines",
    "valid_lines",
    "values_of",
]

Lines: TypeAlias = Sequence[bytes]
"""Fields in order, as they were sent, without their ends of line."""

MOST_HEAD_BYTES: Final = 64 * 1024
"""Most bytes of a head: twice what nginx takes by default, since tickets and cookies grow."""

MOST_TARGET_BYTES: Final = 16 * 1024
"""Most bytes of the target of a request: twice what RFC 9110 section 4.1 asks for."""

MOST_FIELDS: Final = 200
"""Most fields of a head: browsers send about 20, chains of proxies twice that."""

MOST_REMEMBERED_BYTES: Final = 4 * 1024
"""Most bytes of a head that a connection remembers in case it comes again.  Idle connections are many: a
request, its fields, a response, and what goes on of them are 24 KiB at most; those of a browser and a server
come to 8."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"

# The group is not possessive, which it need not be: Python 3.11.2 would end it in the middle of a turn.
_LINES = re.compile(rb"(?:" + _TOKEN + rb"++:" + _TEXT + rb"*+\r\n)*")
_NAME = re.compile(_TOKEN + rb"++")
_VALUE = re.compile(_TEXT + rb"*+")
_CONTROL = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


class Malformed(RemoteProtocolError):
    """A message that is none, or that two readers may take for two; the text says what is wrong with it."""


def is_token(text: bytes) -> bool:
    """Whether it can be a name.  Source: RFC 9110 section 5.6.2."""
    return _NAME.fullmatch(text) is not None


def is_value(text: bytes) -> bool:
    """Whether it can be the value of a field.  Source: RFC 9110 section 5.5."""
    return _VALUE.fullmatch(text) is not None


def valid_lines(data: bytes, start: int = 0) -> int:
    """Where the lines from ``start`` on end that are fields, each with its CR LF."""
    lines = _LINES.match(data, start)
    assert lines is not None
    return lines.end()


def split_lines(block: bytes, start: int, end: int) -> Lines:
    """The lines from ``start`` to ``end``, each with its CR LF there."""
    return block[start : end - 2].split(b"\r\n") if end > start else ()


def keys_of(lines: Lines) -> tuple[bytes, ...]:
    """What the names of fields are compared by, but for underscores."""
    return tuple([line.partition(b":")[0].lower() for line in lines])


def values_of(keys: Sequence[bytes], lines: Lines, wanted: Set[bytes]) -> dict[bytes, list[bytes]]:
    """The values of the fields with these names, without the blanks around them."""
    found: dict[bytes, list[bytes]] = {}
    if not wanted.isdisjoint(keys):
        for key, line in zip(keys, lines, strict=True):
            if key in wanted:
                value = line[len(key) + 1 :].strip(b" \t")
                if key in found:
                    found[key].append(value)
                else:
                    found[key] = [value]
    return found


def fault_of_line(line: bytes) -> str:
    """What is wrong with a line, its LF included, that is no field."""
    if not line.endswith(b"\r\n"):
        return "a line ends with a bare LF"
    line = line[:-2]
    if line[:1] in (b" ", b"\t"):
        return "a field begins with a blank, or is folded"
    name, colon, value = line.partition(b":")
    if colon and name != name.rstrip(b" \t"):
        return "there is a blank between the name of a field and its colon"
    if not colon or not is_token(name):
        return "the name of a field is invalid"
    character = _CONTROL.search(value)
    return (
        f"the value of a field has the character {value[character.start()]:#04x}"
        if character
        else "a bare CR"
    )


def key_of(name: bytes) -> bytes:
    """What the name of a field is compared by.

    Without case, and an underscore is a hyphen: CGI and its heirs tell ``X_Forwarded_For`` and
    ``X-Forwarded-For`` apart no more.  Source: RFC 9110 section 5.1, RFC 3875 section 4.1.18.
    """
    return name.lower().replace(b"_", b"-")


def listed(values: Sequence[bytes]) -> Iterator[bytes]:
    """The members, in small letters, of a field that is a list.  Source: RFC 9110 section 5.6.1."""
    for value in values:
        for member in value.lower().split(b","):
            if stripped := member.strip(b" \t"):
                yield stripped
