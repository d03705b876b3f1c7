"""Texts of others made fit to be seen: they say nothing to a terminal, forge no line, and fill no log.

Whoever writes what a peer sent, wherever it goes, uses one of these functions.
"""

from __future__ import annotations

import re

__all__ = ["MOST_SHOWN", "MOST_TOLD", "masked_endpoint", "printable", "printable_lines", "shown", "told"]

MOST_SHOWN = 64
"""Characters of one value of a stranger's that are shown, in the log and in answers: it tells which one was
meant, and what is in use is shorter by far."""

MOST_TOLD = 1024
"""Characters of a whole text of a peer's, such as why it refuses something: those of both ends have some two
hundred at most."""

_CUT = "..."
_LAID_OUT = ("\n", "\t")
_PIECES = re.compile(r"[\n\t]|[^\n\t]+")
_SECRET_ARGUMENT = re.compile(
    r"(?i)(?P<name>:[^:=\\]*(?:passw|passphrase|secret|token|headers\.set)[^:=\\]*=)"
    r"(?P<value>(?:\\.|[^:\\])*)",
    re.DOTALL,
)
"""An argument of an endpoint string, by its name; colons and backslashes of its value are quoted."""


def printable(text: str) -> str:
    """The text with control characters, line ends included, written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def printable_lines(text: str) -> str:
    """The same for a text of our own, whose line ends and tabs are meant."""
    return "".join(piece if piece in _LAID_OUT else printable(piece) for piece in _PIECES.findall(text))


def shown(value: str, most: int = MOST_SHOWN) -> str:
    """A value of a stranger's, escaped and cut to so many characters; an escape counts as it is written."""
    escaped = printable(value[: most + 1])
    return escaped if len(escaped) <= most else f"{escaped[: most - len(_CUT)]}{_CUT}"


def told(text: str) -> str:
    """What a peer says in words, as one line of :data:`MOST_TOLD` characters at most."""
    return shown(text, MOST_TOLD)


def masked_endpoint(endpoint: str) -> str:
    """An endpoint string, with the values hidden of arguments that are named as secrets, or set headers."""
    return _SECRET_ARGUMENT.sub(r"\g<name><secret>", endpoint)
