"""The network of a machine in the laboratory in memory, as a session wants it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError

from relaykit.nat.network import HostNetwork
from relaykit.sansio.nat.candidates import Interface
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.testing.natlab import LabMachine
from relaykit.values import Address

__all__ = ["MemoryNetwork", "MemorySocket", "NoMapper"]


class MemorySocket:
    """What a :class:`relaykit.nat.sockets.UdpSocket` is, on a machine in memory."""

    def __init__(self, machine: LabMachine, host: str, port: int, receiver: Any) -> None:
        self.receiver = receiver
        self._machine = machine
        self._bound = machine.bind(port, self._arrived)
        self.address = Address(host, self._bound.port)
        self.closed = False
        self.batch_receiver: Any = None

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Sends."""
        if not self.closed and ":" not in destination.host:
            self._machine.send(self._bound, Datagram(payload, destination, ttl=ttl))
        return not self.closed

    def send_many(self, payloads: Sequence[bytes], destination: Address) -> int:
        """Sends them."""
        return sum(self.send(each, destination) for each in payloads)

    def receive_batches(self, receiver: Any) -> None:
        """Notes who takes them; the laboratory has none."""
        self.batch_receiver = receiver

    def close(self) -> None:
        """Closes."""
        if not self.closed:
            self.closed = True
            self._machine.close(self._bound)

    def _arrived(self, data: bytes, source: Address) -> None:
        self.receiver(data, source, "")


class NoMapper:
    """Asks no router for ports."""

    def map(self, port: int) -> Deferred[Sequence[Address]]:
        """Has none."""
        return succeed(())

    def release(self, port: int) -> None:
        """Has none."""


class MemoryNetwork(HostNetwork):
    """One machine; counts its sockets, and refuses more than there may be."""

    def __init__(self, machine: LabMachine, most: int = 1000) -> None:
        self.machine = machine
        self.sockets: list[MemorySocket] = []
        self.most = most

    @property
    def open(self) -> int:
        """How many sockets are open."""
        return sum(not each.closed for each in self.sockets)

    def open_udp(self, host: str, port: int, receiver: Any) -> Any:
        if self.open >= self.most:
            raise CannotListenError(host, port, OSError("too many open files"))
        self.sockets.append(MemorySocket(self.machine, host, port, receiver))
        return self.sockets[-1]

    def local_host_towards(self, destination: Address) -> str:
        return self.machine.host

    def interfaces(self) -> Sequence[Interface]:
        return [Interface("eth0", self.machine.host, 24)]

    def default_gateway(self) -> str:
        return ""

    def call_in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        return maybeDeferred(function)
