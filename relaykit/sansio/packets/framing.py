"""Packets on a stream, as frp's virtual network has them: the length, little endian, and the packet.

Source: frp, pkg/vnet/message.go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from relaykit.errors import RemoteProtocolError

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["LONGEST_FRAME", "MOST_PACKET_BYTES", "PacketReader", "framed"]

LONGEST_FRAME: Final = 1024 * 1024
"""Bytes that a frame may have; frp's figure."""

MOST_PACKET_BYTES: Final = 40 + 65_535
"""Bytes of the longest packet of IP.  What is longer is none, and is skipped rather than kept."""

_LENGTH = struct.Struct("<I")


class PacketReader:
    """Takes the packets out of a stream.  It keeps what was fed and not taken, and at most one packet's part.

    Feed nothing more before :attr:`has_input` is false: who serves many takes a portion of a turn.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._skip = 0
        self.skipped = 0
        """Frames that are too long to be packets."""
        self.has_input = False
        """Whether there may be a whole packet left to take."""

    def receive(self, data: Buffer) -> None:
        """Feeds bytes of the peer, in any portions."""
        if self._at:
            del self._data[: self._at]
            self._at = 0
        self._data += data
        self.has_input = True

    def take(self, most: int) -> list[bytearray]:
        """Takes the next packets, at most so many.

        :raises RemoteProtocolError: a length is 0, or more than :data:`LONGEST_FRAME`.
        """
        data, at, end = self._data, self._at, len(self._data)
        found: list[bytearray] = []
        while len(found) < most:
            if self._skip:
                skipped = min(self._skip, end - at)
                at += skipped
                self._skip -= skipped
            begin = at + _LENGTH.size
            if begin > end:
                self.has_input = False
                break
            (size,) = _LENGTH.unpack_from(data, at)
            if size > MOST_PACKET_BYTES and size <= LONGEST_FRAME:
                self._skip, at = size, begin
                self.skipped += 1
                continue
            if not 0 < size <= LONGEST_FRAME:
                raise RemoteProtocolError(f"a packet of {size} bytes on a stream of the virtual network")
            following = begin + size
            if following > end:
                self.has_input = False
                break
            found.append(data[begin:following])
            at = following
        self._at = at
        return found


def framed(packets: Iterable[bytes]) -> bytes:
    """Packets as they go out on a stream."""
    pack = _LENGTH.pack
    return b"".join([part for packet in packets for part in (pack(len(packet)), packet)])
