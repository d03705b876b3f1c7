"""Sockets that note what is done to them."""

from __future__ import annotations

from typing import Any

from relaykit.nat.sockets import PAYLOAD_MAX
from relaykit.values import Address

__all__ = ["FakeSocket"]


class FakeSocket:
    """A socket that notes what is done to it."""

    def __init__(self, host: str, port: int, receiver: Any) -> None:
        self.address = Address(host, port or 5000)
        self.receiver = receiver
        self.sent: list[tuple[bytes, Address, int | None]] = []
        self.closed = False
        self.batch_receiver: Any = None
        self.most_bytes = PAYLOAD_MAX

    def forbid_fragments(self) -> bool:
        """Cannot."""
        return False

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Notes it."""
        self.sent.append((payload, destination, ttl))
        return True

    def send_many(self, payloads: Any, destination: Address) -> int:
        """Notes them."""
        return sum(self.send(each, destination) for each in payloads)

    def receive_batches(self, receiver: Any) -> None:
        """Notes who takes them."""
        self.batch_receiver = receiver

    def close(self) -> None:
        """Notes it."""
        self.closed = True
