"""What may have been meant by a key that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]

_CUTOFF = 0.7
"""Least similarity, from 0 to 1: lets two letters of eight be wrong."""


def nearest(key: str, known: Iterable[str]) -> str:
    """The known key that is most like this one, or an empty text; case and underscores do not matter."""
    plain = {_plain(each): each for each in known}
    matches = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=_CUTOFF)
    return plain[matches[0]] if matches else ""


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()
