"""Markup that is generated for pages; needs nothing of Sphinx, so that it can be tested without."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relaykit.commands.troubles import TROUBLES

__all__ = ["escaped", "trouble_lines"]


def escaped(text: str) -> str:
    """Plain text, in which nothing is markup."""
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def trouble_lines() -> Iterator[str]:
    """The explanations of all messages, in the order of their words."""
    for trouble in sorted(TROUBLES, key=lambda trouble: re.sub(r"\W", "", trouble.says[0]).casefold()):
        yield from (f".. _trouble-{trouble.anchor}:", "", f".. rubric:: {escaped(trouble.says[0])}", "")
        yield from (f"| ``{said}``" for said in trouble.says[1:])
        yield from ("", escaped(trouble.means), "", f"*What to do:* {escaped(trouble.remedy)}", "")
