"""What is counted, and whose it is."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["NOTHING", "WHOLE", "Amount", "Columns", "Subject", "SubjectKind"]


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
class Amount:
    """Bytes from users to the client, those the other way, and connections that began."""

    bytes_in: int
    bytes_out: int
    connections: int

    def __bool__(self) -> bool:
        return bool(self.bytes_in or self.bytes_out or self.connections)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
            self.connections + other.connections,
        )

    def since(self, before: Amount) -> Amount:
        """What has come to it since it was another one.

        Who begins anew, as a proxy under another type, has moved all of it.
        """
        if (
            self.bytes_in < before.bytes_in
            or self.bytes_out < before.bytes_out
            or self.connections < before.connections
        ):
            return self
        return Amount(
            self.bytes_in - before.bytes_in,
            self.bytes_out - before.bytes_out,
            self.connections - before.connections,
        )


NOTHING = Amount(0, 0, 0)


@frozen
class Columns:
    """Amounts of one minute, hour or day after the other, each kind of number by itself."""

    bytes_in: Sequence[int]
    bytes_out: Sequence[int]
    connections: Sequence[int]
