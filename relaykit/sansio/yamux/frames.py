"""The 12-byte header of a yamux frame.

A header is three big-endian words: ``type_flags`` (version, type and flags), the stream's number, and
a value whose meaning depends on the type.  Only version 0 exists, so it is written here as
``type | flags``, and that of a plain DATA frame is zero.

Source: https://github.com/hashicorp/yamux/blob/master/spec.md
"""

from __future__ import annotations

import enum
import struct
from typing import Final

__all__ = [
    "ACK",
    "DATA",
    "FIN",
    "FLAGS",
    "GO_AWAY",
    "HEADER_BYTES",
    "LAST_TYPE_FLAGS",
    "PING",
    "RST",
    "SYN",
    "WINDOW_UPDATE",
    "GoAwayCode",
    "pack_header",
    "unpack_header",
]

HEADER_BYTES: Final = 12

DATA: Final = 0x0_0000
"""Type: value bytes of payload follow."""
WINDOW_UPDATE: Final = 0x1_0000
"""Type: the other side may send value more bytes; also carries flags that come alone."""
PING: Final = 0x2_0000
"""Type, stream 0: SYN asks, ACK answers with the same value."""
GO_AWAY: Final = 0x3_0000
"""Type, stream 0: the value is a :class:`GoAwayCode`."""

SYN: Final = 1
"""Flag: opens the stream."""
ACK: Final = 2
"""Flag: the stream is accepted."""
FIN: Final = 4
"""Flag: the sender will send no more payload."""
RST: Final = 8
"""Flag: the stream is dropped, both directions."""

FLAGS: Final = 0xFFFF
"""The part of ``type_flags`` that holds flags."""
LAST_TYPE_FLAGS: Final = 0x3_FFFF
"""A ``type_flags`` above this has an unknown version or type."""


class GoAwayCode(enum.IntEnum):
    """Why the session ends."""

    NORMAL = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


_HEADER = struct.Struct(">III")

# The bound methods themselves: a function around them would double the price of a frame.
pack_header = _HEADER.pack
"""``(type_flags, stream, value)`` to 12 bytes."""
unpack_header = _HEADER.unpack_from
"""``(buffer, offset)`` to ``(type_flags, stream, value)``."""
