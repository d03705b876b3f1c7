"""Runs a datagram core over UDP sockets: the only initiator of such cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

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


class DatagramDriver(Generic[EventT]):
    """Feeds a core what arrives, sends what it wants sent, tells its events, wakes it in time.

    It becomes the sockets' receiver, but whoever opened them closes them.  Whoever calls a command of
    the core calls :meth:`step` afterwards; within ``on_event`` that is not needed.
    ``seconds`` is a monotonic clock, ``reactor`` only waits.
    """

    log = Logger()

    def __init__(
        self,
        core: DatagramCore[EventT],
        sockets: Sequence[DatagramSocket],
        reactor: IReactorTime,
        on_event: Callable[[EventT], None],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = core
        self._sockets = list(sockets)
        self._receivers: list[DatagramReceiver] = []
        self._reactor = reactor
        self._on_event = on_event
        self._seconds = seconds
        self._timer: IDelayedCall | None = None
        self._stepping = False
        self._stopped = False

    @property
    def now(self) -> float:
        """The time that the core is told."""
        return self._seconds()

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
        self._stopped = True
        for each, receiver in zip(self._sockets, self._receivers, strict=False):
            if each.receiver is receiver:
                each.receiver = _drop
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def arrived(self, via: int, data: bytes, source: Address, arrived_at: str) -> None:
        """Feeds a datagram that came in through a socket, also one that somebody else received."""
        if not self._stopped:
            self._core.receive(data, source, via, self.now)
            self.step()

    def step(self) -> None:
        """Tells the core's events, sends its output and re-arms its timer."""
        if self._stepping or self._stopped:
            return
        self._stepping = True
        try:
            while events := self._core.events():
                for event in events:
                    self._on_event(event)
        except Exception:
            self.log.failure("a defect while acting on an event")
            self.stop()
        finally:
            self._stepping = False
        self._send()
        if not self._stopped:
            self._rearm()

    def _send(self) -> None:
        for datagram in self._core.to_send(self.now):
            self._sockets[datagram.via].send(datagram.payload, datagram.destination, datagram.ttl)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._core.next_wakeup()
        if when is not None:
            self._timer = self._reactor.callLater(max(0.0, when - self.now), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._core.wake(self.now)
        self.step()


def _drop(data: bytes, source: Address, arrived_at: str) -> None:
    """Receives nothing any more."""
