"""Datagrams that one system call can send or receive together: of one size, but that the last may be shorter.

Source: Linux, UDP_SEGMENT (4.18) and UDP_GRO (5.0) in include/uapi/linux/udp.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaykit.values import MOST_DATAGRAM_BYTES

__all__ = ["MOST_SEGMENTS", "end_of_run", "split"]

MOST_SEGMENTS: Final = 64
"""Datagrams of one call.  Source: Linux, UDP_MAX_SEGMENTS in include/linux/udp.h."""


def end_of_run(datagrams: Sequence[bytes], begin: int, most_segment: int = MOST_DATAGRAM_BYTES) -> int:
    """Where the datagrams end that can go together with the one at ``begin``, the last of them excluded.

    Those that are empty, or larger than ``most_segment`` bytes, go alone.
    """
    end, size = begin + 1, len(datagrams[begin])
    if not 0 < size <= most_segment:
        return end
    last = min(len(datagrams), begin + MOST_SEGMENTS, begin + MOST_DATAGRAM_BYTES // size)
    while end < last and len(datagrams[end]) == size:
        end += 1
    if end < last and 0 < len(datagrams[end]) < size:
        end += 1
    return end


def split(data: bytes, size: int) -> list[bytes]:
    """The datagrams that were received together, each of ``size`` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]
