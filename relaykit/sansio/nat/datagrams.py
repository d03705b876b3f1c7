"""The contract of cores that speak in datagrams over sockets of their own.

It is that of :mod:`relaykit.sansio.contract` with an address and a socket beside the bytes.
Sockets are numbers: a core says in its own words how many it needs, its driver opens them, and from
then on ``via`` is a socket's place among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from relaykit.sansio.contract import Buffer
from relaykit.values import Address

__all__ = ["Datagram", "DatagramCore"]

EventT_co = TypeVar("EventT_co", covariant=True)


@frozen
class Datagram:
    """One datagram that must go out."""

    payload: bytes
    destination: Address
    via: int = 0
    """The socket that sends it."""
    ttl: int | None = None
    """How many routers may pass it on; None for the system's default."""


class DatagramCore(Protocol[EventT_co]):
    """What the driver calls.  Order, time and chance are as in :class:`relaykit.sansio.contract.Core`."""

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram.  One that means nothing to the core is ignored: it may be anybody's."""

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out, in order."""

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""

    def wake(self, now: float) -> None:
        """Lets time-outs happen; early and repeated calls are harmless."""

    def events(self) -> Sequence[EventT_co]:
        """Takes what has happened since the last call."""
