"""What punching needs of this machine's network, in one place; a laboratory puts another in its place."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ifaddr

from relaykit.nat.sockets import DatagramReceiver, UdpSocket, local_host_towards
from relaykit.sansio.nat.candidates import Interface
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet

__all__ = ["HostNetwork", "own_interfaces"]


class HostNetwork:
    """This machine's network."""

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor

    def open_udp(self, host: str, port: int, receiver: DatagramReceiver) -> UdpSocket:
        """A bound socket.

        :raises CannotListenError: the address cannot be bound.
        """
        return UdpSocket(self._reactor, host, port, receiver)

    def open_tcp(self, six: bool = False) -> socket.socket:
        """A stream socket that is neither bound nor connected, and does not block."""
        plain = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
        plain.setblocking(False)
        return plain

    def local_host_towards(self, destination: Address) -> str:
        """The address that datagrams to a destination come from; empty if there is no way there."""
        return local_host_towards(destination)

    def interfaces(self) -> Sequence[Interface]:
        """All addresses of all interfaces, as they are at this moment."""
        return own_interfaces()


def own_interfaces() -> Sequence[Interface]:
    """All addresses of all interfaces of this machine."""
    found = []
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            host = address.ip if isinstance(address.ip, str) else address.ip[0]
            found.append(Interface(adapter.name, host, address.network_prefix))
    return found
