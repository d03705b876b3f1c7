"""From a template's text to tokens."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

from attrs import define, frozen

from relaykit.config.template.source import Source

__all__ = ["Kind", "Token", "tokens"]


class Kind(enum.Enum):
    """What a token is; the value is how an error calls it."""

    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    SPACE = "space"
    IDENTIFIER = "name"
    KEYWORD = "keyword"
    FIELD = "field"
    VARIABLE = "variable"
    DOT = "."
    NUMBER = "number"
    CHARACTER = "character"
    STRING = "string"
    RAW_STRING = "raw string"
    BOOLEAN = "boolean"
    PIPE = "|"
    DECLARE = ":="
    ASSIGN = "="
    OPEN = "("
    CLOSE = ")"
    OTHER = "other"
    END = "EOF"


@frozen
class Token:
    """A piece of a template; ``start`` is its offset."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.start + len(self.text)

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "EOF"
        return self.text if self.kind is Kind.KEYWORD else f'"{self.text}"'


KEYWORDS = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"}
)

_SPACES = " \t\r\n"
_LEFT, _RIGHT = "{{", "}}"
_COMMENT_BEGIN, _COMMENT_END = "/*", "*/"
_AFTER_NAME = frozenset(" \t\r\n.,|:)(")
_NAME = re.compile(r"\w+")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[bB][01_]*|0[oO][0-7_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)"
)
_SINGLE = {"|": Kind.PIPE, "=": Kind.ASSIGN}
_QUOTED = {
    '"': (re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), Kind.STRING, "unterminated quoted string"),
    "'": (re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"), Kind.CHARACTER, "unterminated character constant"),
    "`": (re.compile(r"`[^`]*`"), Kind.RAW_STRING, "unterminated raw quoted string"),
}


def tokens(source: Source) -> Iterator[Token]:
    """The tokens of a template, ending with one of kind ``END``; white space around ``{{-`` is left out.

    :raises TemplateError: at the first thing that is no token, once the iteration gets there.
    """
    return _Lexer(source).run()


