"""The addresses that an end names for itself: which of them the other end is told.

Who gets them sends to them, and frp's clients to all of them, so nobody must be able to aim one client at
others.  Source: RFC 8445 19.5.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import TypeAlias

from attrs import frozen

from relaykit.errors import RefusalCode, RefusedError
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, PORT_MIN, PUBLIC_HOSTS_MAX
from relaykit.values import Address

__all__ = ["Endpoint", "told_assisted", "told_mapped"]

_Host: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_RESERVED = ipaddress.IPv4Network("240.0.0.0/4")

_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Networks that are there many times over, each behind a NAT of its own."""


@frozen
class Endpoint:
    """One end: the addresses that STUN servers saw, in order, those of its interfaces, and where the relay
    server sees it.
    """

    mapped: tuple[Address, ...]
    assisted: tuple[Address, ...]
    seen_at: str

    @classmethod
    def of(cls, mapped: Sequence[str], assisted: Sequence[str], seen_at: str) -> Endpoint:
        """What a message says.

        :raises RefusedError: it has too many addresses, or one that is not ``ip:port``.
        """
        if len(mapped) > CANDIDATES_MAX or len(assisted) > CANDIDATES_MAX:
            raise RefusedError(RefusalCode.OTHER, f"too many addresses, {CANDIDATES_MAX} are the most")
        return cls(tuple(map(_address, mapped)), tuple(map(_address, assisted)), seen_at)

    @property
    def hosts(self) -> Collection[str]:
        """Those of its interfaces."""
        return {each.host for each in self.assisted}


def told_mapped(end: Endpoint, other: Endpoint) -> tuple[str, ...]:
    """Those of the mapped addresses that the other end is told; of equal ones in a row the first.

    At most :data:`~relaykit.sansio.nat.candidates.PUBLIC_HOSTS_MAX` hosts.
    """
    hosts: dict[str, None] = {}
    told: list[Address] = []
    for each in end.mapped:
        if _may_be_told(each, end, other) and len(hosts | {each.host: None}) <= PUBLIC_HOSTS_MAX:
            hosts[each.host] = None
            told.append(each)
    return _texts(told)


def told_assisted(end: Endpoint, other: Endpoint) -> tuple[str, ...]:
    """The same for those of interfaces."""
    return _texts(each for each in end.assisted if _may_be_told(each, end, other))


def _texts(addresses: Iterable[Address]) -> tuple[str, ...]:
    return tuple(text for text, _ in groupby(map(str, addresses)))


def _may_be_told(address: Address, end: Endpoint, other: Endpoint) -> bool:
    """Whether the other end may be told to send there.

    To private ones only where they can be this end's own for the other, too: both are seen at the same host,
    or one of them is in a private network with the relay server.
    """
    host = ipaddress.ip_address(address.host)
    if address.port < PORT_MIN or host.is_multicast or host.is_unspecified or host.is_link_local:
        return False
    if host.version == 4 and host in _RESERVED:
        return False
    if host.is_loopback:
        return _is_loopback(end.seen_at) and _is_loopback(other.seen_at)
    return not _is_private(address.host) or _are_near(end, other)


def _are_near(end: Endpoint, other: Endpoint) -> bool:
    """Whether both may be in one private network."""
    return end.seen_at == other.seen_at or _is_private(end.seen_at) or _is_private(other.seen_at)


def _is_loopback(host: str) -> bool:
    return bool(host) and ipaddress.ip_address(host).is_loopback


def _is_private(host: str) -> bool:
    return bool(host) and any(ipaddress.ip_address(host) in each for each in _PRIVATE)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        found: _Host = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535:
            return Address(str(getattr(found, "ipv4_mapped", None) or found), int(port))
    except ValueError:
        pass
    raise RefusedError(RefusalCode.OTHER, "an address that is not ip:port")
