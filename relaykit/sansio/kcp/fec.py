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
_pack_prefix = _PREFIX.pack
_unpack_prefix = _PREFIX.unpack_from
_SHARD_AT: Final = 6
_SIZE_BYTES: Final = PREFIX_BYTES - _SHARD_AT
_NUMBERS: Final = 0xFFFFFFFF // SHARDS * SHARDS
"""How many numbers there are: whole groups of them."""


def bare(datagram: Buffer) -> Buffer:
    """The segments of a datagram, with or without a prefix; none where it has parity."""
    if len(datagram) < PREFIX_BYTES:
        return b""
    _, kind, size = _unpack_prefix(datagram)
    if kind == _DATA:
        return datagram[PREFIX_BYTES : _SHARD_AT + size]
    return b"" if kind == _PARITY else datagram


class FecSender:
    """Puts prefixes in front of datagrams, and adds parity to groups of which it is told to.

    Numbers go on as if all groups had parity, which keeps the receiver in step.
    """

    __slots__ = ("_has_parity", "_last_at", "_longest", "_number", "_parity")

    def __init__(self) -> None:
        self._number = 0
        self._has_parity = False
        self._parity = [0] * PARITY_SHARDS
        self._longest = 0
        self._last_at = 0.0

    def wrap(self, bodies: Sequence[bytes], parity: bool, now: float) -> Sequence[bytes]:
        """The datagrams with these segments, and parity behind the last one of a group.

        ``parity`` is whether groups that begin should have some.
        """
        datagrams: list[bytes] = []
        for body in bodies:
            number = self._number
            position = number % SHARDS
            datagram = _pack_prefix(number, _DATA, _SIZE_BYTES + len(body)) + body
            datagrams.append(datagram)
            if not position:
                self._has_parity = parity
            if self._has_parity:
                # The prefixes are added, too, and cut off again, which is cheaper than to leave them out.
                add_data(self._parity, position, datagram)
                self._longest = max(self._longest, len(datagram))
            self._number = number + 1
            if position == DATA_SHARDS - 1:
                if self._has_parity and now - self._last_at < PARITY_GAP_S:
                    datagrams += self._parity_datagrams()
                self._begin_group()
            self._last_at = now
        return datagrams

    def _parity_datagrams(self) -> Sequence[bytes]:
        return [
            _pack_prefix(self._number + place, _PARITY, 0)[:_SHARD_AT]
            + shard.to_bytes(self._longest, "little")[_SHARD_AT:]
            for place, shard in enumerate(self._parity)
        ]

    def _begin_group(self) -> None:
        self._number = (self._number + PARITY_SHARDS) % _NUMBERS
        self._parity = [0] * PARITY_SHARDS
        self._longest = 0


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
        number, kind, size = _unpack_prefix(datagram)
        if kind == _DATA:
            end = _SHARD_AT + size
            if not PREFIX_BYTES <= end <= len(datagram):
                return b"", ()
            return datagram[PREFIX_BYTES:end], self._add(number, False, datagram)
        if kind == _PARITY:
            return b"", self._add(number, True, datagram)
        return datagram, ()

    def _add(self, number: int, is_parity: bool, datagram: Buffer) -> Sequence[bytes]:
        """Puts a datagram to its group; the segments that it recovers."""
        groups = self._groups
        base = number // SHARDS
        position = number - base * SHARDS
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
        group[position] = bytes(datagram)
        if len(group) < DATA_SHARDS:
            return ()
        groups[base] = None
        if max(group) < DATA_SHARDS:
            return ()
        lost = recover({place: kept[_SHARD_AT:] for place, kept in group.items()})
        return [segments for each in lost if (segments := _segments_of(each))]


def _segments_of(shard: bytes) -> bytes:
    """The segments of a recovered shard; none where that cannot be one."""
    size = int.from_bytes(shard[:_SIZE_BYTES], "little")
    return shard[_SIZE_BYTES:size] if size <= len(shard) else b""
