"""Sends datagrams in a process of its own: ``python -m benchmarks.flood up|down PORT FLOWS ARRIVED SENT``.

It sends half as many again as arrive, so that there are always too many, and so that the processors, which it
shares with what is measured, are not spent on datagrams that nobody will see.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.sink import DATAGRAM_BYTES, Counter

__all__ = ["LEAST_RATE", "STEP_S", "flood", "next_rate", "service_of", "users_of"]

LEAST_RATE = 10_000.0
"""Datagrams a second that are sent at least, and at first."""

STEP_S = 0.1
"""Time between two looks at what arrived."""

Send = Callable[[bytes], int]
"""Sends a datagram on one flow."""

_OFFERED = 1.5
_BURST = 16
"""Most datagrams that are sent without a look at the clock: few enough for the smallest socket buffer."""


def next_rate(arrived: int, seconds: float) -> float:
    """Datagrams to send in a second, where so many arrived in the last seconds."""
    return max(LEAST_RATE, _OFFERED * arrived / seconds)


def users_of(port: int, flows: int) -> Sequence[Send]:
    """What so many users send with to a port of the loopback."""
    users = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    for user in users:
        user.connect(("127.0.0.1", port))
    return [user.send for user in users]


def service_of(port: int, flows: int) -> Sequence[Send]:
    """What a service on a port of the loopback answers with, once so many users have asked it."""
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("127.0.0.1", port))
    users: set[tuple[str, int]] = set()
    while len(users) < flows:
        users.add(service.recvfrom(DATAGRAM_BYTES)[1])
    return [partial(_send_to, service, user) for user in users]


def flood(sends: Sequence[Send], arrived: Counter, sent: Counter) -> None:
    """Sends for ever, in turns, and counts."""
    turns = itertools.cycle(sends)
    datagram, clock = bytes(DATAGRAM_BYTES), time.perf_counter
    rate = LEAST_RATE
    while True:
        begun, before, total = clock(), arrived.read(), sent.read()
        in_step = 0
        while (elapsed := clock() - begun) < STEP_S:
            due = min(int(elapsed * rate) - in_step, _BURST)
            if due < _BURST:
                time.sleep(_BURST / rate)
                continue
            for each in itertools.islice(turns, due):
                with contextlib.suppress(ConnectionError):
                    each(datagram)
            in_step += due
            sent.write(total + in_step)
        rate = next_rate(arrived.read() - before, elapsed)


def _send_to(service: socket.socket, user: tuple[str, int], datagram: bytes) -> int:
    return service.sendto(datagram, user)


if __name__ == "__main__":
    open_flows = {"up": users_of, "down": service_of}[sys.argv[1]]
    flood(
        open_flows(int(sys.argv[2]), int(sys.argv[3])), Counter(Path(sys.argv[4])), Counter(Path(sys.argv[5]))
    )
