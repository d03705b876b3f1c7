"""A configuration text that was parsed: plain values, and where each of them is written."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from relaykit.errors import ConfigurationError

__all__ = [
    "MOST_DEPTH",
    "Document",
    "Format",
    "FormatError",
    "KeyPath",
    "dotted",
    "fold",
    "key_path",
    "kind_of",
    "refuse_non_finite",
    "shown",
    "walk",
    "written",
]

MOST_DEPTH = 64
"""Tables and lists inside each other: no configuration needs ten, and readers must not exhaust the stack."""

MOST_SHOWN = 40
"""Characters of a value that an error repeats."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys and list indexes that lead to a value."""


class Format(enum.Enum):
    """What a configuration text is written in."""

    TOML = "TOML"
    YAML = "YAML"
    JSON = "JSON"
    INI = "INI"


class FormatError(ConfigurationError):
    """A text is not of its format.

    ``line`` and ``column`` count from 1 and are None where the format does not tell; ``key`` is the
    path of the value in question, or empty; ``hint`` says what may help.
    """

    def __init__(
        self,
        reason: str,
        line: int | None = None,
        column: int | None = None,
        *,
        key: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column
        self.key = key
        self.hint = hint


@frozen
class Document:
    """A parsed text.

    ``value`` consists of dicts, lists, texts, numbers, booleans and None.  ``lines`` has the line of
    each key, by path with the letters in lower case; ``repeated`` the paths that were given twice,
    where the format allows that and the last one counts.  ``spelled`` is how the file calls a key that has
    another name today, and ``ignored`` are paths of the file that mean nothing.
    """

    value: Any
    format: Format
    lines: Mapping[KeyPath, int] = field(factory=dict, repr=False)
    repeated: tuple[KeyPath, ...] = ()
    spelled: Mapping[KeyPath, str] = field(factory=dict, repr=False)
    ignored: tuple[KeyPath, ...] = ()

    def line_of(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest table around it whose line is known."""
        folded = fold(path)
        while folded:
            line = self.lines.get(folded)
            if line is not None:
                return line
            folded = folded[:-1]
        return None


def fold(path: KeyPath) -> KeyPath:
    """A path with its letters in lower case: case does not distinguish keys."""
    return tuple(part.casefold() if isinstance(part, str) else part for part in path)


def dotted(path: KeyPath) -> str:
    """A path as people write it, such as ``proxies[0].localPort``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def key_path(text: str) -> KeyPath:
    """The path that :func:`dotted` wrote."""
    path: list[str | int] = []
    for part in text.split(".") if text else ():
        name, _, indexes = part.partition("[")
        path.append(name)
        path.extend(int(index) for index in indexes.rstrip("]").split("][") if index)
    return tuple(path)


def kind_of(value: Any) -> str:
    """What people call the kind of a plain value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "a number"
        case float():
            return "a number with a fraction"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a table"


def written(value: bool | int | float | None) -> str:
    """A plain value as the text that it was in a file, more or less."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def shown(value: Any) -> str:
    """A plain value as an error shows it."""
    match value:
        case None | list() | dict():
            return kind_of(value)
        case str():
            text = value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}..."
            return f'the text "{text}"'
        case bool():
            return "true" if value else "false"
    return f"{kind_of(value)} ({value})"


def refuse_non_finite(document: Document) -> Document:
    """The document, if there is no ``inf`` and no ``nan`` in it, which no key may have.

    :raises FormatError: there is one.
    """
    for path, each in walk((), document.value):
        if isinstance(each, float) and not math.isfinite(each):
            raise FormatError(
                f"{each} is not a number that a key can have", document.line_of(path), key=dotted(path)
            )
    return document


def walk(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """A value, and all that is inside it, with the path of each."""
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from walk((*path, key), each)
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from walk((*path, position), each)
