"""Finds out everything about the network that this machine is in: NATs, firewalls, routers that map ports."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.mapping import PortMapper
from relaykit.nat.sockets import drop
from relaykit.nat.upnp import UpnpRouter, is_available
from relaykit.sansio.nat.behavior import BehaviorDiscovery, NatBehavior, sockets_needed
from relaykit.sansio.nat.probing import QUICK, Answered, ProbeEvent, Prober, Question
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import UdpSocket

__all__ = [
    "USUAL_PORTS",
    "NatDetector",
    "NatReport",
    "PortMappingReport",
    "lookup",
    "places_of",
]

USUAL_PORTS = (7000, 3478)
"""Where a server is asked that is named without a port: that of relay servers, whose STUN has the number of
their TCP port, and that of STUN servers.  Source: RFC 8489 18.6."""

_TRIAL_PORT = 49151
"""A port that is mapped for a moment to see whether the router really does it; nothing listens there."""

SERVERS_MAX = 8
"""Most server addresses that are asked."""


@frozen
class PortMappingReport:
    """What the local router offers; the protocol is empty if it speaks none."""

    protocol: str = ""
    works: bool = False
    """Whether it mapped a port."""
    external_host: str = ""


@frozen(kw_only=True)
class NatReport:
    """All that was found out.  A family is None where no server has an address of it."""

    four: NatBehavior | None = None
    six: NatBehavior | None = None
    port_mapping: PortMappingReport = PortMappingReport()
    servers: Sequence[Address] = ()
    """Who was asked."""
    unknown_names: Sequence[str] = ()
    """Servers whose names have no address."""
    seconds: float = 0.0

    @property
    def works(self) -> bool:
        """Whether any server answered at all."""
        return any(each is not None and each.udp_works for each in (self.four, self.six))


def places_of(text: str) -> list[tuple[str, int]]:
    """Host and ports of ``host``, ``host:port``, ``[IPv6]:port`` or a bare IPv6 address.

    :raises ValueError: it is none of these.
    """
    host, port = _parse_server(text)
    return [(host, each) for each in ((port,) if port else USUAL_PORTS)]


def _parse_server(text: str) -> tuple[str, int | None]:
    if text.count(":") > 1 and not text.startswith("["):
        return text, None
    host, bracket, rest = text.removeprefix("[").partition("]") if text.startswith("[") else (text, "", "")
    if not bracket:
        host, _, rest = text.partition(":")
        rest = f":{rest}" if rest or text.endswith(":") else ""
    if rest and not (rest.startswith(":") and rest[1:].isdecimal() and 0 < int(rest[1:]) <= 65535):
        raise ValueError(f'"{text}" is no server: the port must be a number from 1 to 65535')
    if not host:
        raise ValueError(f'"{text}" is no server: there is no host name')
    return host, int(rest[1:]) if rest else None


class NatDetector:
    """Asks servers and the router.  Everything that it opens is closed again."""

    def __init__(
        self,
        reactor: IReactorTime,
        network: HostNetwork,
        entropy: Callable[[int], bytes] = os.urandom,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._entropy = entropy
        self._seconds = seconds

    async def report(self, servers: Sequence[str], lifetime: bool = False) -> NatReport:
        """Finds out everything; takes up to 10 s, and five minutes more with ``lifetime``.

        :raises ValueError: a server is not written as one.
        """
        began = self._seconds()
        addresses, unknown = await self._resolve([place for each in servers for place in places_of(each)])
        four = [each for each in addresses if ":" not in each.host]
        six = [each for each in addresses if ":" in each.host]
        found = await gatherResults(
            [
                Deferred.fromCoroutine(self.behavior(four, lifetime)),
                Deferred.fromCoroutine(self.behavior(six, False)),
            ],
            consumeErrors=True,
        )
        return NatReport(
            four=found[0],
            six=found[1],
            port_mapping=await self._port_mapping(),
            servers=tuple(addresses),
            unknown_names=tuple(unknown),
            seconds=self._seconds() - began,
        )

    async def _resolve(self, wanted: Sequence[tuple[str, int]]) -> tuple[list[Address], list[str]]:
        """The addresses of all servers, and the names that have none."""
        addresses: dict[Address, None] = {}
        unknown: dict[str, None] = {}
        for host, port in wanted:
            found = await self._network.call_in_thread(partial(lookup, host, port))
            if not found:
                unknown[host] = None
            addresses.update(dict.fromkeys(found))
        return list(addresses)[:SERVERS_MAX], list(unknown)

    async def behavior(self, servers: Sequence[Address], lifetime: bool = False) -> NatBehavior | None:
        """Everything about one address family, that of the servers; None if there are no servers."""
        if not servers:
            return None
        host = self._network.local_host_towards(servers[0])
        if not host:
            return NatBehavior(udp_works=False)
        sockets: list[UdpSocket] = []
        try:
            wildcard = "::" if ":" in host else "0.0.0.0"
            while len(sockets) < sockets_needed(lifetime):
                sockets.append(self._network.open_udp(wildcard, 0, drop))
            return await self._discover(servers, host, sockets, lifetime)
        except CannotListenError:
            return NatBehavior(udp_works=False)
        finally:
            for each in sockets:
                each.close()

    async def _discover(
        self, servers: Sequence[Address], host: str, sockets: Sequence[UdpSocket], lifetime: bool
    ) -> NatBehavior:
        answering = await self._answering(servers, sockets[-1])
        if not answering:
            return NatBehavior(udp_works=False)
        own = [Address(host, each.address.port) for each in sockets]
        core = BehaviorDiscovery(answering, own, self._entropy, lifetime)
        found: Deferred[NatBehavior] = Deferred()
        driver = DatagramDriver(core, sockets, self._reactor, found.callback, self._seconds)
        core.start(self._seconds())
        driver.start()
        try:
            return await found
        finally:
            driver.stop()

    async def _answering(self, servers: Sequence[Address], socket_: UdpSocket) -> list[Address]:
        """The servers that answer, those with a second address first."""
        core = Prober(self._entropy)
        answers: list[Answered] = []
        outcomes = 0
        done: Deferred[None] = Deferred()

        def on_event(event: ProbeEvent) -> None:
            nonlocal outcomes
            outcomes += 1
            if isinstance(event, Answered) and event.mapped is not None:
                answers.append(event)
            if outcomes == len(servers):
                done.callback(None)

        driver = DatagramDriver(core, [socket_], self._reactor, on_event, self._seconds)
        for server in servers:
            core.ask(Question(server=server, schedule=QUICK), self._seconds())
        driver.start()
        try:
            await done
        finally:
            driver.stop()
        answers.sort(key=lambda answer: (answer.message.other is None, servers.index(answer.question.server)))
        return [answer.question.server for answer in answers]

    async def _port_mapping(self) -> PortMappingReport:
        upnp = UpnpRouter(self._network) if is_available() else None
        mapper = PortMapper(self._reactor, self._network, upnp, self._entropy, self._seconds)
        mapper.startService()
        try:
            await mapper.when_asked()
            mapped = await mapper.map(_TRIAL_PORT)
            host = mapped[0].host if mapped else mapper.external_host
            return PortMappingReport(mapper.protocol, bool(mapped), host)
        finally:
            await mapper.stopService()


def lookup(host: str, port: int) -> list[Address]:
    """One address of each family; blocks."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return []
    first = {family: Address(str(name[0]), int(name[1])) for family, _, _, _, name in reversed(found)}
    return [first[family] for family in (socket.AF_INET, socket.AF_INET6) if family in first]
