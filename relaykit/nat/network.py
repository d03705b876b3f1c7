"""What punching needs of this machine's network, in one place; a laboratory puts another in its place."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import ifaddr
from twisted.internet.defer import Deferred

from relaykit.blocking import call_in_thread
from relaykit.nat.sockets import ANYWHERE, DatagramReceiver, UdpSocket, local_host_towards
from relaykit.sansio.nat.candidates import Interface
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet, IReactorThreads, IReactorTime

    class NatReactor(IReactorFDSet, IReactorTime):
        """A reactor that watches descriptors and waits."""

    class HostReactor(IReactorFDSet, IReactorThreads):
        """A reactor that watches descriptors and has threads."""


__all__ = ["HostNetwork", "default_gateway", "gateway_of", "network_mark", "own_interfaces"]


ResultT = TypeVar("ResultT")

_ROUTES = Path("/proc/thread-self/net/route")
_FLAG_UP, _FLAG_GATEWAY = 1, 2
_FOUR_PREFIX, _SIX_PREFIX = 24, 64


class HostNetwork:
    """This machine's network."""

    def __init__(self, reactor: HostReactor) -> None:
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

    def default_gateway(self) -> str:
        """The IPv4 router that leads to the Internet; empty if there is none or it cannot be known."""
        return default_gateway()

    def call_in_thread(self, function: Callable[[], ResultT]) -> Deferred[ResultT]:
        """Runs what blocks, in a thread of its own that sees the same network.

        The program ends without it: who asks a name server that is dead waits for half a minute.
        """
        return call_in_thread(self._reactor, function)


def own_interfaces() -> Sequence[Interface]:
    """All addresses of all interfaces of this machine."""
    found = []
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            host = address.ip if isinstance(address.ip, str) else address.ip[0]
            found.append(Interface(adapter.name, host, address.network_prefix))
    return found


def default_gateway() -> str:
    """The IPv4 router that leads to the Internet; empty where the system does not tell."""
    try:
        table = _ROUTES.read_text("ascii")
    except OSError:
        return ""
    return gateway_of(table)


def gateway_of(table: str) -> str:
    """The gateway of the default route with the smallest metric, in Linux's table of routes."""
    found: list[tuple[int, str]] = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[1] != "00000000" or words[7] != "00000000":
            continue
        if int(words[3], 16) & (_FLAG_UP | _FLAG_GATEWAY) == _FLAG_UP | _FLAG_GATEWAY:
            host = int(words[2], 16).to_bytes(4, sys.byteorder)
            found.append((int(words[6]), str(ipaddress.IPv4Address(host))))
    return min(found)[1] if found else ""


def network_mark() -> str:
    """What tells the network that this machine is in from others: its prefixes, and its router.

    Two networks may have the same.  Empty where there is no way out.
    """
    hosts = [host for host in map(local_host_towards, ANYWHERE) if host]
    return " ".join(filter(None, (default_gateway(), *map(_prefix, hosts))))


def _prefix(host: str) -> str:
    """The network of an address, as long as such networks mostly are."""
    length = _SIX_PREFIX if ":" in host else _FOUR_PREFIX
    return str(ipaddress.ip_network((host.partition("%")[0], length), strict=False))
