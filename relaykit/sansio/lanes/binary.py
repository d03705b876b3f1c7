"""relaykit's own format of a lane, for two ends that have both agreed on the extension ``datagrams``.

A frame is the length of what follows in two bytes; a byte that says what it is; for a datagram the user's
address (4 bytes of IPv4, or 16 of IPv6 and 4 of its zone), the port in two bytes, and the payload up to the
end of the frame.  Numbers are most significant byte first.  Kind and address together are the user's key,
so that neither end looks at them datagram by datagram.
"""

from __future__ import annotations

import struct
import zlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.lanes.codec import MOST_DATAGRAM_BYTES, DatagramTooLarge
from relaykit.values import Address

__all__ = ["BinaryCodec"]

_KEEP_ALIVE, _IPV4, _IPV6 = 0, 4, 6
_LENGTH = struct.Struct(">H")
_IPV4_KEY = struct.Struct(">B4sH")
_IPV6_KEY = struct.Struct(">B16sIH")
_KEY_BYTES = {_KEEP_ALIVE: 1, _IPV4: _IPV4_KEY.size, _IPV6: _IPV6_KEY.size}


class BinaryCodec:
    """See :class:`relaykit.sansio.lanes.codec.LaneCodec`; holds one incomplete frame, at most."""

    keep_alive: Final = _LENGTH.pack(1) + bytes([_KEEP_ALIVE])
    is_shared: Final = True

    def __init__(self) -> None:
        self._rest = bytearray()

    def key_of(self, user: Address) -> bytes:
        """The address in bytes.  A zone is a number there; a name's is a checksum of it."""
        parsed = ip_address(user.host)
        if isinstance(parsed, IPv4Address):
            return _IPV4_KEY.pack(_IPV4, parsed.packed, user.port)
        return _IPV6_KEY.pack(_IPV6, parsed.packed, _zone_number(parsed.scope_id or ""), user.port)

    def user_of(self, key: bytes) -> Address:
        if key[0] == _IPV4:
            _, packed, port = _IPV4_KEY.unpack(key)
            return Address(str(IPv4Address(packed)), port)
        _, packed, zone, port = _IPV6_KEY.unpack(key)
        parsed = IPv6Address(packed)
        host = str(parsed.ipv4_mapped or parsed)
        return Address(f"{host}%{zone}" if zone else host, port)

    def encode(self, key: bytes, data: Buffer) -> bytes:
        if len(data) > MOST_DATAGRAM_BYTES:
            raise DatagramTooLarge(f"a datagram has {len(data)} bytes, and {MOST_DATAGRAM_BYTES} at most")
        return b"".join((_LENGTH.pack(len(key) + len(data)), key, data))

    def receive(self, data: Buffer) -> list[tuple[bytes, Buffer]]:
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < 3 or len(rest) < 2 + _length(rest, 0):
                return []
            self._rest = bytearray()
            data = rest
        view = memoryview(data)
        found: list[tuple[bytes, Buffer]] = []
        at, end = 0, len(view)
        while end - at > 2:
            following = at + 2 + _length(view, at)
            if following > end:
                break
            payload_at = at + 2 + _KEY_BYTES[view[at + 2]]
            if view[at + 2] != _KEEP_ALIVE:
                found.append((bytes(view[at + 2 : payload_at]), view[payload_at:following]))
            at = following
        if at < end:
            self._rest = bytearray(view[at:])
        return found


def _length(data: bytearray | memoryview, at: int) -> int:
    """The length of the frame that begins here, of which its kind has arrived."""
    length, kind = data[at] << 8 | data[at + 1], data[at + 2]
    key_bytes = _KEY_BYTES.get(kind)
    if key_bytes is None:
        raise RemoteProtocolError(f"no frame of a lane has the kind {kind}")
    if not key_bytes <= length <= key_bytes + MOST_DATAGRAM_BYTES:
        raise RemoteProtocolError(f"a frame of the kind {kind} cannot have {length} bytes")
    return length


def _zone_number(zone: str) -> int:
    """A number for a zone: it tells users apart, and means nothing on another machine."""
    if zone.isdecimal() and int(zone) < 2**32:
        return int(zone)
    return zlib.crc32(zone.encode())