@define
class _Lexer:
    _source: Source
    _at: int = 0
    _depth: int = 0
    _action_start: int = 0

    def run(self) -> Iterator[Token]:
        text = self._source.text
        while True:
            left = text.find(_LEFT, self._at)
            end = len(text) if left < 0 else left
            trims = left >= 0 and text[left + 2 : left + 3] == "-" and text[left + 3 : left + 4] in _spaces
            kept = text[self._at : end].rstrip(_SPACES) if trims else text[self._at : end]
            if kept:
                yield Token(Kind.TEXT, kept, self._at)
            if left < 0:
                yield Token(Kind.END, "", len(text))
                return
            self._action_start = left
            self._at = left + (4 if trims else 2)
            if text.startswith(_COMMENT_BEGIN, self._at):
                self._skip_comment()
            else:
                yield Token(Kind.LEFT, _LEFT, left)
                yield from self._action()

    def _skip_comment(self) -> None:
        text = self._source.text
        end = text.find(_COMMENT_END, self._at + len(_COMMENT_BEGIN))
        if end < 0:
            raise self._source.error("unclosed comment", self._action_start)
        self._at = end + len(_COMMENT_END)
        if not self._take_right():
            raise self._source.error("comment ends before closing delimiter", self._at)

    def _take_right(self) -> bool:
        """Goes past ``}}`` or `` -}}``, and past the white space that the latter removes."""
        text = self._source.text
        if text.startswith(_RIGHT, self._at):
            self._at += 2
            return True
        if text[self._at : self._at + 1] in _spaces and text.startswith("-" + _RIGHT, self._at + 1):
            self._at += 4
            while text[self._at : self._at + 1] in _spaces:
                self._at += 1
            return True
        return False

    def _action(self) -> Iterator[Token]:
        text = self._source.text
        self._depth = 0
        while True:
            start = self._at
            if self._take_right():
                if self._depth:
                    raise self._error("unclosed left paren", start)
                yield Token(Kind.RIGHT, _RIGHT, text.index(_RIGHT, start))
                return
            if start == len(text):
                raise self._error("unclosed action", start)
            token = self._space(start) if text[start] in _SPACES else self._token(start, text[start])
            self._at = token.end
            yield token

    def _space(self, start: int) -> Token:
        text = self._source.text
        end = start
        while text[end : end + 1] in _spaces:
            end += 1
        if end - start > 1 and text.startswith("-" + _RIGHT, end):
            end -= 1
        return Token(Kind.SPACE, text[start:end], start)

    def _token(self, start: int, first: str) -> Token:
        text = self._source.text
        following = text[start + 1 : start + 2]
        if first in _QUOTED:
            return self._quoted(start, first)
        if first in _SINGLE:
            return Token(_SINGLE[first], first, start)
        if first == ":":
            if following != "=":
                raise self._error("expected :=", start)
            return Token(Kind.DECLARE, ":=", start)
        if first in "()":
            return self._parenthesis(start, first)
        if first in "$." and not (first == "." and following in _digits):
            return self._path_part(start, first)
        if first in "+-." or first in _digits:
            return self._number(start)
        if first == "_" or first.isalnum():
            return self._identifier(start)
        if first.isascii() and first.isprintable():
            return Token(Kind.OTHER, first, start)
        raise self._error(f"unrecognized character in action: {_describe(first)}", start)

    def _quoted(self, start: int, quote: str) -> Token:
        pattern, kind, complaint = _QUOTED[quote]
        match = pattern.match(self._source.text, start)
        if match is None:
            raise self._error(complaint, start)
        return Token(kind, match[0], start)

    def _parenthesis(self, start: int, character: str) -> Token:
        if character == "(":
            self._depth += 1
            return Token(Kind.OPEN, character, start)
        self._depth -= 1
        if self._depth < 0:
            raise self._error("unexpected right paren", start)
        return Token(Kind.CLOSE, character, start)

    def _path_part(self, start: int, first: str) -> Token:
        """A field or a variable; alone, ``.`` is what the template is about and ``$`` its root."""
        match = _NAME.match(self._source.text, start + 1)
        end = start + 1 if match is None else match.end()
        self._check_terminated(end)
        if first == "$":
            return Token(Kind.VARIABLE, self._source.text[start:end], start)
        return Token(Kind.DOT if match is None else Kind.FIELD, self._source.text[start:end], start)

    def _number(self, start: int) -> Token:
        text = self._source.text
        match = _NUMBER.match(text, start)
        end = start if match is None else match.end()
        if text[end : end + 1].isalnum() or end == start or text[start:end] in "+-":
            raise self._error(f'bad number syntax: "{text[start : max(end, start) + 1]}"', start)
        return Token(Kind.NUMBER, text[start:end], start)

    def _identifier(self, start: int) -> Token:
        match = _NAME.match(self._source.text, start)
        assert match is not None
        self._check_terminated(match.end())
        word = match[0]
        if word in KEYWORDS:
            return Token(Kind.KEYWORD, word, start)
        return Token(Kind.BOOLEAN if word in ("true", "false") else Kind.IDENTIFIER, word, start)

    def _check_terminated(self, end: int) -> None:
        text = self._source.text
        character = text[end : end + 1]
        if character and character not in _AFTER_NAME and not text.startswith(_RIGHT, end):
            raise self._error(f"bad character {_describe(character)}", end)

    def _error(self, reason: str, at: int) -> Exception:
        begun = self._source.line_of(self._action_start)
        if self._source.line_of(at) != begun:
            reason = f"{reason} (the action began on line {begun})"
        return self._source.error(reason, at)


_spaces = frozenset(_SPACES)
"""For slices: the empty text at the end of the source is in no set, but in every text."""

_digits = frozenset("0123456789")


def _describe(character: str) -> str:
    return f"U+{ord(character):04X} '{character}'"
