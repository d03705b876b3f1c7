"""Runs a datagram core over UDP sockets: the only caller of such cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from relaykit.driver import CoreDriver
from relaykit.nat.sockets import drop

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.sockets import DatagramReceiver
    from relaykit.sansio.nat.datagrams import DatagramCore
    from relaykit.values import Address

__all__ = ["DatagramDriver", "DatagramSocket"]

EventT = TypeVar("EventT")


class DatagramSocket(Protocol):
    """What a driver needs of a socket; :class:`relaykit.nat.sockets.UdpSocket` has it."""

    receiver: DatagramReceiver

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Sends one datagram, or loses it."""


class DatagramDriver(CoreDriver[EventT]):
    """Feeds a core what arrives, and sends what it wants sent.

    It becomes the sockets' receiver, but whoever opened them closes them.  A defect ends it.
    ``seconds`` is a monotonic clock, ``reactor`` only waits.
    """

    _core: DatagramCore[EventT]

    def __init__(
        self,
        core: DatagramCore[EventT],
        sockets: Sequence[DatagramSocket],
        reactor: IReactorTime,
        on_event: Callable[[EventT], object],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(core, reactor, on_event, seconds)
        self._sockets = list(sockets)
        self._receivers: list[DatagramReceiver] = []

    def start(self) -> None:
        """Begins to listen on the sockets and does what the core wants."""
        self.add(())
        self.step()

    def add(self, sockets: Sequence[DatagramSocket]) -> None:
        """Listens on further sockets; the first is numbered after the last one that was there."""
        self._sockets.extend(sockets)
        for via in range(len(self._receivers), len(self._sockets)):
            self._receivers.append(partial(self.arrived, via))
            self._sockets[via].receiver = self._receivers[via]

    def stop(self) -> None:
        """Leaves the core alone from now on; what arrives on sockets that are still its own is dropped."""
        super().stop()
        for each, receiver in zip(self._sockets, self._receivers, strict=False):
            if each.receiver is receiver:
                each.receiver = drop

    def arrived(self, via: int, data: bytes, source: Address, arrived_at: str) -> None:
        """Feeds a datagram that came in through a socket, also one that somebody else received."""
        self._feed(self._core.receive, data, source, via)

    def _send(self) -> bool:
        datagrams = self._core.to_send(self.now)
        for datagram in datagrams:
            self._sockets[datagram.via].send(datagram.payload, datagram.destination, datagram.ttl)
        return bool(datagrams)

    def _failed(self) -> None:
        super()._failed()
        self.stop()
