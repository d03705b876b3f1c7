"""What templates compute with: how values are called, judged and written.

Texts, whole numbers, numbers with a fraction, booleans, lists, maps from text to text, pairs of
numbers, the root of a template, and None for what is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import frozen

__all__ = [
    "NumberPair",
    "Root",
    "Value",
    "decode_bytes",
    "encode_text",
    "is_true",
    "quote",
    "type_name",
    "write_value",
]

Value: TypeAlias = Any
"""Any of the kinds that the module names."""


@frozen
class NumberPair:
    """An element of what ``parseNumberRangePair`` answers; templates know ``First`` and ``Second``."""

    first: int
    second: int

    def field(self, name: str) -> Value:
        """The value of a field.

        :raises KeyError: there is none of this name.
        """
        return {"First": self.first, "Second": self.second}[name]


@frozen
class Root:
    """What a configuration file's template is about: the environment."""

    environ: Mapping[str, str]

    def field(self, name: str) -> Value:
        """The value of a field.

        :raises KeyError: there is none of this name.
        """
        return {"Envs": self.environ}[name]


def is_true(value: Value) -> bool:
    """Whether a value counts as true: false are false, 0, what is empty and what is not there."""
    if isinstance(value, NumberPair | Root):
        return True
    return bool(value)


def type_name(value: Value) -> str:
    """What errors call the type of a value: Go's names, which the manuals of frp use."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int"
        case float():
            return "float64"
        case list():
            return "[]config.NumberPair" if value and isinstance(value[0], NumberPair) else "[]int64"
        case NumberPair():
            return "config.NumberPair"
        case Root():
            return "*config.Values"
    return "map[string]string"


def write_value(value: Value) -> str:
    """A value as an action or ``print`` writes it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return write_float(value)
        case list():
            return f"[{' '.join(write_value(each) for each in value)}]"
        case NumberPair():
            return f"{{{value.first} {value.second}}}"
        case Root():
            return f"{{{write_value(value.environ)}}}"
        case Mapping():
            return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
    return str(value)


def write_float(value: float) -> str:
    """The shortest digits that give the number back; with an exponent below 1e-4 and from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, _, exponent = f"{value:.17e}".partition("e")
    for precision in range(17):
        digits, _, exponent = f"{value:.{precision}e}".partition("e")
        if float(f"{digits}e{exponent}") == value:
            break
    if -4 <= int(exponent) < 6:
        return f"{value:.{max(0, len(digits.lstrip('-').replace('.', '')) - 1 - int(exponent))}f}"
    return f"{digits}e{int(exponent):+03d}"


def quote(text: str) -> str:
    """A text between double quotes, with escapes for what cannot be seen."""
    simple = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    simple |= {'"': '\\"', "\\": "\\\\"}
    return f'"{"".join(simple.get(each) or _visible(each) for each in text)}"'


def encode_text(text: str) -> bytes:
    """The bytes of a text; lengths and indexes of templates count these."""
    return text.encode("utf-8", "surrogateescape")


def decode_bytes(content: bytes) -> str:
    """The text of bytes; what is no character survives a later :func:`encode_text`."""
    return content.decode("utf-8", "surrogateescape")


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
