"""A punched path: one socket of ours, one address of the peer, and datagrams between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from relaykit.nat.sockets import drop
from relaykit.sansio.nat.checks import is_check
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from relaykit.nat.driving import DatagramDriver
    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import DatagramReceiver, UdpSocket
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nat.punching import Punched, PunchingEvent

__all__ = ["EARLY_MAX", "PunchedPath", "UdpPair"]

EARLY_MAX = 32
"""Datagrams kept for whoever is going to use a new path: the peer may be ready first."""


class UdpPair:
    """A socket of each family behind one number of a core, on one port if that can be had."""

    def __init__(self, network: HostNetwork, with_six: bool) -> None:
        self.four = network.open_udp("0.0.0.0", 0, drop)
        self.six: UdpSocket | None = None
        for port in (self.four.address.port, 0) if with_six else ():
            try:
                self.six = network.open_udp("::", port, drop)
            except CannotListenError:
                continue
            break

    def __iter__(self) -> Iterator[UdpSocket]:
        yield self.four
        if self.six is not None:
            yield self.six

    @property
    def receiver(self) -> DatagramReceiver:
        """Who gets what arrives on either socket."""
        return self.four.receiver

    @receiver.setter
    def receiver(self, receiver: DatagramReceiver) -> None:
        for each in self:
            each.receiver = receiver

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Sends through the socket of the destination's family."""
        chosen = self.six if ":" in destination.host else self.four
        return chosen is not None and chosen.send(payload, destination, ttl)

    def close(self) -> None:
        """Closes both."""
        for each in self:
            each.close()

    def keep(self, destination: Address) -> UdpSocket:
        """Answers the socket of the destination's family and closes the other one."""
        kept = self.four
        if ":" in destination.host:
            assert self.six is not None
            kept = self.six
        for each in self:
            if each is not kept:
                each.close()
        return kept


class PunchedPath:
    """Datagrams to and from the peer, through whatever is between.

    The owner of the path owns the socket.  Until a receiver is attached, the first
    ``EARLY_MAX`` datagrams are kept.  Datagrams of the punch itself are not shown; nor are
    those of anybody but the peer's address, unless ``any_source`` is asked for, as protocols do
    that can follow a peer whose NAT gave it another port.

    The punch keeps the path: it asks over it now and then, so that no NAT forgets it.
    """

    def __init__(
        self,
        socket: UdpSocket,
        result: Punched,
        role: PeerRole,
        driver: DatagramDriver[PunchingEvent],
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.socket = socket
        self.peer = result.peer
        self.role = role
        self.result = result
        self._driver = driver
        self._on_close = on_close
        self._receiver: DatagramReceiver | None = None
        self._any_source = False
        self._lost = False
        self._waiting: list[Deferred[Ended]] = []
        self._early: deque[tuple[bytes, Address, str]] = deque(maxlen=EARLY_MAX)
        socket.receiver = self._arrived

    def attach(self, receiver: DatagramReceiver, any_source: bool = False) -> None:
        """Names who gets what arrives, and delivers what has arrived."""
        self._receiver = receiver
        self._any_source = any_source
        while self._early:
            self._arrived(*self._early.popleft())

    def send(self, payload: bytes) -> bool:
        """Sends one datagram to the peer, or loses it."""
        return self.socket.send(payload, self.peer)

    def when_lost(self) -> Deferred[Ended]:
        """Fires once the peer has been silent for too long; the owner still closes the path.

        Cancelling it changes nothing.
        """
        waiting: Deferred[Ended] = Deferred()
        if self._lost:
            waiting.callback(Ended.TIMEOUT)
        else:
            self._waiting.append(waiting)
        return waiting

    def went_silent(self) -> None:
        """For who punches: nothing is heard of the peer any more."""
        self._lost = True
        self._driver.stop()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(Ended.TIMEOUT)

    def close(self) -> None:
        """Closes the socket; the peer is not told, but will notice."""
        self._driver.stop()
        self.socket.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _arrived(self, data: bytes, source: Address, arrived_at: str) -> None:
        if is_check(data):
            self._driver.arrived(self.result.via, data, source, arrived_at)
        elif self._receiver is None:
            if source == self.peer:
                self._early.append((data, source, arrived_at))
        elif self._any_source or source == self.peer:
            self._receiver(data, source, arrived_at)
