"""frp's discovery of a NAT on a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from relaykit.errors import RelaykitError
from relaykit.nat.driving import DatagramDriver
from relaykit.nat.sockets import drop
from relaykit.sansio.nat.frp_discovery import FrpDiscovery, NotSeen, Seen
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import UdpSocket
    from relaykit.sansio.nat.frp_discovery import FrpDiscoveryEvent

__all__ = ["DiscoveryFailed", "ask", "discover", "host_and_port"]


class DiscoveryFailed(RelaykitError):
    """The NAT could not be seen; the text is frp's."""

    problem = "nat-address"


def host_and_port(text: str) -> tuple[str, int]:
    """Host, which may be empty, and port of ``host:port``.

    :raises DiscoveryFailed: it is written in another way.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        raise DiscoveryFailed(f"address {text}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise DiscoveryFailed(f"address {text}: too many colons in address")
    if not port.isdecimal():
        raise DiscoveryFailed(f"lookup udp4/{port}: unknown port")
    if int(port) > 65535:
        raise DiscoveryFailed(f"address {port}: invalid port")
    return host, int(port)


async def discover(
    reactor: IReactorTime,
    network: HostNetwork,
    server: str,
    local: str = "",
    entropy: Callable[[int], bytes] = os.urandom,
) -> tuple[tuple[Address, ...], Address]:
    """The external addresses by a server's answers, and the local one; IPv4 only.

    ``local`` is where to bind, ``host:port`` or ``:port``; empty for a random port.

    :raises DiscoveryFailed: with the reason in frp's words.
    """
    host, port = await _resolve(network, local) if local else ("", 0)
    try:
        bound = network.open_udp(host or "0.0.0.0", port, drop)
    except CannotListenError as error:
        reason = getattr(error.socketError, "strerror", None) or error.socketError
        raise DiscoveryFailed(
            f"listen udp4 {host}:{port}: bind: {str(reason).lower()}", problem="nat-local-address"
        ) from error
    try:
        seen = await ask(reactor, network, bound, server, entropy)
    finally:
        bound.close()
    return seen, bound.address


async def ask(
    reactor: IReactorTime,
    network: HostNetwork,
    bound: UdpSocket,
    server: str,
    entropy: Callable[[int], bytes] = os.urandom,
) -> tuple[Address, ...]:
    """The external addresses of a socket by a server's answers; the socket stays open.

    :raises DiscoveryFailed: with the reason in frp's words.
    """
    host, port = await _resolve(network, server)
    if not host:
        raise DiscoveryFailed(f"address {server}: missing host in address")
    core = FrpDiscovery(Address(host, port), entropy)
    found: Deferred[FrpDiscoveryEvent] = Deferred()
    driver = DatagramDriver(core, [bound], reactor, found.callback, reactor.seconds)
    core.start(driver.now)
    driver.start()
    try:
        outcome = await found
    finally:
        driver.stop()
    if isinstance(outcome, NotSeen):
        raise DiscoveryFailed(outcome.text)
    assert isinstance(outcome, Seen)
    return outcome.addresses


async def _resolve(network: HostNetwork, text: str) -> tuple[str, int]:
    host, port = host_and_port(text)
    if host:
        host = await network.call_in_thread(partial(_lookup, host, port))
    return host, port


def _lookup(host: str, port: int) -> str:
    """The first IPv4 address of a name; blocks."""
    try:
        found = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise DiscoveryFailed(f"lookup {host}: no such host") from error
    return str(found[0][4][0])
