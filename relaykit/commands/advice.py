"""What the messages of relaykit mean, and what to do about each.

Commands say it beside a message; :mod:`relaykit.commands.troubles` is the table, from which the page of
the documentation is made, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

__all__ = ["Trouble", "explained", "find_trouble", "trouble_of"]


@frozen(kw_only=True)
class Trouble:
    """One kind of trouble.

    :ivar anchor: names its place in the documentation.
    :ivar says: what messages of this trouble have in them; ``...`` stands for what differs.
    :ivar means: what happened, in a sentence or two.
    :ivar remedy: what to do about it.
    """

    anchor: str
    says: tuple[str, ...]
    means: str
    remedy: str

    def is_meant_by(self, text: str) -> bool:
        """Whether a message is of this trouble."""
        return any(_pattern(each).search(text) for each in self.says)


def find_trouble(troubles: Sequence[Trouble], text: str) -> Trouble | None:
    """The trouble that a message is about: the first that it fits; None for what nobody has explained."""
    return next((each for each in troubles if each.is_meant_by(text)), None)


def trouble_of(text: str) -> Trouble | None:
    """The same, of all troubles that relaykit knows."""
    from relaykit.commands.troubles import TROUBLES  # only where something went wrong

    return find_trouble(TROUBLES, text)


def explained(text: str) -> str:
    """A message with what it means and what to do, each on a line of its own."""
    trouble = trouble_of(text)
    return text if trouble is None else f"{text}\n  {trouble.means}\n  {trouble.remedy}"


def _pattern(said: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, said.split("..."))), re.DOTALL)
