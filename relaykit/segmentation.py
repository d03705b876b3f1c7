"""How Linux cuts what is sent, and joins what comes: datagrams of one size, and fragments that nobody wants.

Source: UDP_SEGMENT (4.18) and UDP_GRO (5.0) in include/uapi/linux/udp.h; IP_PMTUDISC_PROBE in
include/uapi/linux/in.h.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Final, TypeAlias

__all__ = [
    "CONTROL_BYTES",
    "NOT_SEGMENTED",
    "Control",
    "can_segment",
    "cut",
    "forbid_fragments",
    "join_received",
    "joined",
]

Control: TypeAlias = "tuple[int, int, bytes]"
"""What goes to the kernel or comes from it beside datagrams: level, kind and value."""

NOT_SEGMENTED: Final = (errno.EINVAL, errno.EMSGSIZE, errno.EIO)
"""What is said where segments would have to be fragmented, or a device cannot do its part."""

CONTROL_BYTES: Final = 128
"""Room for what the kernel tells beside datagrams."""

_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_SEGMENT: Final = struct.Struct("=H")
_PROBE: Final = 3
"""Do not fragment, and believe no router that tells of a smaller way: whoever probes finds that out."""
_UNFRAGMENTED: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, {10: _PROBE}),
    socket.AF_INET6: (socket.IPPROTO_IPV6, {23: _PROBE, 62: 1}),
}
"""By family, the options IP_MTU_DISCOVER, and IPV6_MTU_DISCOVER and IPV6_DONTFRAG."""
_INT_BYTES: Final = struct.calcsize("=i")


def can_segment(plain: socket.socket) -> bool:
    """Whether the kernel cuts what this socket of UDP sends."""
    if sys.platform != "linux":
        return False
    try:
        plain.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def cut(size: int) -> Control:
    """Has what is sent with it cut into datagrams of ``size`` bytes."""
    return (_SOL_UDP, _UDP_SEGMENT, _SEGMENT.pack(size))


def join_received(plain: socket.socket) -> None:
    """Has the kernel join what this socket receives, if it can."""
    with contextlib.suppress(OSError):
        plain.setsockopt(_SOL_UDP, _UDP_GRO, 1)


def joined(control: Iterable[Control]) -> int:
    """The size of each of the datagrams that were joined; 0 where it is one."""
    for level, kind, value in control:
        if level == _SOL_UDP and kind == _UDP_GRO:
            return int.from_bytes(value[:_INT_BYTES], sys.byteorder)
    return 0


def forbid_fragments(plain: socket.socket) -> bool:
    """From now on no datagram of this socket is cut, here or on the way; whether this system can do that."""
    if sys.platform != "linux":
        return False
    level, options = _UNFRAGMENTED[plain.family]
    try:
        for option, value in options.items():
            plain.setsockopt(level, option, value)
    except OSError:
        return False
    return True
