"""Open files: how many this process may have, and what part of them those may have who need many at once."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

__all__ = ["SEARCHING_PART", "STRANGERS_PART", "descriptor_limit", "for_searching", "for_strangers"]

STRANGERS_PART = 8
"""One in so many open files is the most for connections of one kind on which nobody has said yet what is
wanted: they cost next to nothing, and those who are served need the rest."""

SEARCHING_PART = 4
"""One in so many open files is the most for sockets that search for the port of a peer: they are open for
seconds, and users need the rest."""

_FEWEST = 16
"""So many have room even where hardly any files may be open."""


def descriptor_limit() -> int | None:
    """Files that this process may have open; None where there is no limit."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def for_strangers(most: int) -> int:
    """So many connections of strangers, or fewer where few files may be open."""
    return _part(most, STRANGERS_PART)


def for_searching(most: int) -> int:
    """So many sockets of searches, or fewer where few files may be open."""
    return _part(most, SEARCHING_PART)


def _part(most: int, part: int) -> int:
    limit = descriptor_limit()
    return most if limit is None else min(most, max(_FEWEST, limit // part))
