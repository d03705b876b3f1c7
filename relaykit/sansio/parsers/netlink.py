"""What Linux tells of addresses and routes as they come and go.

Source: netlink(7), rtnetlink(7), linux/rtnetlink.h, linux/if_addr.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

__all__ = ["GROUPS", "MAX_KNOWN", "RouteChanges"]

GROUPS: Final = 0x10 | 0x40 | 0x100 | 0x400
"""The groups to subscribe to: addresses and routes, of IPv4 and IPv6."""

MAX_KNOWN: Final = 4096
"""Addresses and routes whose state is remembered; a machine with more tells of some of them again."""

_MESSAGE = struct.Struct("=IHHII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")

_NEW_ADDRESS, _DELETED_ADDRESS, _NEW_ROUTE, _DELETED_ROUTE = 20, 21, 24, 25

_ADDRESS_ITSELF, _LOCAL_ADDRESS = 1, 2
_ROUTE_ATTRIBUTES: Final = frozenset({1, 4, 5, 6, 15})
"""Destination, interface, gateway, priority, table."""

_TENTATIVE = 0x40
"""The flag of an IPv6 address that is not usable yet; it is told of again when it is."""

_LINK_SCOPE = 253
"""The scope from which on an address is of use on one link only, or within the machine."""

_UNICAST = 1
_BY_KERNEL = 2
"""The origin of a route that comes and goes with an address."""
_LOCAL_TABLE = 255
_CLONED = 0x200

_Key: TypeAlias = tuple[object, ...]


class RouteChanges:
    """Finds out from the kernel's messages whether an address or a route has come or gone.

    The kernel repeats itself, for instance whenever a router renews the lifetime of an IPv6 address;
    that is no change.  Nor are addresses that are of use on one link only: every container brings one.
    """

    def __init__(self) -> None:
        self._known: dict[_Key, bool] = {}

    def feed(self, datagram: bytes) -> bool:
        """Whether anything has changed by what this datagram tells; what makes no sense is skipped."""
        changed = False
        for kind, body in _messages(datagram):
            key = None
            if kind in (_NEW_ADDRESS, _DELETED_ADDRESS):
                key = _address_key(body)
            elif kind in (_NEW_ROUTE, _DELETED_ROUTE):
                key = _route_key(body)
            if key is not None:
                present = kind in (_NEW_ADDRESS, _NEW_ROUTE)
                changed = self._note(key, present) or changed
        return changed

    def _note(self, key: _Key, present: bool) -> bool:
        if self._known.get(key) is present:
            return False
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = present
        return True


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _MESSAGE.size <= len(datagram):
        length, kind, _, _, _ = _MESSAGE.unpack_from(datagram, at)
        if length < _MESSAGE.size or at + length > len(datagram):
            return
        yield kind, datagram[at + _MESSAGE.size : at + length]
        at += _aligned(length)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            break
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _address_key(body: bytes) -> _Key | None:
    if len(body) < _ADDRESS.size:
        return None
    family, length, flags, scope, index = _ADDRESS.unpack_from(body)
    if flags & _TENTATIVE or scope >= _LINK_SCOPE:
        return None
    attributes = _attributes(body, _ADDRESS.size)
    address = attributes.get(_LOCAL_ADDRESS) or attributes.get(_ADDRESS_ITSELF)
    return ("address", family, length, index, address)


def _route_key(body: bytes) -> _Key | None:
    if len(body) < _ROUTE.size:
        return None
    family, length, _, _, table, origin, _, kind, flags = _ROUTE.unpack_from(body)
    if kind != _UNICAST or origin == _BY_KERNEL or table == _LOCAL_TABLE or flags & _CLONED:
        return None
    attributes = _attributes(body, _ROUTE.size)
    chosen = tuple((kind, value) for kind, value in sorted(attributes.items()) if kind in _ROUTE_ATTRIBUTES)
    return ("route", family, length, table, chosen)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
