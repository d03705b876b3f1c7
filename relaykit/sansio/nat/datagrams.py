"""The contract of cores that speak in datagrams over sockets of their own.

It is that of :class:`relaykit.sansio.contract.StreamCore` with an address and a socket beside the bytes.
Sockets are numbers: a core says in its own words how many it needs, its driver opens them, and from
then on ``via`` is a socket's place among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from relaykit.sansio.contract import Buffer, Core
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


class DatagramCore(Core[EventT_co], Protocol[EventT_co]):
    """A core that speaks in datagrams."""

    def receive(self, data: Buffer, source: Address, via: int, now: float) -> None:
        """Feeds one datagram.  One that means nothing to the core is ignored: it may be anybody's."""

    def to_send(self, now: float) -> Sequence[Datagram]:
        """Takes what must go out, in order."""
