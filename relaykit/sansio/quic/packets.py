"""Whose a datagram is, and what a client's first one says: as much as there is to see without any key.

Source: RFC 8999 (what all versions share), RFC 9000 14.1, 17.2 and 19.15, RFC 9369 3.2 (version 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["SMALLEST_OPENING_BYTES", "Opening", "destination_of", "read_opening"]

SMALLEST_OPENING_BYTES: Final = 1200
"""What a datagram has at least that may open a connection: an answer is never three times as long."""

_LONG: Final = 0xC0
"""Bits of the first byte: a long header, of the versions that are known here."""

_INITIAL: Final = {0x00000001: 0x00, 0x6B3343CF: 0x10}
"""Bits of the type of a packet that opens a connection, by version."""

_TYPE: Final = 0x30
_SMALLEST_ID_BYTES: Final = 8
"""Of the connection id that a client makes up for the server."""

_MOST_ID_BYTES: Final = 20


@frozen
class Opening:
    """The head of a datagram that may be a client's first.

    :ivar destination: the connection id that the client made up, or that it was given by a Retry packet.
    :ivar source: the client's own; frp's has no bytes.
    :ivar is_initial: whether it opens a connection of a version that is known; else it only names one.
    :ivar token: what it got by a Retry packet before.
    """

    version: int
    destination: bytes
    source: bytes
    is_initial: bool
    token: bytes


def destination_of(data: Buffer, short_id_bytes: int) -> bytes:
    """The connection id that a datagram is for, in short headers of so many bytes; empty if it has none."""
    if len(data) < 7:
        return b""
    if not data[0] & 0x80:
        return bytes(data[1 : 1 + short_id_bytes])
    return bytes(data[6 : 6 + data[5]])


def read_opening(data: Buffer) -> Opening | None:
    """What a datagram says that may be a client's first; None where it can be none."""
    if len(data) < SMALLEST_OPENING_BYTES or data[0] & _LONG != _LONG:
        return None
    version = int.from_bytes(data[1:5], "big")
    size = data[5]
    destination = bytes(data[6 : 6 + size])
    at = 6 + size
    source = bytes(data[at + 1 : at + 1 + data[at]])
    at += 1 + len(source)
    if not version or not _SMALLEST_ID_BYTES <= size <= _MOST_ID_BYTES or len(source) > _MOST_ID_BYTES:
        return None
    initial = _INITIAL.get(version)
    if initial is None:
        return Opening(version, destination, source, False, b"")
    if data[0] & _TYPE != initial:
        return None
    return Opening(version, destination, source, True, _read_token(data, at))


def _read_token(data: Buffer, at: int) -> bytes:
    """The token, whose length of 1, 2, 4 or 8 bytes comes first; empty where it is not all there."""
    width = 1 << (data[at] >> 6)
    size = int.from_bytes(data[at : at + width], "big") & ((1 << (8 * width - 2)) - 1)
    at += width
    return bytes(data[at : at + size]) if size <= len(data) - at else b""
