"""JSON, with the lines of its keys."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # public, but typeshed leaves it out
from typing import Any

from attrs import define, field

from relaykit.config.text.documents import MOST_DEPTH, Document, Format, FormatError, KeyPath, fold

__all__ = ["read_json"]

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
MOST_DIGITS = 400
"""Digits of a number, far more than a double has."""


def read_json(text: str, *, whole: bool) -> Document:
    """Parses the first JSON value of a text; with ``whole``, nothing may follow it.

    :raises FormatError: it is no JSON.
    """
    reader = _Reader(text)
    value = reader.value((), 0)
    reader.skip_space()
    if whole and reader.at < len(text):
        raise reader.error("unexpected text after the first value")
    return Document(value, Format.JSON, reader.lines, tuple(reader.repeated))


@define
class _Reader:
    _text: str
    at: int = 0
    lines: dict[KeyPath, int] = field(factory=dict)
    repeated: list[KeyPath] = field(factory=list)
    _line: int = 1
    _line_start: int = 0

    def value(self, path: KeyPath, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise self.error("lists and tables are nested too deeply")
        self.skip_space()
        first = self._text[self.at : self.at + 1]
        if first == "{":
            return self._object(path, depth)
        if first == "[":
            return self._array(path, depth)
        if first == '"':
            return self._string()
        for word, value in _WORDS.items():
            if self._text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self._number()

    def _object(self, path: KeyPath, depth: int) -> dict[str, Any]:
        self.at += 1
        table: dict[str, Any] = {}
        if self._took("}"):
            return table
        while True:
            self.skip_space()
            if not self._text.startswith('"', self.at):
                raise self.error("expected a key in double quotes")
            line = self._line
            key = self._string()
            here = (*path, key)
            if key in table:
                self.repeated.append(here)
            self.lines[fold(here)] = line
            if not self._took(":"):
                raise self.error('expected ":" after a key')
            table[key] = self.value(here, depth + 1)
            if self._took("}"):
                return table
            if not self._took(","):
                raise self.error('expected "," or "}" after a value')

    def _array(self, path: KeyPath, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        if self._took("]"):
            return items
        while True:
            self.skip_space()
            here = (*path, len(items))
            self.lines[here] = self._line
            items.append(self.value(here, depth + 1))
            if self._took("]"):
                return items
            if not self._took(","):
                raise self.error('expected "," or "]" after a value')

    def _string(self) -> str:
        try:
            text, self.at = scanstring(self._text, self.at + 1, True)
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self.error(error.msg) from None
        return str(text)

    def _number(self) -> int | float:
        match = _NUMBER.match(self._text, self.at)
        if match is None:
            raise self.error("expected a value" if self.at < len(self._text) else "the file ends too early")
        if len(match[0]) > MOST_DIGITS:
            raise self.error("too many digits")
        self.at = match.end()
        if match["fraction"] is None and match["exponent"] is None:
            return int(match[0])
        value = float(match[0])
        if value in (float("inf"), float("-inf")):
            raise self.error("the number is too large")
        return value

    def skip_space(self) -> None:
        match = _SPACE.match(self._text, self.at)
        assert match is not None
        breaks = match[0].count("\n")
        if breaks:
            self._line += breaks
            self._line_start = self.at + match[0].rindex("\n") + 1
        self.at = match.end()

    def _took(self, character: str) -> bool:
        self.skip_space()
        if not self._text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def error(self, reason: str) -> FormatError:
        return FormatError(reason, self._line, self.at - self._line_start + 1)
