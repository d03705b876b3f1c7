"""The functions that templates may call, except ``and`` and ``or``, which the evaluation knows itself."""

from __future__ import annotations

import itertools
import math
import urllib.parse
from collections.abc import Callable, Mapping

from attrs import frozen

from relaykit.config.numerals import parse_number_range
from relaykit.config.template.formatting import format_text
from relaykit.config.template.values import (
    NumberPair,
    Value,
    decode_bytes,
    encode_text,
    is_true,
    type_name,
    write_value,
)

__all__ = ["FUNCTIONS", "Builtin", "FunctionError"]


class FunctionError(Exception):
    """A function cannot do what it was called for; the text says why."""


@frozen
class Builtin:
    """A function: how many arguments it takes, and how many of the first ones must be texts.

    ``most`` is ``math.inf`` for a function that takes any number.
    """

    call: Callable[..., Value]
    least: int
    most: float
    texts: int = 0


def _not(value: Value) -> bool:
    return not is_true(value)


def _len(value: Value) -> int:
    if isinstance(value, str):
        return len(encode_text(value))
    if isinstance(value, list | Mapping):
        return len(value)
    raise FunctionError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def _index(value: Value, *indexes: Value) -> Value:
    if value is None:
        raise FunctionError("index of untyped nil")
    for index in indexes:
        if isinstance(value, Mapping):
            if not isinstance(index, str):
                raise FunctionError(f"value has type {type_name(index)}; should be string")
            value = value.get(index, "")
        elif isinstance(value, str | list):
            items = encode_text(value) if isinstance(value, str) else value
            value = items[_checked_index(index, len(items) - 1)]
        else:
            raise FunctionError(f"can't index item of type {type_name(value)}")
    return value


def _slice(value: Value, *indexes: Value) -> Value:
    if value is None:
        raise FunctionError("slice of untyped nil")
    if not isinstance(value, str | list):
        raise FunctionError(f"can't slice item of type {type_name(value)}")
    if len(indexes) > 3:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    if len(indexes) == 3 and isinstance(value, str):
        raise FunctionError("cannot 3-index slice a string")
    items = encode_text(value) if isinstance(value, str) else value
    ends = [_checked_index(each, len(items)) for each in indexes]
    for lower, upper in itertools.pairwise(ends):
        if lower > upper:
            raise FunctionError(f"invalid slice index: {lower} > {upper}")
    part = items[slice(*ends[:2])] if len(ends) > 1 else items[ends[0] if ends else 0 :]
    return decode_bytes(part) if isinstance(part, bytes) else part


def _checked_index(index: Value, last: int) -> int:
    if index is None:
        raise FunctionError("cannot index slice/array with nil")
    if isinstance(index, bool) or not isinstance(index, int):
        raise FunctionError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= last:
        raise FunctionError(f"index out of range: {index}")
    return index


def _call(value: Value, *arguments: Value) -> Value:
    if value is None:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function of type {type_name(value)}")


def _kind(value: Value) -> str:
    """What two values must have in common to be compared; empty for what has no order."""
    if isinstance(value, bool):
        return "bool"
    return type_name(value) if isinstance(value, str | int | float) else ""


def _incompatible(left: Value, right: Value) -> FunctionError:
    return FunctionError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


def _eq(left: Value, *others: Value) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_same(left, other) for other in others)


def _same(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return left is right
    if _kind(left) != _kind(right):
        raise _incompatible(left, right)
    if isinstance(left, list | Mapping):
        raise FunctionError(
            f"non-comparable types {write_value(left)}: {type_name(left)}, "
            f"{type_name(right)}: {write_value(right)}"
        )
    return type(left) is type(right) and bool(left == right)


def _lt(left: Value, right: Value) -> bool:
    if not _kind(left) or not _kind(right):
        raise FunctionError("invalid type for comparison")
    if _kind(left) != _kind(right):
        raise _incompatible(left, right)
    if isinstance(left, bool):
        raise FunctionError("invalid type for comparison")
    if isinstance(left, str):
        return encode_text(left) < encode_text(right)
    return bool(left < right)


def _ne(left: Value, right: Value) -> bool:
    return not _eq(left, right)


def _le(left: Value, right: Value) -> bool:
    return _lt(left, right) or _eq(left, right)


def _gt(left: Value, right: Value) -> bool:
    return not _le(left, right)


def _ge(left: Value, right: Value) -> bool:
    return not _lt(left, right)


def _print(*values: Value) -> str:
    """Values after each other, with a space between two that are both no texts."""
    written: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            written.append(" ")
        written.append(write_value(value))
    return "".join(written)


def _println(*values: Value) -> str:
    return " ".join(write_value(value) for value in values) + "\n"


def _printf(template: str, *values: Value) -> str:
    return format_text(template, values)


def _printed(values: tuple[Value, ...]) -> str:
    return _print(*("<no value>" if value is None else value for value in values))


_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
_JS_CODES = frozenset("<>&=")


def _html(*values: Value) -> str:
    return _printed(values).translate(_HTML)


def _js(*values: Value) -> str:
    return "".join(
        _JS.get(each, f"\\u{ord(each):04X}" if each in _JS_CODES or not each.isprintable() else each)
        for each in _printed(values)
    )


def _urlquery(*values: Value) -> str:
    return urllib.parse.quote_plus(encode_text(_printed(values)))


def _parse_number_range(text: str) -> list[int]:
    try:
        return parse_number_range(text)
    except ValueError as error:
        raise FunctionError(str(error)) from None


def _parse_number_range_pair(first: str, second: str) -> list[NumberPair]:
    firsts, seconds = _parse_number_range(first), _parse_number_range(second)
    if len(firsts) != len(seconds):
        raise FunctionError("first and second range numbers are not in pairs")
    return [NumberPair(*pair) for pair in zip(firsts, seconds, strict=True)]


FUNCTIONS: Mapping[str, Builtin] = {
    "call": Builtin(_call, 1, math.inf),
    "eq": Builtin(_eq, 1, math.inf),
    "ge": Builtin(_ge, 2, 2),
    "gt": Builtin(_gt, 2, 2),
    "html": Builtin(_html, 0, math.inf),
    "index": Builtin(_index, 1, math.inf),
    "js": Builtin(_js, 0, math.inf),
    "le": Builtin(_le, 2, 2),
    "len": Builtin(_len, 1, 1),
    "lt": Builtin(_lt, 2, 2),
    "ne": Builtin(_ne, 2, 2),
    "not": Builtin(_not, 1, 1),
    "parseNumberRange": Builtin(_parse_number_range, 1, 1, texts=1),
    "parseNumberRangePair": Builtin(_parse_number_range_pair, 2, 2, texts=2),
    "print": Builtin(_print, 0, math.inf),
    "printf": Builtin(_printf, 1, math.inf, texts=1),
    "println": Builtin(_println, 0, math.inf),
    "slice": Builtin(_slice, 1, math.inf),
    "urlquery": Builtin(_urlquery, 0, math.inf),
}
"""Go's own functions, and frp's two for ranges of numbers."""
