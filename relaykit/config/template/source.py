"""The text of a template, and errors that say where in it something is wrong."""

from __future__ import annotations

import bisect

from attrs import define, field, frozen

from relaykit.errors import ConfigurationError

__all__ = ["Missing", "Source", "TemplateError"]


class TemplateError(ConfigurationError):
    """A template cannot be read or carried out.

    ``line`` and ``column`` count from 1; columns count bytes of UTF-8, as editors of Go and frp do.
    ``expression`` is the part of the template that could not be evaluated, or empty.
    """

    def __init__(self, reason: str, line: int, column: int, expression: str = "") -> None:
        at = f" in {expression}" if expression else ""
        super().__init__(f"line {line}, column {column}: {reason}{at}")
        self.reason = reason
        self.line = line
        self.column = column
        self.expression = expression


@frozen
class Missing:
    """An expression on a line, from 1, that had no value, or an empty one, and what was written for it.

    ``at`` is where that is in what the template wrote.
    """

    expression: str
    line: int
    written: str
    at: int

    def __str__(self) -> str:
        return f"{{{{ {self.expression} }}}} has no value"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f'set the variable, or write {{{{ or {self.expression} "..." }}}}'


@define
class Source:
    """A template's text, with the lines that its offsets are on."""

    text: str
    _line_starts: list[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        self._line_starts = starts

    def line_of(self, at: int) -> int:
        """The number of the line that an offset is on, from 1."""
        return bisect.bisect_right(self._line_starts, at)

    def error(self, reason: str, start: int, end: int | None = None) -> TemplateError:
        """An error about the expression between two offsets, or about one place."""
        line = self.line_of(start)
        before = self.text[self._line_starts[line - 1] : start]
        column = len(before.encode("utf-8", "surrogateescape")) + 1
        return TemplateError(reason, line, column, "" if end is None else self.text[start:end].strip())
