"""The 24-byte header of a KCP segment.

A datagram holds one segment or more, back to back.  All fields are little-endian; sequence numbers and
milliseconds wrap at 2^32, and are compared by how far one is ahead of the other.

Source: https://github.com/skywind3000/kcp, ikcp.c (ikcp_encode_seg, ikcp_input).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = [
    "ACK",
    "ASK",
    "HEADER_BYTES",
    "MOST_DATAGRAM_BYTES",
    "NUMBERS",
    "PUSH",
    "TELL",
    "Segment",
    "ahead",
    "opening_conversation",
    "pack_header",
    "read_segments",
]

HEADER_BYTES: Final = 24

MOST_DATAGRAM_BYTES: Final = 1500
"""Bytes of a datagram above which it is ignored: nobody sends more, and frp's receivers cut it off there.  It
also bounds what a segment can hold.  Source: kcp-go, sess.go (mtuLimit)."""

PUSH: Final = 81
"""Command: data follows; the stamp is the sender's clock."""
ACK: Final = 82
"""Command: the push of this number has arrived; the stamp is that of the push."""
ASK: Final = 83
"""Command: how large is your receive window?"""
TELL: Final = 84
"""Command: nothing but the receive window, which every segment has."""

NUMBERS: Final = 1 << 32
"""How many sequence numbers there are, and stamps."""

_HALF: Final = NUMBERS >> 1
_HEADER = struct.Struct("<IBBHIIII")

pack_header = _HEADER.pack
"""``(conversation, command, fragment, window, stamp, number, expected, length)`` to 24 bytes.

The window is in segments.  ``expected`` is the next number that the sender of the segment waits for: all
before have arrived.  The fragment is always 0 in a stream.
"""

_unpack_header = _HEADER.unpack_from

Segment: TypeAlias = "tuple[int, int, int, int, int, Buffer]"
"""``(command, window, stamp, number, expected, data)``; the data is lent, and empty but for a push."""


def ahead(number: int, of: int) -> int:
    """How far a number is ahead of another one; negative where it is behind."""
    distance = (number - of) % NUMBERS
    return distance if distance < _HALF else distance - NUMBERS


def read_segments(data: Buffer, conversation: int) -> Sequence[Segment]:
    """The segments of this conversation at the beginning of a datagram, up to what makes no sense."""
    found: list[Segment] = []
    at, end = 0, len(data)
    while end - at >= HEADER_BYTES:
        named, command, _, window, stamp, number, expected, size = _unpack_header(data, at)
        at += HEADER_BYTES
        if named != conversation or size > end - at or not PUSH <= command <= TELL:
            break
        found.append((command, window, stamp, number, expected, data[at : at + size]))
        at += size
    return found


def opening_conversation(data: Buffer) -> int | None:
    """The conversation that a datagram, without its FEC prefix, opens: by the first push; else None."""
    if len(data) < HEADER_BYTES:
        return None
    conversation: int = _unpack_header(data, 0)[0]
    for command, _, _, number, _, _ in read_segments(data, conversation):
        if command == PUSH and number == 0:
            return conversation
    return None
