"""An old INI file, written anew as TOML: with its comments, its order and its template's values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from relaykit.config.legacy.converting import TEMPLATE, Role, Unquoted, as_document
from relaykit.config.legacy.ini import COMMON, Ini, read_ini
from relaykit.config.text.documents import Document, FormatError, KeyPath, dotted

__all__ = ["as_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LISTS = ("httpPlugins", "proxies", "visitors")
"""Lists whose entries are sections, as they were."""


def as_toml(text: str, role: Role | None = None) -> str:
    """The TOML that means the same as an INI file of a role, or of the one whose keys it has.

    What a template puts in stays in the template's words.

    :raises FormatError: it is no INI, or has what cannot be written anew by itself.
    """
    ini = read_ini(text)
    _check(ini)
    document = as_document(ini, role)
    writer = _Writer(document, _comments(ini))
    lines = [*writer.beginning(ini), *writer.table((), document.value)]
    for key in _LISTS:
        for at, each in enumerate(document.value.get(key, ())):
            lines += ["", *writer.comments_of((key, at)), f"[[{key}]]", *writer.table((key, at), each)]
    end = [*writer.rest(), *map(_comment, ini.comments)]
    if lines and end:
        lines.append("")
    return "\n".join((*lines, *end, "")).lstrip("\n")


class _Writer:
    """Writes keys with the comments that were before them, each comment once."""

    def __init__(self, document: Document, comments: dict[int, tuple[str, ...]]) -> None:
        self._document = document
        self._comments = comments

    def beginning(self, ini: Ini) -> Iterator[str]:
        """The comments before the common section."""
        for section in ini.sections:
            if section.name == COMMON:
                yield from self._at(section.line)

    def comments_of(self, path: KeyPath) -> Iterator[str]:
        """The comments before what is at this path."""
        line = self._document.line_of(path)
        yield from () if line is None else self._at(line)

    def table(self, base: KeyPath, table: Mapping[str, Any], inside: KeyPath = ()) -> Iterator[str]:
        """The keys of a table, those of the tables in it as dotted ones; the lists of sections left out."""
        for key, value in table.items():
            path = (*inside, key)
            if isinstance(value, Mapping) and value:
                yield from self.table(base, value, path)
            elif base or path[0] not in _LISTS:
                yield from self.comments_of((*base, *path))
                yield f"{'.'.join(map(_key, path))} = {_toml(value)}"

    def rest(self) -> Iterator[str]:
        """The comments before what means nothing today, and what that is."""
        for line in sorted(self._comments):
            yield from self._at(line)
        for path in self._document.ignored:
            yield f"# not known, and without effect: {dotted(path)}"

    def _at(self, line: int) -> tuple[str, ...]:
        return self._comments.pop(line, ())


def _check(ini: Ini) -> None:
    """Has no statement of a template pass for a key or a section.

    :raises FormatError: there is one.
    """
    for section in ini.sections:
        places = [(section.name, section.line), *((each.key, each.line) for each in section.entries)]
        for name, line in places:
            if TEMPLATE in name:
                what = "this is a statement of a template, and only values of one are written anew"
                raise FormatError(what, line)


def _comments(ini: Ini) -> dict[int, tuple[str, ...]]:
    """The comments of each line that has some before it, as TOML writes them."""
    found = {section.line: section.comments for section in ini.sections}
    found |= {entry.line: entry.comments for section in ini.sections for entry in section.entries}
    return {line: tuple(map(_comment, each)) for line, each in found.items() if each}


def _comment(text: str) -> str:
    return f"#{text[1:]}"


def _key(key: str | int) -> str:
    text = str(key)
    return text if _BARE.fullmatch(text) else _quoted(text)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Unquoted():
            return str(value)
        case str():
            return _quoted(value)
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_key(key)} = {_toml(each)}' for key, each in value.items())} }}"
    return str(value)


def _quoted(text: str) -> str:
    if TEMPLATE in text and "'" not in text and "\n" not in text:
        # What a template puts in has quotes of its own, which stay as they are.
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
