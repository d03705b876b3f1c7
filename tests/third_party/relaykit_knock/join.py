"""What runs beside the relay: ``python -m relaykit_knock.join SOCKET`` copies to and from its socket.

Nothing of relaykit is needed where it runs.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable

__all__ = ["GREETING", "join"]

GREETING = b"RELAY\n"
"""What is said once the socket is there, before anything that comes from it."""

PIECE_BYTES = 65536
"""Copied at a time."""


def join(path: str) -> None:
    """Copies both ways until both have ended."""
    with socket.socket(socket.AF_UNIX) as relay:
        try:
            relay.connect(path)
        except OSError as error:
            raise SystemExit(f"there is no relay at {path}: {error.strerror}") from error
        os.write(1, GREETING)
        ending = threading.Thread(
            target=_copy, args=[0, relay.fileno(), lambda: relay.shutdown(socket.SHUT_WR)]
        )
        ending.start()
        _copy(relay.fileno(), 1, lambda: os.close(1))
        ending.join()


def _copy(source: int, target: int, end: Callable[[], object]) -> None:
    try:
        while data := os.read(source, PIECE_BYTES):
            while data:
                data = data[os.write(target, data) :]
        end()
    except OSError:
        # One end is gone, and what is on the way to it or from it is lost: so is the other direction.
        os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m relaykit_knock.join SOCKET")
    join(sys.argv[1])
