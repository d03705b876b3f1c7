"""Asks Linux for a route to one address by a device, and reads what it answers.

Source: netlink(7), rtnetlink(7), linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relaykit.sansio.packets.headers import IpAddress

__all__ = ["MOST_ANSWER_BYTES", "refusal", "route_request"]

MOST_ANSWER_BYTES: Final = 4096
"""Bytes of an answer: a header, a number, and the request again."""

_MESSAGE = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")

_ERROR, _NEW_ROUTE = 2, 24
_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_DESTINATION, _DEVICE = 1, 4
_FAMILIES: Final = {4: 2, 6: 10}
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_SCOPES: Final = {4: 253, 6: 0}
"""What is right behind the device, and anything: IPv6 knows no other one."""


def route_request(destination: IpAddress, device: int) -> bytes:
    """Asks that what goes to an address goes by a device, which has this number; where none does yet."""
    address, version = destination.packed, destination.version
    body = _ROUTE.pack(
        _FAMILIES[version], len(address) * 8, 0, 0, _MAIN_TABLE, _STATIC, _SCOPES[version], _UNICAST, 0
    )
    for kind, value in ((_DESTINATION, address), (_DEVICE, _NUMBER.pack(device))):
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
    flags = _REQUEST | _ACKNOWLEDGE | _EXCLUSIVE | _CREATE
    return _MESSAGE.pack(_MESSAGE.size + len(body), _NEW_ROUTE, flags, 1, 0) + body


def refusal(answer: bytes) -> int:
    """The number of the error that an answer tells, 0 for none; EPROTO where it is no answer."""
    if len(answer) < _MESSAGE.size + _NUMBER.size or _MESSAGE.unpack_from(answer)[1] != _ERROR:
        return errno.EPROTO
    number: int = _NUMBER.unpack_from(answer, _MESSAGE.size)[0]
    return -number
