"""Whose something is that is counted, and many counts in a row."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["WHOLE", "Columns", "Subject", "SubjectKind"]


class SubjectKind(enum.IntEnum):
    """What kind of thing something is told of; the numbers are those of files."""

    WHOLE = 0
    """All of a program."""
    CLIENT = 1
    PROXY = 2


@frozen
class Subject:
    """What something is told of.

    :ivar name: of a proxy, or the key of a client; empty for the whole.
    :ivar owner: whose it is, where names have to be forgotten: those of one owner make room for each other
        first.
    """

    kind: SubjectKind
    name: str = ""
    owner: str = field(default="", eq=False)


WHOLE = Subject(SubjectKind.WHOLE)
"""All of a program."""


@frozen
class Columns:
    """Amounts of one minute, hour or day after the other, each kind of number by itself."""

    bytes_in: Sequence[int]
    bytes_out: Sequence[int]
    connections: Sequence[int]
