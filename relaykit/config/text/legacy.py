"""Recognizes the INI files of old frp versions, by the rules that frp has for that."""

from __future__ import annotations

import re

__all__ = ["LEGACY_HINT", "LEGACY_REASON", "is_legacy"]

LEGACY_REASON = "this is an INI file of an old frp version, which cannot be read yet"
"""What is wrong with such a file."""

LEGACY_HINT = "write it as TOML: no section [common], and proxies as [[proxies]] with a key name"
"""What to do about it."""

_QUOTED_KEY = re.compile(r'"""(?:(?!""").)*"""|(?!""")"[^"]*"|`[^`]*`')
_VALUE_QUOTES = ('"""', "`")


def is_legacy(text: str) -> bool:
    """Whether a text is INI throughout and has a section named exactly ``common``."""
    found = False
    lines = iter(text.split("\n"))
    for raw in lines:
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            name, closing, _ = line[1:].rpartition("]")
            if not closing:
                return False
            found = found or name == "common"
            continue
        value = _value(line)
        if value is None:
            return False
        for quote in _VALUE_QUOTES:
            if value.startswith(quote):
                rest = value[len(quote) :]
                while quote not in rest:
                    following = next(lines, None)
                    if following is None:
                        return False
                    rest = following
                break
        else:
            while value.endswith("\\"):
                value = next(lines, "").strip()
    return found


def _value(line: str) -> str | None:
    """What follows the ``=`` or ``:`` of a line with a key, or None if it is no such line."""
    quoted = _QUOTED_KEY.match(line)
    if quoted is None and line[0] in '"`':
        return None
    start = quoted.end() if quoted else 0
    ends = [end for delimiter in "=:" if (end := line.find(delimiter, start)) >= 0]
    if not ends or min(ends) == 0:
        return None
    return line[min(ends) + 1 :].strip()
