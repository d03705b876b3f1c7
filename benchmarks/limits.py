"""What a limit of bandwidth lets through, as a user sees it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

from benchmarks.programs import ProgramFailed
from benchmarks.services import DOWNLOAD

__all__ = ["deviation", "longest_burst", "watch_download"]

_AT_ONCE = 256 * 1024
_TIMEOUT_S = 10.0

Arrivals = list[tuple[float, int]]
"""When so many bytes arrived, in seconds, in order."""


def watch_download(port: int, seconds: float) -> Arrivals:
    """Downloads from a port of the loopback for so many seconds from the first byte on.

    :raises ProgramFailed: it ended early.
    """
    arrivals: Arrivals = []
    buffer, clock = bytearray(_AT_ONCE), time.perf_counter
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as user:
        user.sendall(f"GET {DOWNLOAD} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not arrivals or arrivals[-1][0] - arrivals[0][0] < seconds:
            size = user.recv_into(buffer)
            if not size:
                raise ProgramFailed("the download ended early")
            arrivals.append((clock(), size))
    return arrivals


def deviation(arrivals: Arrivals, rate: float) -> float:
    """By how much of ``rate`` bytes a second what arrived is more or less."""
    took = arrivals[-1][0] - arrivals[0][0]
    return abs(sum(size for _, size in arrivals) / took / rate - 1)


def longest_burst(arrivals: Iterable[tuple[float, int]], rate: float) -> float:
    """Most that arrived beyond ``rate`` bytes a second within any time, in seconds of that rate."""
    excess = most = before = 0.0
    for at, size in arrivals:
        excess = max(0.0, excess - (at - before)) + size / rate
        most = max(most, excess)
        before = at
    return most
