"""FEC: the eight bytes in front of a datagram, and parity that makes up for lost ones.

Thirteen datagrams are a group, numbered in a row: ten of data, then three of parity.  A datagram without the
prefix is told by its fifth and sixth byte, which no segment can have.

Source: https://github.com/xtaci/kcp-go, fec.go, and sess.go (kcpInput).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from relaykit.sansio.kcp.reed_solomon import DATA_SHARDS, PARITY_SHARDS, SHARDS, add_data, recover

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["PREFIX_BYTES", "FecReceiver", "FecSender", "bare"]

PREFIX_BYTES: Final = 8
"""Number, kind and size of a datagram with data; with parity there is no size."""

PARITY_GAP_S: Final = 0.5
"""Pause between datagrams of a group after which its parity is not worth sending: what was lost has been
sent again.  Source: kcp-go, fec.go (encode)."""

KEPT_GROUPS: Final = 4
"""Groups of the peer that are waited for at a time, 60 KB at most: as much reordering as is made up for."""

_DATA: Final = 0xF1
_PARITY: Final = 0xF2

_PREFIX = struct.Struct("<IHH")
_SHARD_AT: Final = 6
_SIZE_BYTES: Final = PREFIX_BYTES - _SHARD_AT
_NUMBERS: Final = 0xFFFFFFFF // SHARDS * SHARDS
"""How many numbers there are: whole groups of them."""


def bare(datagram: Buffer) -> Buffer:
    """The segments of a datagram, with or without a prefix; none where it has parity."""
    if len(datagram) < PREFIX_BYTES:
        return b""
    _, kind, size = _PREFIX.unpack_from(datagram)
    if kind == _DATA:
        return datagram[PREFIX_BYTES : _SHARD_AT + size]
    return b"" if kind == _PARITY else datagram


class FecSender:
    """Puts prefixes in front of datagrams, and adds parity to groups of which it is told to.

    Numbers go on as if all groups had parity, which keeps the receiver in step.
    """

    __slots__ = ("_has_parity", "_last_at", "_longest", "_number", "_parity", "_position")

    def __init__(self) -> None:
        self._number = 0
        self._position = 0
        self._has_parity = False
        self._parity = [0] * PARITY_SHARDS
        self._longest = 0
        self._last_at = 0.0

    def wrap(self, segments: Sequence[Buffer], parity: bool, now: float) -> Sequence[bytes]:
        """The datagram with these segments, and parity behind the last one of a group.

        ``parity`` is whether the group should have some; what counts is the word at its first datagram.
        """
        size = _SIZE_BYTES + sum(map(len, segments))
        datagram = b"".join((_PREFIX.pack(self._number, _DATA, size), *segments))
        if not self._position:
            self._has_parity = parity
        if self._has_parity:
            # The prefixes are added, too, and cut off again, which is cheaper than to leave them out.
            add_data(self._parity, self._position, datagram)
            self._longest = max(self._longest, len(datagram))
        self._number += 1
        self._position += 1
        is_prompt = now - self._last_at < PARITY_GAP_S
        self._last_at = now
        if self._position < DATA_SHARDS:
            return (datagram,)
        found = self._parity_datagrams() if self._has_parity and is_prompt else ()
        self._begin_group()
        return (datagram, *found)

    def _parity_datagrams(self) -> Sequence[bytes]:
        return [
            _PREFIX.pack(self._number + place, _PARITY, 0)[:_SHARD_AT]
            + shard.to_bytes(self._longest, "little")[_SHARD_AT:]
            for place, shard in enumerate(self._parity)
        ]

    def _begin_group(self) -> None:
        self._number = (self._number + PARITY_SHARDS) % _NUMBERS
        self._parity = [0] * PARITY_SHARDS
        self._position = self._longest = 0


class FecReceiver:
    """Takes prefixes off, and recovers what is lost.

    A peer whose groups are out of step, as frp's are once it has left out parity, gets nothing recovered.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[int, dict[int, bytes] | None] = {}

    def receive(self, datagram: Buffer) -> tuple[Buffer, Sequence[bytes]]:
        """The segments of a datagram, none where it has parity; and those of others that it recovers."""
        if len(datagram) < PREFIX_BYTES:
            return b"", ()
        number, kind, size = _PREFIX.unpack_from(datagram)
        if kind == _DATA:
            if not _SIZE_BYTES <= size <= len(datagram) - _SHARD_AT:
                return b"", ()
            end = _SHARD_AT + size
            recovered = self._add(number, False, bytes(datagram[_SHARD_AT:end]))
            return datagram[PREFIX_BYTES:end], recovered
        if kind == _PARITY:
            return b"", self._add(number, True, bytes(datagram[_SHARD_AT:]))
        return datagram, ()

    def _add(self, number: int, is_parity: bool, shard: bytes) -> Sequence[bytes]:
        """Puts a shard to its group; the segments that it recovers."""
        groups = self._groups
        base, position = divmod(number, SHARDS)
        if base not in groups:
            if len(groups) == KEPT_GROUPS:
                del groups[next(iter(groups))]
            groups[base] = {}
        group = groups[base]
        if group is None or position in group:
            return ()
        if is_parity != (position >= DATA_SHARDS):
            groups[base] = None
            return ()
        group[position] = shard
        if len(group) < DATA_SHARDS:
            return ()
        groups[base] = None
        return [each for lost in recover(group) if (each := _segments_of(lost))]


def _segments_of(shard: bytes) -> bytes:
    """The segments of a recovered shard; none where that cannot be one."""
    size = int.from_bytes(shard[:_SIZE_BYTES], "little")
    return shard[_SIZE_BYTES:size] if size <= len(shard) else b""
