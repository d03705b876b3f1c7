"""Parts of a representation that a request asks for.  Source: RFC 9110 section 14."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["MOST_RANGES", "MOST_RANGE_BYTES", "ByteRange", "NotSatisfiable", "parse_ranges"]

ByteRange: TypeAlias = "tuple[int, int]"
"""The first byte of a part and the one behind its last."""

MOST_RANGES: Final = 16
"""Parts that one request may ask for: viewers of documents ask for a few at once."""

MOST_RANGE_BYTES: Final = 1024
"""Bytes of the field that are read: room for as many parts of the largest files."""

_RANGE = re.compile(rb"([0-9]{0,18})-([0-9]{0,18})")


class NotSatisfiable(Exception):
    """None of the parts is there."""


def parse_ranges(value: bytes, size: int) -> Sequence[ByteRange]:
    """The parts that a field ``Range`` asks for of so many bytes, in its order.

    Empty where all is to be sent: the field says nothing that is understood, or asks for more than there is
    by parts that overlap, or for more than :data:`MOST_RANGES` parts.

    :raises NotSatisfiable: it asks for parts behind the end only.
    """
    unit, _, listed = value.partition(b"=")
    if unit.strip(b" \t").lower() != b"bytes" or len(value) > MOST_RANGE_BYTES:
        return ()
    asked = [each for part in listed.split(b",") if (each := part.strip(b" \t"))]
    if not 0 < len(asked) <= MOST_RANGES:
        return ()
    found: list[ByteRange] = []
    for each in asked:
        said = _RANGE.fullmatch(each)
        if said is None or each == b"-":
            return ()
        first, last = said.groups()
        if first and last and int(last) < int(first):
            return ()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start < end:
            found.append((start, end))
    if not found:
        raise NotSatisfiable
    return found if sum(end - start for start, end in found) <= size else ()
