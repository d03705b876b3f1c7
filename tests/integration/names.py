"""A name server for tests, that knows what it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any

from twisted.names.dns import ENAME, Message, RRHeader

from tests.integration.traffic import LOOPBACK

__all__ = ["Names"]


class Names:
    """A name server with these records, by name and type, at an address of this machine."""

    def __init__(self, records: Mapping[tuple[bytes, int], list[Any]], host: str = LOOPBACK) -> None:
        self._records = records
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, source = self._socket.recvfrom(4096)
                message = Message()
                message.fromStr(data)
                message.answer = 1
                (query,) = message.queries
                found = self._records.get((query.name.name, query.type))
                known = any(name == query.name.name for name, _ in self._records)
                message.rCode = 0 if known else ENAME
                message.answers = [RRHeader(query.name.name, each.TYPE, payload=each) for each in found or ()]
                self._socket.sendto(message.toStr(), source)
