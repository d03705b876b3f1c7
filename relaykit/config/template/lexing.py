"""From a template's text to tokens."""

from __future__ import annotations

import enum
import re

from attrs import frozen

from relaykit.config.template.source import Source

__all__ = ["Kind", "Token", "tokens"]


class Kind(enum.Enum):
    """What a token is; most values are groups of the pattern of tokens."""

    TEXT = "text"
    LEFT = "left"
    RIGHT = "right"
    STRING = "string"
    NUMBER = "number"
    FIELD = "field"
    VARIABLE = "variable"
    CLOSE = "close"
    NAME = "name"
    MARK = "mark"
    END = "end"


@frozen
class Token:
    """A piece of a template; ``start`` is its offset.

    Fields are with what they are looked up in: ``.Envs.HOME``, ``$v.First``, ``).First``.
    """

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.start + len(self.text)


_SPACES = " \t\r\n"
_LEFT = re.compile(r"\{\{(?P<trims>-[ \t\r\n])?")
_RIGHT = r"(?:[ \t\r\n]-\}\}[ \t\r\n]*|\}\})"
_COMMENT = re.compile(rf"/\*(?:(?!\*/).)*\*/{_RIGHT}", re.DOTALL)
_TOKEN = re.compile(
    rf"(?P<right>{_RIGHT})"
    r"|(?P<space>(?:[ \t\r\n](?!-\}\}))+)"
    r'|(?P<string>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)'
    r"|(?P<number>[+-]?[0-9][0-9A-Za-z_.]*)"
    r"|(?P<field>(?:\.\w+)+)"
    r"|(?P<variable>\$\w*(?:\.\w+)*)"
    r"|(?P<close>\)(?:\.\w+)*)"
    r"|(?P<name>\w+)"
    r"|(?P<mark>:=|(?<=[ \t\r\n])=|[|(,.])"
)


def tokens(source: Source) -> list[Token]:
    """The tokens of a template, ending with one of kind ``END``.

    White space in actions, comments, and what ``{{-`` and ``-}}`` remove are left out.

    :raises TemplateError: at the first thing that is no token.
    """
    text, at = source.text, 0
    found: list[Token] = []
    while (left := _LEFT.search(text, at)) is not None:
        kept = text[at : left.start()]
        kept = kept.rstrip(_SPACES) if left["trims"] else kept
        found.append(Token(Kind.TEXT, kept, at))
        if text.startswith("/*", left.end()):
            comment = _COMMENT.match(text, left.end())
            if comment is None:
                raise source.error("a comment must end with */}}", left.start())
            at = comment.end()
        else:
            found.append(Token(Kind.LEFT, left[0], left.start()))
            at = _action(source, left.end(), found)
    return [*found, Token(Kind.TEXT, text[at:], at), Token(Kind.END, "", len(text))]


def _action(source: Source, at: int, found: list[Token]) -> int:
    """Adds the tokens of one action; the offset after it."""
    while True:
        match = _TOKEN.match(source.text, at)
        if match is None:
            raise source.error(_what_is_wrong(source.text[at : at + 1]), at)
        at = match.end()
        if match.lastgroup != "space":
            found.append(Token(Kind(match.lastgroup), match[0], match.start()))
        if match.lastgroup == "right":
            return at


def _what_is_wrong(character: str) -> str:
    if not character:
        return "unclosed action"
    if character in ('"', "`"):
        return "unterminated quoted string"
    return f"bad character U+{ord(character):04X} {character!r}"
