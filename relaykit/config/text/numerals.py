"""Numbers as frp's files, templates and flags spell them: the rules of Go's ``strconv``."""

from __future__ import annotations

import re

__all__ = ["GREATEST_INTEGER", "LEAST_INTEGER", "parse_float", "parse_integer", "parse_number_range"]

LEAST_INTEGER = -(2**63)
"""Integers have 64 bits."""

GREATEST_INTEGER = 2**63 - 1
"""Integers have 64 bits."""

MOST_RANGE_NUMBERS = 100_000
"""Numbers that one range may stand for; there are 65,536 ports, and memory is not for typing errors."""

_DECIMAL = re.compile(r"[+-]?[0-9]+\Z")
_BASE_PREFIXED = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<bin>(?:_?[01])+)"
    r"|0[oO]?(?P<oct>(?:_?[0-7])+)|(?P<dec>0|[1-9](?:_?[0-9])*))\Z"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_DECIMAL_FLOAT = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?\Z"
)
_HEXADECIMAL_FLOAT = re.compile(
    r"[+-]?0[xX](?:_?[0-9a-fA-F]+)+\.?[0-9a-fA-F]*[pP][+-]?[0-9]+\Z|[+-]?0[xX]\.[0-9a-fA-F]+[pP][+-]?[0-9]+\Z"
)
_NOT_FINITE = re.compile(r"[+-]?(?:inf(?:inity)?)\Z|nan\Z", re.IGNORECASE)


def parse_integer(text: str, *, prefixed: bool = False) -> int:
    """An integer of 64 bits, decimal; if ``prefixed``, also ``0x10``, ``0b1``, ``0o17``, ``017``, ``1_000``.

    :raises ValueError: it is none; the text of the error says why.
    """
    if not prefixed:
        if _DECIMAL.match(text) is None:
            raise ValueError("invalid syntax")
        value = int(text)
    else:
        match = _BASE_PREFIXED.match(text)
        if match is None or match.lastgroup is None:
            raise ValueError("invalid syntax")
        value = int(match[match.lastgroup].replace("_", ""), _BASES[match.lastgroup])
        if match["sign"] == "-":
            value = -value
    if not LEAST_INTEGER <= value <= GREATEST_INTEGER:
        raise ValueError("value out of range")
    return value


def parse_float(text: str) -> float:
    """A floating-point number: fraction, exponent, ``.5``, ``1_0``, ``0x1p4``, ``inf``, ``NaN``.

    :raises ValueError: it is none, or too large.
    """
    if _NOT_FINITE.match(text):
        return float(text)
    if _HEXADECIMAL_FLOAT.match(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except OverflowError:
            raise ValueError("value out of range") from None
    if not _DECIMAL_FLOAT.match(text):
        raise ValueError("invalid syntax")
    value = float(text.replace("_", ""))
    if value in (float("inf"), float("-inf")):
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
