"""frp's format of a lane: a message for each datagram, in either version of the wire.

Both ends write ``{"c":"...","r":{"IP":"...","Port":1,"Zone":""}}``, the address of a user each time the same.
So of the messages of a user who is known only the content is decoded; all others are read field by field.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

import msgspec

from relaykit.sansio.contract import Buffer
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.sansio.lanes.messages import LANE_MESSAGES, UDPAddress, UDPPacket
from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.framing import Framing, MessageTooLong, Received
from relaykit.sansio.wire.messages import Ping
from relaykit.values import Address

__all__ = ["MOST_KEY_BYTES", "MOST_USERS_KNOWN", "MOST_ZONE_CHARACTERS", "MessageCodec"]

MOST_USERS_KNOWN = 4096
"""Users who are known, at no more than 400 bytes each: a peer may name users whom nobody has, on each of its
lanes.  For one more all of them are forgotten, and known again by their next message."""

MOST_KEY_BYTES = 96
"""Bytes of a key beyond which its user does not become known: an address with the longest name of an
interface has no more."""

MOST_ZONE_CHARACTERS = 64
"""Most characters of an IPv6 zone: names of interfaces are shorter, and each user's is kept."""

_BEGINNING, _BETWEEN, _END = b'{"c":', b',"r":', b"}"
_BEGINNING_OF_EMPTY = b'{"r":'
_quoted = msgspec.json.Encoder().encode
_unquoted = msgspec.json.Decoder(bytes).decode


class MessageCodec:
    """See :class:`relaykit.sansio.lanes.codec.LaneCodec`; holds one incomplete message, at most.

    A key is a user's address in JSON, as it goes back.

    :param most_bytes: the largest datagram, ``udpPacketSize``: frp's other end has no room for more.
    """

    is_shared: Final = False
    goes_beside: Final = False

    def __init__(self, framing: Framing, most_bytes: int) -> None:
        self._framing = framing
        self._most_bytes = most_bytes
        self._decoder = framing.make_decoder(LANE_MESSAGES)
        self._known: dict[bytes, bytes] = {}
        """Keys by the end of the messages of their users."""
        self.keep_alive: Final = framing.encode(Ping())

    def key_of(self, user: Address) -> bytes:
        parsed = ip_address(user.host)
        zone = parsed.scope_id if isinstance(parsed, IPv6Address) else None
        return _key(UDPAddress(user.host.partition("%")[0], user.port, zone or ""))

    def user_of(self, key: bytes) -> Address:
        address = msgspec.json.decode(key, type=UDPAddress)
        zone = address.zone
        if len(zone) > MOST_ZONE_CHARACTERS or not zone.isprintable():
            raise ValueError("what is given as a zone is none")
        parsed = ip_address(f"{address.ip}%{zone}" if zone else address.ip)
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return Address(str(mapped or parsed), address.port)

    def encode(self, key: bytes, data: Buffer) -> bytes:
        if len(data) > self._most_bytes:
            raise DatagramTooLarge(f"a datagram has {len(data)} bytes, udpPacketSize is {self._most_bytes}")
        beginning = _BEGINNING + _quoted(data) + _BETWEEN if len(data) else _BEGINNING_OF_EMPTY
        try:
            return self._framing.frame(UDPPacket, beginning + key + _END)
        except MessageTooLong as error:
            raise DatagramTooLarge(
                f"a datagram has {len(data)} bytes, more than a message of version {self._framing.version} "
                "of frp's wire has room for"
            ) from error

    def gone(self, key: bytes) -> bytes:
        return b""

    def receive(self, data: Buffer) -> list[tuple[bytes, Buffer]]:
        found: list[tuple[bytes, Buffer]] = []
        known, content_at = self._known, len(_BEGINNING)
        for body in self._decoder.receive_bodies(UDPPacket, data):
            end = body.rfind(_BETWEEN)
            key = known.get(body[end:])
            if key is not None and body.startswith(_BEGINNING):
                try:
                    found.append((key, _unquoted(body[content_at:end])))
                    continue
                except msgspec.MsgspecError:
                    # There is more that frp takes for base64, or the content is no text at all.
                    pass
            self._read(UDPPacket.from_json(body), found)
        while (message := self._decoder.next_message()) is not None:
            self._read(message, found)
        return found

    def _read(self, message: Received | None, found: list[tuple[bytes, Buffer]]) -> None:
        """Takes a message that was read field by field; its user is known from now on."""
        if not isinstance(message, UDPPacket) or message.remote is None:
            return
        key = _key(message.remote)
        if len(key) <= MOST_KEY_BYTES:
            if len(self._known) >= MOST_USERS_KNOWN:
                self._known.clear()
            self._known[_BETWEEN + key + _END] = key
        found.append((key, message.content))


def _key(user: UDPAddress) -> bytes:
    return gojson.encode(user, escape=False)
