"""Counts datagrams in a process of its own: ``python -m benchmarks.sink PORT FILE``."""

from __future__ import annotations

import mmap
import socket
import sys
from pathlib import Path

__all__ = ["DATAGRAM_BYTES", "Counter", "serve"]

DATAGRAM_BYTES = 1200
"""Payload of the datagrams that are counted: what fits in most tunnels, and what QUIC sends."""

_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked for as the kernel's buffer, so that a process that waits for its turn loses nothing."""


class Counter:
    """A number in a file that processes share: one adds, others look."""

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


if __name__ == "__main__":
    serve(int(sys.argv[1]), Counter(Path(sys.argv[2])))
