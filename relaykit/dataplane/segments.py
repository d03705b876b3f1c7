"""Sending datagrams on a UDP socket: many of one size, to one receiver, by one system call.

The kernel cuts what it is given into datagrams (UDP_SEGMENT, Linux 4.18), so that the way through it is gone
once for all of them.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from relaykit.sansio.lanes.codec import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    import socket

__all__ = ["MOST_SEGMENTS", "SegmentingSender"]

MOST_SEGMENTS: Final = 64
"""Datagrams of one call.  Source: Linux, UDP_MAX_SEGMENTS in include/linux/udp.h."""

_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_SIZE: Final = struct.Struct("=H")

_NOT_SEGMENTED = (errno.EINVAL, errno.EMSGSIZE, errno.EIO)
"""What is said where segments would have to be fragmented, or a device cannot do its part."""


class SegmentingSender:
    """What sends on one UDP socket, and learns what its ways out can do."""

    __slots__ = ("_most", "_plain")

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._most = MOST_DATAGRAM_BYTES if _can_segment(plain) else 0

    def send(self, datagrams: Sequence[bytes], name: tuple[Any, ...] | None) -> int:
        """Sends datagrams in their order; how many the system took, the others are lost.

        :param name: the receiver as the socket module has it, None for the peer of a connected socket.
        """
        taken = begin = 0
        while begin < len(datagrams):
            end = self._end_of_run(datagrams, begin)
            if end - begin == 1:
                taken += self._send_one(datagrams[begin], name)
            else:
                taken += self._send_run(datagrams[begin:end], name)
            begin = end
        return taken

    def _end_of_run(self, datagrams: Sequence[bytes], begin: int) -> int:
        """Where the datagrams end that can go together: of one size, but that the last may be shorter."""
        end, size = begin + 1, len(datagrams[begin])
        if not 0 < size <= self._most:
            return end
        most = min(begin + min(MOST_SEGMENTS, MOST_DATAGRAM_BYTES // size), len(datagrams))
        while end < most and len(datagrams[end]) == size:
            end += 1
        if end < most and 0 < len(datagrams[end]) < size:
            end += 1
        return end

    def _send_run(self, run: Sequence[bytes], name: tuple[Any, ...] | None) -> int:
        size = len(run[0])
        try:
            self._try(run, [(_SOL_UDP, _UDP_SEGMENT, _SIZE.pack(size))], name)
        except OSError as error:
            if error.errno not in _NOT_SEGMENTED:
                return 0
            self._most = size - 1
            return sum(self._send_one(each, name) for each in run)
        return len(run)

    def _send_one(self, datagram: bytes, name: tuple[Any, ...] | None) -> int:
        try:
            self._try((datagram,), (), name)
        except OSError:
            return 0
        return 1

    def _try(
        self,
        pieces: Sequence[bytes],
        control: Sequence[tuple[int, int, bytes]],
        name: tuple[Any, ...] | None,
    ) -> None:
        try:
            self._plain.sendmsg(pieces, control, 0, name)
        except ConnectionRefusedError:
            # That is about an earlier datagram, and these were not sent.
            self._plain.sendmsg(pieces, control, 0, name)


def _can_segment(plain: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    try:
        plain.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True
