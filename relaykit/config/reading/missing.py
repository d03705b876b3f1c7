"""Finds the values of a file that a template made of nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from relaykit.config.template.rendering import Rendered
from relaykit.config.template.source import Missing
from relaykit.config.text.documents import Document, FormatError, KeyPath, fold, walk

__all__ = ["missing_values"]

_MARK = "\ufdd0"
"""Begins and ends a mark.  Unicode has no such letter, and never will; all formats take it in texts."""

_MARKED = re.compile(f"{_MARK}([0-9]+){_MARK}")


def missing_values(rendered: Rendered, parse: Callable[[str], Document]) -> dict[KeyPath, Missing]:
    """The texts in a document that have something in them that had no value, by path in lower case.

    ``parse`` is what made the document of the rendered text.
    """
    return dict(_found(rendered, rendered.missing, parse))


def _found(
    rendered: Rendered, which: Sequence[Missing], parse: Callable[[str], Document]
) -> Iterator[tuple[KeyPath, Missing]]:
    if not which:
        return
    try:
        document = parse(rendered.marked({each: f"{_MARK}{at}{_MARK}" for at, each in enumerate(which)}))
    except FormatError:
        # A mark is where no text is, such as beside a number: the others are looked for without it.
        if len(which) > 1:
            half = len(which) // 2
            yield from _found(rendered, which[:half], parse)
            yield from _found(rendered, which[half:], parse)
        return
    for path, value in walk((), document.value):
        if isinstance(value, str) and (mark := _MARKED.search(value)):
            yield fold(path), which[int(mark[1])]
