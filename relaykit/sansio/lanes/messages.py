"""Messages that carry datagrams in frp's format."""

from __future__ import annotations

import msgspec

from relaykit.sansio.wire import gojson
from relaykit.sansio.wire.messages import Message, MessageTable, Ping, Port

__all__ = ["LANE_MESSAGES", "UDPAddress", "UDPPacket"]


class UDPAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a datagram came from: an IP address as text (IPv4-mapped as IPv4), a port, an IPv6 zone.

    All three travel always.  The text of the address is not checked here.
    """

    ip: str = msgspec.field(default="", name="IP")
    port: Port = msgspec.field(default=0, name="Port")
    zone: str = msgspec.field(default="", name="Zone")


class UDPPacket(Message, frozen=True, kw_only=True):
    """Either way on a connection that carries datagrams: one datagram.  Not answered.

    ``remote`` is the user's address, set by the end that received the user's datagram and given back
    unchanged with each answer; ``local`` is never set by frp.
    """

    type_byte = 0x75
    number = 13
    secret_fields = frozenset({"content"})

    content: bytes = msgspec.field(default=b"", name="c")
    local: UDPAddress | None = msgspec.field(default=None, name="l")
    remote: UDPAddress | None = msgspec.field(default=None, name="r")

    def to_json(self) -> bytes:
        return gojson.encode(self, escape=False)


LANE_MESSAGES = MessageTable.of((Ping, UDPPacket))
"""What is read on a connection that carries datagrams; frp ignores other messages there."""
