"""Sends datagrams in a process of its own: ``python -m benchmarks.flood PORT FLOWS ARRIVED SENT``.

It sends half as many again as arrive, so that there are always too many, and so that the processors, which it
shares with what is measured, are not spent on datagrams that nobody will see.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import time
from pathlib import Path

from benchmarks.sink import DATAGRAM_BYTES, Counter

__all__ = ["LEAST_RATE", "STEP_S", "next_rate", "send"]

LEAST_RATE = 10_000.0
"""Datagrams a second that are sent at least, and at first."""

STEP_S = 0.1
"""Time between two looks at what arrived."""

_OFFERED = 1.5
_BURST = 16
"""Most datagrams that are sent without a look at the clock: few enough for the smallest socket buffer."""


def next_rate(arrived: int, seconds: float) -> float:
    """Datagrams to send in a second, where so many arrived in the last seconds."""
    return max(LEAST_RATE, _OFFERED * arrived / seconds)


def send(port: int, flows: int, arrived: Counter, sent: Counter) -> None:
    """Sends to a port of the loopback for ever, from so many sources in turns, and counts."""
    users = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    for user in users:
        user.connect(("127.0.0.1", port))
    turns = itertools.cycle([user.send for user in users])
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


if __name__ == "__main__":
    send(int(sys.argv[1]), int(sys.argv[2]), Counter(Path(sys.argv[3])), Counter(Path(sys.argv[4])))
