"""Whose packets of IP are, by their headers; and the addresses of the virtual network, as files have them.

Source: RFC 791 section 3.1, RFC 8200 section 3.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = ["Interface", "IpAddress", "addresses_of", "parse_destination", "parse_interface"]

IpAddress: TypeAlias = IPv4Address | IPv6Address
Interface: TypeAlias = IPv4Interface | IPv6Interface
"""An address, and the network that it is in."""

_IPV4_HEADER, _IPV6_HEADER = 20, 40
_CIDR = re.compile(r"[0-9A-Fa-f:.]+/[0-9]{1,3}")


def addresses_of(packet: Buffer) -> tuple[bytes, bytes] | None:
    """The source and the destination of a packet, 4 or 16 bytes each; None for what is no packet of IP.

    It must have exactly the length that its header tells.
    """
    size = len(packet)
    if size < _IPV4_HEADER:
        return None
    version, told = packet[0] >> 4, packet[0] & 15
    if version == 4 and _IPV4_HEADER <= told * 4 <= size and (packet[2] << 8 | packet[3]) == size:
        return bytes(packet[12:16]), bytes(packet[16:20])
    if version == 6 and (packet[4] << 8 | packet[5]) + _IPV6_HEADER == size:
        return bytes(packet[8:24]), bytes(packet[24:40])
    return None


def parse_interface(text: str) -> Interface:
    """An address with the length of its prefix, such as ``10.0.0.1/24``.

    :raises ValueError: it is none; the text says so in frp's words.
    """
    try:
        if _CIDR.fullmatch(text):
            return ip_interface(text)
    except ValueError:
        pass
    raise ValueError(f"invalid CIDR address: {text}")


def parse_destination(text: str) -> IpAddress:
    """An address that packets go to.

    :raises ValueError: it is none; the text says so in frp's words.
    """
    if not text:
        raise ValueError("destinationIP is required")
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError(f"invalid destination IP address [{text}]") from None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    if getattr(found, "scope_id", None):
        raise ValueError(f"invalid destination IP address [{text}]")
    return mapped or found
