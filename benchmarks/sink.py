"""Counts datagrams in a process of its own: ``python -m benchmarks.sink PORT FILE [FLOWS]``.

It is the service at the port; with FLOWS, so many users of it.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import sys
from pathlib import Path

__all__ = ["DATAGRAM_BYTES", "Counter", "ask", "serve"]

DATAGRAM_BYTES = 1200
"""Payload of the datagrams that are counted: what fits in most tunnels, and what QUIC sends."""

_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked for as the kernel's buffer, so that a process that waits for its turn loses nothing."""


_ASK_AGAIN_S = 0.1
"""Time until users ask again whom nobody answers."""

_AT_ONCE = 64
"""Datagrams that one user takes before another has his turn."""


class Counter:
    """A number in a file that processes share: one at a time writes, others look."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not file.exists():
            file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._number = memoryview(mmap.mmap(opened.fileno(), 8)).cast("Q")

    def read(self) -> int:
        """The number at the moment."""
        return self._number[0]

    def write(self, number: int) -> None:
        """Takes the place of the number."""
        self._number[0] = number


def serve(port: int, counter: Counter) -> None:
    """Counts the datagrams of the right size that arrive at a port of the loopback, for ever."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    plain.bind(("127.0.0.1", port))
    received, buffer = 0, bytearray(65536)
    receive, write = plain.recv_into, counter.write
    while True:
        if receive(buffer) == DATAGRAM_BYTES:
            received += 1
            write(received)


def ask(port: int, counter: Counter, flows: int) -> None:
    """Counts the datagrams of the right size that answer so many users of a port, for ever."""
    users: dict[int, socket.socket] = {}
    poller = select.epoll()
    for _ in range(flows):
        user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        user.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        user.connect(("127.0.0.1", port))
        user.setblocking(False)
        users[user.fileno()] = user
        poller.register(user, select.EPOLLIN)
    received, buffer = 0, bytearray(65536)
    while True:
        ready = poller.poll(_ASK_AGAIN_S)
        if not ready and not received:
            for user in users.values():
                with contextlib.suppress(ConnectionError):
                    user.send(b"?")
        for descriptor, _ in ready:
            with contextlib.suppress(OSError):
                for _ in range(_AT_ONCE):
                    received += users[descriptor].recv_into(buffer) == DATAGRAM_BYTES
            counter.write(received)


if __name__ == "__main__":
    port, counter = int(sys.argv[1]), Counter(Path(sys.argv[2]))
    if len(sys.argv) > 3:
        ask(port, counter, int(sys.argv[3]))
    else:
        serve(port, counter)
