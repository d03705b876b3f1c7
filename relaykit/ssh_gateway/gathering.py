"""Output that is gathered over one turn: the packets of many channels in one system call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaykit.interfaces import ITurns

__all__ = ["MOST_GATHERED_BYTES", "GatheredOutput"]

MOST_GATHERED_BYTES = 128 * 1024
"""Bytes that are sent before the turn ends: enough for the packets of many users' requests, and what is
below tells when it is full."""


class GatheredOutput:
    """The transport of a protocol that writes many small packets, on another one that does the rest."""

    def __init__(self, transport: Any, turns: ITurns) -> None:
        self._transport = transport
        self._turns = turns
        self._pieces: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends bytes when the turn ends, or as soon as there are many."""
        if not self._pieces:
            self._turns.at_turn_end(self.flush)
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes >= MOST_GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends what was written."""
        if self._pieces:
            pieces, self._pieces, self._bytes = self._pieces, [], 0
            self._transport.write(b"".join(pieces))

    def loseConnection(self) -> None:
        """Ends the connection once what was written is sent."""
        self.flush()
        self._transport.loseConnection()
