"""The functions that templates may call, except ``and`` and ``or``, whose arguments are evaluated lazily."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from relaykit.config.template.values import NumberPair, Value, is_true, type_name, write_value
from relaykit.config.text.numerals import parse_number_range

__all__ = ["FUNCTIONS", "NOT_SUPPORTED", "FunctionError"]

NOT_SUPPORTED = frozenset({"call", "html", "js", "println", "slice", "urlquery"})
"""Functions that Go's templates have besides."""

_VERB = re.compile(r"%(?:(?P<flags>[-+ 0]*)(?P<width>[0-9]{0,3})(?P<letter>.?))", re.DOTALL)


class FunctionError(Exception):
    """A function cannot do what it was called for; the text says why."""


def _not(value: Value) -> bool:
    return not is_true(value)


def _len(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list | Mapping):
        return len(value)
    raise FunctionError(f"len of type {type_name(value)}")


def _index(value: Value, *indexes: Value) -> Value:
    for index in indexes:
        if isinstance(value, Mapping) and isinstance(index, str):
            value = value.get(index, "")
        elif isinstance(value, list) and type(index) is int:
            if not 0 <= index < len(value):
                raise FunctionError(f"index out of range: {index}")
            value = value[index]
        else:
            raise FunctionError(f"can't index item of type {type_name(value)} with type {type_name(index)}")
    return value


def _eq(left: Value, first: Value, *others: Value) -> bool:
    return any(_same(left, other) for other in (first, *others))


def _same(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return left is right
    _check_comparable(left, right)
    return left == right


def _lt(left: Value, right: Value) -> bool:
    _check_comparable(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return left.encode("utf-8", "surrogateescape") < right.encode("utf-8", "surrogateescape")
    if type(left) is int and type(right) is int:
        return left < right
    raise FunctionError("invalid type for comparison")


def _check_comparable(left: Value, right: Value) -> None:
    if type(left) is not type(right) or not isinstance(left, str | int):
        raise FunctionError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


def _ne(left: Value, right: Value) -> bool:
    return not _same(left, right)


def _le(left: Value, right: Value) -> bool:
    return not _lt(right, left)


def _gt(left: Value, right: Value) -> bool:
    return _lt(right, left)


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


def _printf(template: Value, *values: Value) -> str:
    left = list(values)

    def written(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not left:
            raise FunctionError(f"there is no value for {match[0]}")
        return _formatted(match, left.pop(0))

    text = _VERB.sub(written, _text(template))
    if left:
        raise FunctionError(f"there is no verb for {write_value(left[0])}")
    return text


def _formatted(verb: re.Match[str], value: Value) -> str:
    flags, width, letter = verb.groups()
    if letter in ("d", "x") and type(value) is int:
        return str(f"%{flags}{width}{letter}" % value)
    if letter == "q" and isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif letter == "v" or (letter == "s" and isinstance(value, str)):
        text = write_value(value)
    else:
        known = "%s and %q write texts, %d and %x numbers, %v anything"
        raise FunctionError(f"{verb[0]} cannot write a value of type {type_name(value)}: {known}")
    return text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0))


def _parse_number_range(text: Value) -> list[int]:
    try:
        return parse_number_range(_text(text))
    except ValueError as error:
        raise FunctionError(str(error)) from None


def _parse_number_range_pair(first: Value, second: Value) -> list[NumberPair]:
    firsts, seconds = _parse_number_range(first), _parse_number_range(second)
    if len(firsts) != len(seconds):
        raise FunctionError("first and second range numbers are not in pairs")
    return [NumberPair(*pair) for pair in zip(firsts, seconds, strict=True)]


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"expected string; found {write_value(value)}")
    return value


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "eq": _eq,
    "ge": _ge,
    "gt": _gt,
    "index": _index,
    "le": _le,
    "len": _len,
    "lt": _lt,
    "ne": _ne,
    "not": _not,
    "parseNumberRange": _parse_number_range,
    "parseNumberRangePair": _parse_number_range_pair,
    "print": _print,
    "printf": _printf,
}
"""Go's own functions, and frp's two for ranges of numbers."""
