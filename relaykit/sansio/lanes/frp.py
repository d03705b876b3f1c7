"""frp's format of a lane: a message for each datagram, in either version of the wire."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from relaykit.sansio.contract import Buffer
from relaykit.sansio.lanes.codec import DatagramTooLarge
from relaykit.sansio.lanes.messages import LANE_MESSAGES, UDPAddress, UDPPacket
from relaykit.sansio.wire.framing import Framing, MessageTooLong
from relaykit.sansio.wire.messages import Ping
from relaykit.values import Address

__all__ = ["MOST_ZONE_CHARACTERS", "MessageCodec"]

MOST_ZONE_CHARACTERS = 64
"""Most characters of an IPv6 zone: names of interfaces are shorter, and each user's is kept."""


class MessageCodec:
    """See :class:`relaykit.sansio.lanes.codec.LaneCodec`; holds one incomplete message, at most.

    :param most_bytes: the largest datagram, ``udpPacketSize``: frp's other end has no room for more.
    """

    is_shared: Final = False

    def __init__(self, framing: Framing, most_bytes: int) -> None:
        self._framing = framing
        self._most_bytes = most_bytes
        self._decoder = framing.make_decoder(LANE_MESSAGES)
        self.keep_alive: Final = framing.encode(Ping())

    def key_of(self, user: Address) -> UDPAddress:
        parsed = ip_address(user.host)
        zone = parsed.scope_id if isinstance(parsed, IPv6Address) else None
        return UDPAddress(user.host.partition("%")[0], user.port, zone or "")

    def user_of(self, key: UDPAddress) -> Address:
        zone = key.zone
        if len(zone) > MOST_ZONE_CHARACTERS or not zone.isprintable():
            raise ValueError("what is given as a zone is none")
        parsed = ip_address(f"{key.ip}%{zone}" if zone else key.ip)
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return Address(str(mapped or parsed), key.port)

    def encode(self, key: UDPAddress, data: Buffer) -> bytes:
        if len(data) > self._most_bytes:
            raise DatagramTooLarge(f"a datagram has {len(data)} bytes, udpPacketSize is {self._most_bytes}")
        try:
            return self._framing.encode(UDPPacket(content=bytes(data), remote=key))
        except MessageTooLong as error:
            raise DatagramTooLarge(
                f"a datagram has {len(data)} bytes, more than a message of version {self._framing.version} "
                "of frp's wire has room for"
            ) from error

    def gone(self, key: UDPAddress) -> bytes:
        return b""

    def receive(self, data: Buffer) -> list[tuple[UDPAddress, Buffer]]:
        decoder = self._decoder
        decoder.receive(data)
        found: list[tuple[UDPAddress, Buffer]] = []
        while (message := decoder.next_message()) is not None:
            if isinstance(message, UDPPacket) and message.remote is not None:
                found.append((message.remote, message.content))
        return found
