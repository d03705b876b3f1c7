"""Markup that is generated for pages; needs nothing of Sphinx, so that it can be tested without."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from docs._ext.messages import messages
from relaykit.errors import REFUSALS
from relaykit.known_problems.table import KNOWN_PROBLEMS

__all__ = ["escaped", "heading", "list_table", "problem_lines"]


def escaped(text: str) -> str:
    """Plain text, in which nothing is markup."""
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def heading(title: str, label: str = "") -> Iterator[str]:
    """The heading of a section, in plain text, and the anchor before it, if it has one."""
    if label:
        yield from (f".. _{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')}:", "")
    yield from ("", escaped(title), "-" * len(escaped(title)), "")


def list_table(heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """A table with these heads; ``widths`` are parts of the page.  Cells may have several lines."""
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", "")
    for row in (heads, *rows):
        for number, cell in enumerate(row):
            lines = cell.split("\n")
            yield ("   * - " if number == 0 else "     - ") + lines[0]
            yield from (f"       {line}" for line in lines[1:])
    yield ""


def problem_lines() -> Iterator[str]:
    """Every known problem by its title, with the messages that carry it."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    for message in messages():
        said[message.problem].add(message.text.replace("... ...", "...").removeprefix("[...] "))
    for part, problem in REFUSALS:
        if not any(part in text for text in said[problem]):
            said[problem].add(part.removeprefix("] "))
    for id_, known in sorted(KNOWN_PROBLEMS.items(), key=lambda item: item[1].title.casefold()):
        yield from heading(known.title, f"problem-{id_}")
        yield from (f"| ``{' '.join(text.split())}``" for text in sorted(said[id_]))
        yield from ("", escaped(known.cause), "", f"*What to do:* {escaped(known.remedy)}", "")
