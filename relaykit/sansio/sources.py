"""Whose an address is: what one party can have by the thousand must count as one."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

from relaykit.values import Origin

__all__ = ["Source", "source_of", "source_of_host"]

Source: TypeAlias = tuple[str, ...]
"""The networks that an address counts for, the widest first; the last one is all that one machine has."""

_PREFIXES_6 = (56, 64)
"""What a single IPv6 line has at most as a rule, and at least.  Source: RFC 6177 section 2."""


def source_of_host(host: str) -> Source:
    """The networks of an IP address: an IPv4 address itself, the /56 and the /64 of an IPv6 one.

    A host that is no address counts for itself, and so does an empty one.
    """
    if ":" not in host:
        return (host,)
    address = int(ipaddress.IPv6Address(host.partition("%")[0]))
    return tuple(
        f"{ipaddress.IPv6Address(address >> (128 - bits) << (128 - bits))}/{bits}" for bits in _PREFIXES_6
    )


def source_of(origin: Origin) -> Source:
    """Those of whoever a connection comes from; all whose address is not known count as one."""
    return source_of_host("" if origin.source is None else origin.source.host)
