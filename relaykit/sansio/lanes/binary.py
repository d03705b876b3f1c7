"""relaykit's own format of a lane, for two ends that have both agreed on the extension ``datagrams``.

A frame is the length of what follows in two bytes; a byte that says what it is; for a datagram the user's
address (4 bytes of IPv4, or 16 of IPv6 and 4 of its zone), the port in two bytes, and the payload up to the
end of the frame.  Numbers are most significant byte first.  Kind and address together are the user's key,
so that neither end looks at them datagram by datagram.  With :data:`GONE` in its kind, a frame has no
payload: the end that sends it has forgotten the user.

Where datagrams go beside the stream each is a frame without its length.
"""

from __future__ import annotations

import struct
import zlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.values import MOST_DATAGRAM_BYTES, Address

__all__ = ["GONE", "BinaryCodec", "WholeFrames", "frame_of", "whole_of"]

GONE: Final = 0x40
"""Added to the kind of a datagram: the user of this address is gone."""

_KEEP_ALIVE, _IPV4, _IPV6 = 0, 4, 6
_LENGTH = struct.Struct(">H")
_BEGINNING = struct.Struct(">HB")
_IPV4_KEY = struct.Struct(">B4sH")
_IPV6_KEY = struct.Struct(">B16sIH")
_KEY_BYTES = [2**16] * 2**8
"""The length of a key by the kind of its frame: one that no frame has, where there is no such kind."""

_KEY_BYTES[_KEEP_ALIVE] = 1
_KEY_BYTES[_IPV4] = _KEY_BYTES[_IPV4 | GONE] = _IPV4_KEY.size
_KEY_BYTES[_IPV6] = _KEY_BYTES[_IPV6 | GONE] = _IPV6_KEY.size


class BinaryCodec:
    """See :class:`relaykit.sansio.lanes.codec.LaneCodec`; holds one incomplete frame, at most."""

    keep_alive: Final = _LENGTH.pack(1) + bytes([_KEEP_ALIVE])
    is_shared: Final = True

    def __init__(self, goes_beside: bool = False) -> None:
        self.goes_beside = goes_beside
        self._rest = bytearray()
        self._wanted = 0

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
        return _LENGTH.pack(len(key) + len(data)) + key + data

    def alone(self, key: Any, data: Buffer) -> bytes:
        """A datagram that carries one of this user's where datagrams are whole: its key, then its payload."""
        whole: bytes = key + data
        return whole

    def taken(self, whole: bytes) -> tuple[bytes, bytes]:
        """The user's key, and the datagram, that :meth:`alone` has put together.

        :raises RemoteProtocolError: nothing that it puts together begins so.
        """
        payload_at = _KEY_BYTES[whole[0]] if whole else 2**16
        if payload_at > len(whole) or whole[0] not in (_IPV4, _IPV6):
            raise RemoteProtocolError("a datagram of a lane belongs to nobody")
        return whole[:payload_at], whole[payload_at:]

    def gone(self, key: bytes) -> bytes:
        return _BEGINNING.pack(len(key), key[0] | GONE) + key[1:]

    def receive(self, data: Buffer) -> list[tuple[bytes, Buffer | None]]:
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return []
            data = rest
        # Slices of bytes take less time than those of a memoryview, although they are copies.
        content = bytes(data)
        found: list[tuple[bytes, Buffer | None]] = []
        beginning, key_bytes = _BEGINNING.unpack_from, _KEY_BYTES
        at, end, wanted = 0, len(content), _BEGINNING.size
        while at + wanted <= end:
            length, kind = beginning(content, at)
            payload_at = at + 2 + key_bytes[kind]
            following = at + 2 + length
            if not payload_at <= following <= payload_at + MOST_DATAGRAM_BYTES:
                raise RemoteProtocolError(f"no frame of a lane has the kind {kind} and {length} bytes")
            if following > end:
                wanted = following - at
                break
            if kind & GONE:
                found.append((bytes([kind ^ GONE]) + content[at + 3 : payload_at], None))
            elif kind != _KEEP_ALIVE:
                found.append((content[at + 2 : payload_at], content[payload_at:following]))
            at = following
        self._rest, self._wanted = bytearray(content[at:]), wanted
        return found


class WholeFrames:
    """A :class:`relaykit.sansio.wire.coders.StreamCoder` whose pieces are frames; holds an incomplete one."""

    def __init__(self) -> None:
        self._rest = b""

    def process(self, data: Buffer) -> list[Buffer]:
        content = self._rest + data
        frames: list[Buffer] = []
        at, end = 0, len(content)
        while at + _BEGINNING.size <= end:
            length, kind = _BEGINNING.unpack_from(content, at)
            if not _KEY_BYTES[kind] <= length <= _KEY_BYTES[kind] + MOST_DATAGRAM_BYTES:
                raise RemoteProtocolError(f"no frame of a lane has the kind {kind} and {length} bytes")
            following = at + _LENGTH.size + length
            if following > end:
                break
            frames.append(content[at:following])
            at = following
        self._rest = content[at:]
        return frames


def whole_of(frame: Buffer) -> bytes | None:
    """What carries a frame where datagrams are whole; None for one that has none."""
    return bytes(frame[_LENGTH.size :]) if frame[_LENGTH.size] in (_IPV4, _IPV6) else None


def frame_of(whole: bytes) -> bytes:
    """The frame of what arrived as a datagram.

    :raises RemoteProtocolError: it is none of a lane.
    """
    if not whole or whole[0] not in (_IPV4, _IPV6) or len(whole) < _KEY_BYTES[whole[0]]:
        raise RemoteProtocolError("a datagram of a lane belongs to nobody")
    return _LENGTH.pack(len(whole)) + whole


def _zone_number(zone: str) -> int:
    """A number for a zone: it tells users apart, and means nothing on another machine."""
    if zone.isdecimal() and int(zone) < 2**32:
        return int(zone)
    return zlib.crc32(zone.encode())
