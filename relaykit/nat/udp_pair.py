"""Two UDP sockets, one of each family, where a core knows of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.internet.error import CannotListenError

from relaykit.nat.sockets import drop

if TYPE_CHECKING:
    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import DatagramReceiver, UdpSocket
    from relaykit.values import Address

__all__ = ["UdpPair"]


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
