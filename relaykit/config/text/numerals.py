"""Whole numbers as frp's files, templates and flags spell them: Python has no reader of octal ``017``."""

from __future__ import annotations

import re

__all__ = ["GREATEST_INTEGER", "LEAST_INTEGER", "parse_integer", "parse_number_range"]

LEAST_INTEGER = -(2**63)
"""Integers have 64 bits."""

GREATEST_INTEGER = 2**63 - 1
"""Integers have 64 bits."""

MOST_RANGE_NUMBERS = 100_000
"""Numbers that one range may stand for; there are 65,536 ports, and memory is not for typing errors."""

_DECIMAL = re.compile(r"[+-]?[0-9]+")
_NUMERAL = re.compile(r"[+-]?[0-9][0-9A-Za-z_]*")
_OCTAL = re.compile(r"\A(?P<sign>[+-]?)0(?=[0-9_])")


def parse_integer(text: str, *, prefixed: bool = False) -> int:
    """An integer of 64 bits, decimal; if ``prefixed``, also ``0x10``, ``0b1``, ``0o17``, ``017``, ``1_000``.

    :raises ValueError: it is none; the text of the error says why.
    """
    if (_NUMERAL if prefixed else _DECIMAL).fullmatch(text) is None:
        raise ValueError("invalid syntax")
    try:
        value = int(_OCTAL.sub(r"\g<sign>0o", text, count=1), 0) if prefixed else int(text)
    except ValueError:
        raise ValueError("invalid syntax") from None
    if not LEAST_INTEGER <= value <= GREATEST_INTEGER:
        raise ValueError("value out of range")
    return value


def parse_number_range(text: str) -> list[int]:
    """The numbers that a text such as ``1000-1002,2000`` stands for, in the order written.

    :raises ValueError: it is not of this form; the text of the error says why.
    """
    numbers: list[int] = []
    for part in text.strip().split(","):
        ends = part.split("-")
        if len(ends) > 2:
            raise ValueError("range number is invalid")
        first, last = (_range_end(end) for end in (ends[0], ends[-1]))
        if last < first:
            raise ValueError("range number is invalid")
        if len(numbers) + last - first >= MOST_RANGE_NUMBERS:
            raise ValueError(f"range number is invalid, it stands for more than {MOST_RANGE_NUMBERS} numbers")
        numbers.extend(range(first, last + 1))
    return numbers


def _range_end(text: str) -> int:
    try:
        return parse_integer(text.strip())
    except ValueError as error:
        raise ValueError(f'range number is invalid, "{text.strip()}": {error}') from None
