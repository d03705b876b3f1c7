"""Sockets that note what is done to them, and receivers that note what they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from relaykit.interfaces import IBatchedDatagramReceiver
from relaykit.sansio.contract import Buffer
from relaykit.values import Address, Ended

__all__ = ["BatchedDatagrams", "FakeSocket"]


@implementer(IBatchedDatagramReceiver)
class BatchedDatagrams:
    """A receiver that notes what comes together, and what by itself."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.batches: list[list[bytes]] = []
        self.lost: list[Ended] = []

    def datagram_received(self, data: Buffer) -> None:
        self.heard.append(bytes(data))

    def datagrams_received(self, datagrams: Sequence[bytes]) -> None:
        self.batches.append(list(datagrams))

    def leg_lost(self, reason: Ended) -> None:
        self.lost.append(reason)


class FakeSocket:
    """A socket that notes what is done to it."""

    def __init__(self, host: str, port: int, receiver: Any) -> None:
        self.address = Address(host, port or 5000)
        self.receiver = receiver
        self.sent: list[tuple[bytes, Address, int | None]] = []
        self.closed = False
        self.batch_receiver: Any = None

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
