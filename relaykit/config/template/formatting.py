"""The template function ``printf``: verbs, flags, width and precision of Go's fmt.

Source: https://pkg.go.dev/fmt
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen

from relaykit.config.template.values import (
    NumberPair,
    Root,
    Value,
    encode_text,
    quote,
    type_name,
    write_float,
    write_value,
)

__all__ = ["format_text"]

MOST_WIDTH = 10_000
"""Widths and precisions beyond this are typing errors: nobody's configuration is padded that far."""

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|[0-9]+)?(?:\.(?P<precision>\*|[0-9]*))?(?P<verb>.?)", re.S
)


@frozen
class _Verb:
    """One verb with its flags."""

    letter: str
    flags: str
    width: int | None
    precision: int | None


def format_text(template: str, arguments: Sequence[Value]) -> str:
    """What ``printf`` writes; mistakes are written too, as ``%!d(string=x)``, and raise nothing."""
    remaining = list(arguments)
    written = _VERB.sub(lambda match: _substitute(match, remaining), template)
    if remaining:
        extra = ", ".join(_described(each) for each in remaining)
        written += f"%!(EXTRA {extra})"
    return written


def _substitute(match: re.Match[str], remaining: list[Value]) -> str:
    letter = match["verb"]
    flags = match["flags"]
    width = _number(match["width"], remaining)
    precision = _number(match["precision"], remaining)
    if width is not None and width < 0:
        width, flags = -width, flags + "-"
    if max(width or 0, precision or 0) > MOST_WIDTH:
        return "%!(BADWIDTH)"
    if not letter:
        return "%!(NOVERB)"
    if letter == "%":
        return "%"
    if not remaining:
        return f"%!{letter}(MISSING)"
    return _write(remaining.pop(0), _Verb(letter, flags, width, precision))


def _number(text: str | None, remaining: list[Value]) -> int | None:
    if text == "*":
        given = remaining.pop(0) if remaining else None
        return given if isinstance(given, int) else None
    if text is None:
        return None
    return int(text or 0) if len(text) < 10 else MOST_WIDTH + 1


def _write(value: Value, verb: _Verb) -> str:
    """One value; the elements of lists, maps and pairs are written by the same verb."""
    if verb.letter == "T":
        return _padded(type_name(value), verb)
    if verb.letter == "v":
        return _padded(
            _precise(write_value(value), verb) if isinstance(value, str) else write_value(value), verb
        )
    match value:
        case bool():
            text = write_value(value) if verb.letter == "t" else None
        case int():
            text = _write_integer(value, verb)
        case float():
            text = _write_fraction(value, verb)
        case str():
            text = _write_text(value, verb)
        case list():
            return f"[{' '.join(_write(each, verb) for each in value)}]"
        case NumberPair():
            return f"{{{_write(value.first, verb)} {_write(value.second, verb)}}}"
        case Root():
            return f"{{{_write(value.environ, verb)}}}"
        case Mapping():
            entries = (f"{_write(key, verb)}:{_write(value[key], verb)}" for key in sorted(value))
            return f"map[{' '.join(entries)}]"
        case _:
            text = None
    return f"%!{verb.letter}({_described(value)})" if text is None else _padded(text, verb)


def _write_integer(value: int, verb: _Verb) -> str | None:
    bases = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if verb.letter in bases:
        digits = format(abs(value), bases[verb.letter])
        if verb.precision is not None:
            digits = digits.zfill(verb.precision)
            verb = evolve(verb, flags=verb.flags.replace("0", ""))
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb.letter, "") if "#" in verb.flags else ""
        return _signed(value < 0, ("0o" if verb.letter == "O" else prefix) + digits, verb)
    if verb.letter in "cqU" and not 0 <= value <= 0x10FFFF:
        value = 0xFFFD
    if verb.letter == "c":
        return chr(value)
    if verb.letter == "q":
        return "'" + quote(chr(value))[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    if verb.letter == "U":
        return f"U+{value:04X}"
    return None


def _write_fraction(value: float, verb: _Verb) -> str | None:
    if verb.letter not in "eEfFgG":
        return None
    if verb.letter in "gG" and verb.precision is None:
        text = write_float(abs(value))
        return _signed(value < 0, text.upper() if verb.letter == "G" else text, verb)
    precision = 6 if verb.precision is None else verb.precision
    return _signed(value < 0, format(abs(value), f".{precision}{verb.letter}"), verb)


def _write_text(value: str, verb: _Verb) -> str | None:
    text = _precise(value, verb)
    writers: dict[str, Callable[[], str]] = {
        "s": lambda: text,
        "q": lambda: f"`{text}`" if "#" in verb.flags and "`" not in text else quote(text),
        "x": lambda: encode_text(text).hex(),
        "X": lambda: encode_text(text).hex().upper(),
    }
    return writers[verb.letter]() if verb.letter in writers else None


def _precise(text: str, verb: _Verb) -> str:
    return text if verb.precision is None else text[: verb.precision]


def _signed(negative: bool, digits: str, verb: _Verb) -> str:
    sign = "-" if negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""
    if "0" in verb.flags and "-" not in verb.flags and verb.width:
        digits = digits.zfill(verb.width - len(sign))
    return sign + digits


def _padded(text: str, verb: _Verb) -> str:
    width = verb.width or 0
    return text.ljust(width) if "-" in verb.flags else text.rjust(width)


def _described(value: Value) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={write_value(value)}"
