"""Tells by its first bytes who takes a stream, where several share a port."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from typing import Generic, Self, TypeVar

from attrs import frozen

from relaykit.sansio.contract import Recognizer

__all__ = ["Opening", "Rank", "RecognizerTable"]

TakerT = TypeVar("TakerT")


class Rank(enum.IntEnum):
    """Who is asked before whom: the more a recognizer knows, the earlier."""

    FIXED = 0
    """A text of its own that nobody else can mean."""
    NAME = 1
    """Some names within a protocol in which somebody else may have all others."""
    SHARED = 2
    """A protocol of many, for which somebody shares the port: told by more than its first byte."""
    LAYER = 3
    """A protocol in which another one is found, such as TLS."""
    STRANGER = 4
    """Known, and for nobody here."""


class Opening:
    """Recognizes streams that begin with one of these texts."""

    __slots__ = ("_texts", "limit")

    def __init__(self, *texts: bytes) -> None:
        self._texts = texts
        self.limit = max(map(len, texts))

    def __repr__(self) -> str:
        return f"Opening{self._texts!r}"

    def recognizes(self, data: bytes) -> bool | None:
        """Whether it begins so; None while it may still."""
        if data.startswith(self._texts):
            return True
        return None if any(text.startswith(data) for text in self._texts) else False


@frozen
class _Entry(Generic[TakerT]):
    recognizer: Recognizer
    taker: TakerT
    rank: Rank


class RecognizerTable(Generic[TakerT]):
    """Recognizers and who takes what each of them recognizes; a :class:`PrefixParser` over all of them.

    The first one by rank, then in the order of being added, that says yes takes the stream, once all
    before it have said no.  The parser's answer is its taker, or None when all said no; every byte stays
    for who reads next.
    """

    def __init__(self, entries: Iterable[_Entry[TakerT]] = ()) -> None:
        self._entries = list(entries)

    def add(self, recognizer: Recognizer, taker: TakerT, rank: Rank = Rank.FIXED) -> None:
        """Gives what this recognizes to this taker."""
        self._entries.append(_Entry(recognizer, taker, rank))
        self._entries.sort(key=lambda entry: entry.rank)

    def remove(self, recognizer: Recognizer) -> None:
        """Gives what this recognizes to nobody any more."""
        self._entries = [entry for entry in self._entries if entry.recognizer is not recognizer]

    def without(self, takers: Collection[TakerT]) -> Self:
        """The same table for a stream that these have taken already, and answered what is within it."""
        return type(self)(entry for entry in self._entries if entry.taker not in takers)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def limit(self) -> int:
        """Most bytes that any of them needs; at least 1."""
        return max((entry.recognizer.limit for entry in self._entries), default=1)

    def feed(self, data: bytes) -> tuple[TakerT | None, int] | None:
        """Who takes what begins like this; None for "need more"."""
        for entry in self._entries:
            found = entry.recognizer.recognizes(data)
            if found:
                return entry.taker, 0
            if found is None and len(data) < entry.recognizer.limit:
                return None
        return None, 0
