"""TOML: values by the standard library, lines by a light scan beside it.

No library of Python tells where a TOML value is: ``tomllib`` has values only, and ``tomlkit``, which keeps a
document's form, has no places either.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from typing import Any

from relaykit.config.text.documents import (
    MOST_DEPTH,
    Document,
    Format,
    FormatError,
    KeyPath,
    fold,
    refuse_non_finite,
)

__all__ = ["read_toml"]

_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z")
_PLAINER = {
    "cannot overwrite a value": "the key has a value already",
    "invalid statement": "this is neither a key with a value nor a table's name in brackets",
}
"""What the standard library says too tersely."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEYS = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*(?P<brackets>\[\[?)[ \t]*(?P<keys>{_KEYS})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*(?P<keys>{_KEYS})[ \t]*=")
_ONE_KEY = re.compile(_KEY)
_VALUE_TOKEN = re.compile(
    r'#[^\n]*|"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[\[{]|[\]}]|\n',
    re.DOTALL,
)


def read_toml(text: str) -> Document:
    """Parses TOML; whole numbers written as 7e3 become integers, dates and times become text.

    :raises FormatError: it is no TOML.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _format_error(str(error)) from None
    except ValueError as error:
        raise FormatError(str(error)) from None
    except RecursionError:
        raise FormatError("lists and tables are nested too deeply") from None
    value = _plain(parsed, 0)
    return refuse_non_finite(Document(value, Format.TOML, _lines(text)))


def _format_error(message: str) -> FormatError:
    match = _POSITION.search(message)
    if match is None:
        return FormatError(message)
    reason = message[:1].lower() + message[1 : match.start()]
    reason = _PLAINER.get(reason, reason)
    if match["line"] is None:
        return FormatError(f"{reason}, where the file ends")
    return FormatError(reason, int(match["line"]), int(match["column"]))


def _plain(value: Any, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise FormatError("lists and tables are nested too deeply")
    match value:
        case dict():
            return {key: _plain(each, depth + 1) for key, each in value.items()}
        case list():
            return [_plain(each, depth + 1) for each in value]
        case float():
            return int(value) if value.is_integer() else value
        case datetime.datetime() | datetime.date() | datetime.time():
            return _moment(value)
    return value


def _moment(value: datetime.datetime | datetime.date | datetime.time) -> str:
    """A date or time as it is written in TOML, with a T and without needless zeros."""
    text = value.isoformat()
    text = re.sub(r"(\.\d*?)0+(?=\D|\Z)", r"\1", text)
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _lines(text: str) -> dict[KeyPath, int]:
    """The lines of keys, but for those inside of inline tables."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at, line = 0, 1
    while at < len(text):
        header = _HEADER.match(text, at)
        if header is not None:
            table = _table_path(header, counts)
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], line)
            at = header.end()
        else:
            assignment = _ASSIGNMENT.match(text, at)
            if assignment is not None:
                path = table
                for key in _names(assignment["keys"]):
                    path = (*path, key)
                    lines.setdefault(path, line)
                at = assignment.end()
        end = _statement_end(text, at)
        line += text.count("\n", at, end)
        at = end
    return lines


def _table_path(header: re.Match[str], counts: dict[KeyPath, int]) -> KeyPath:
    """The path of a table whose header this is; a list of tables stands for its last element."""
    path: KeyPath = ()
    names = _names(header["keys"])
    for position, name in enumerate(names):
        path = (*path, name)
        if position == len(names) - 1 and header["brackets"] == "[[":
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _names(keys: str) -> list[str]:
    names: list[str] = []
    for match in _ONE_KEY.finditer(keys):
        key = match[0]
        if key[0] == '"':
            key = str(tomllib.loads(f"key = {key}")["key"])
        elif key[0] == "'":
            key = key[1:-1]
        names.append(str(fold((key,))[0]))
    return names


def _statement_end(text: str, at: int) -> int:
    """The offset after the line break that ends what begins here: strings and lists may hold others."""
    depth = 0
    for match in _VALUE_TOKEN.finditer(text, at):
        token = match[0]
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        elif token == "\n" and depth <= 0:
            return match.end()
    return len(text)
