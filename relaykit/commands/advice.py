"""What the messages of relaykit mean, and what to do about each.

One table serves the commands, which say it beside the message, and the page of the documentation that
explains every message.  An entry is found by the words of the message that never change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["TROUBLES", "Trouble", "explained", "trouble_of"]


@frozen(kw_only=True)
class Trouble:
    """One kind of trouble.

    :ivar anchor: names its place in the documentation.
    :ivar says: regular expressions; a message of this trouble has one of them in it.
    :ivar means: what happened, in one or two sentences.
    :ivar remedy: what to do about it.
    """

    anchor: str
    says: tuple[str, ...] = field(converter=tuple)
    means: str
    remedy: str

    def is_meant_by(self, text: str) -> bool:
        """Whether a message is of this trouble."""
        return any(re.search(each, text) for each in self.says)


def trouble_of(text: str) -> Trouble | None:
    """The trouble that a message is about: the first that it fits; None for what nobody has explained."""
    return next((each for each in TROUBLES if each.is_meant_by(text)), None)


def explained(text: str) -> str:
    """A message with what it means and what to do, each on a line of its own."""
    trouble = trouble_of(text)
    return text if trouble is None else f"{text}\n  {trouble.means}\n  {trouble.remedy}"


TROUBLES: Sequence[Trouble] = ()
