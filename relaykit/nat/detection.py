"""Finds out everything about the network that this machine is in: NATs, firewalls, routers that map ports."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from relaykit.nat.driving import DatagramDriver
from relaykit.nat.mapping import PortMapper
from relaykit.nat.sockets import drop
from relaykit.nat.upnp import UpnpFailed, UpnpRouter, is_available
from relaykit.sansio.nat.behavior import BehaviorDiscovery, NatBehavior, sockets_needed
from relaykit.sansio.nat.probing import QUICK, Answered, ProbeEvent, Prober, Question
from relaykit.timer import Timer
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork
    from relaykit.nat.sockets import UdpSocket

__all__ = [
    "NAMES_S",
    "OTHERS_S",
    "PORT_MAPPING_S",
    "SERVERS_MAX",
    "USUAL_PORTS",
    "BehaviorFound",
    "DetectionStep",
    "NamesFound",
    "NatDetector",
    "NatReport",
    "PortMappingReport",
    "ServersAnswered",
    "lookup",
    "places_of",
]

USUAL_PORTS = (7000, 3478)
"""Where a server is asked that is named without a port: that of relay servers, whose STUN has the number of
their TCP port, and that of STUN servers.  Source: RFC 8489 18.6."""

_TRIAL_PORT = 49151
"""A port that is mapped for a moment to see whether the router really does it; nothing listens there."""

SERVERS_MAX = 8
"""Most servers that are asked: each may have two addresses at each of the usual ports."""

NAMES_S = 1.5
"""How long all names are looked up, side by side.  A name server that lives answers within a second; the
system's own patience with a dead one is half a minute."""

OTHERS_S = 0.7
"""How much longer than the first server the others may take to answer: three datagrams to each, and a round
trip to the other side of the Earth."""

PORT_MAPPING_S = 5.0
"""How long the router has to answer, by all its protocols at once: PCP and NAT-PMP are given up after 3.75 s,
UPnP after 4.4 s, and then a port is mapped.  With the start of the program ``relaykit nat`` takes up to six
seconds."""


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


@frozen
class NamesFound:
    """The names of the servers were looked up: their addresses, and the names that have none."""

    addresses: Sequence[Address]
    unknown: Sequence[str]


@frozen
class ServersAnswered:
    """These servers of one family answered, maybe none; if any did, the NAT is looked at."""

    is_six: bool
    servers: Sequence[Address]


@frozen
class BehaviorFound:
    """One family was looked at."""

    is_six: bool
    behavior: NatBehavior


DetectionStep: TypeAlias = NamesFound | ServersAnswered | BehaviorFound | PortMappingReport
"""What has come out so far: the last one says what the router does."""


def _ignore(step: DetectionStep) -> None:
    pass


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
    """Asks servers and the router.  Everything that it opens is closed again.

    :param on_step: is told what has come out, as it does.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        network: HostNetwork,
        entropy: Callable[[int], bytes] = os.urandom,
        seconds: Callable[[], float] = time.monotonic,
        on_step: Callable[[DetectionStep], None] = _ignore,
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._entropy = entropy
        self._seconds = seconds
        self._on_step = on_step

    async def report(self, servers: Sequence[str], lifetime: bool = False) -> NatReport:
        """Finds out everything, side by side; takes up to 6 s, and five minutes more with ``lifetime``.

        :raises ValueError: a server is not written as one, or there are more than :data:`SERVERS_MAX`.
        """
        if len(servers) > SERVERS_MAX:
            raise ValueError(f"{len(servers)} servers are too many to ask; name up to {SERVERS_MAX}")
        places = [place for each in servers for place in places_of(each)]
        began = self._seconds()
        both: list[Deferred[Any]] = [
            Deferred.fromCoroutine(self._ask_servers(places, lifetime)),
            Deferred.fromCoroutine(self._ask_router()),
        ]
        asked: NatReport
        asked, router = await gatherResults(both, consumeErrors=True)
        return evolve(asked, port_mapping=router, seconds=self._seconds() - began)

    async def _ask_servers(self, places: Sequence[tuple[str, int]], lifetime: bool) -> NatReport:
        found = await self._resolve(places)
        self._on_step(found)
        four = [each for each in found.addresses if ":" not in each.host]
        six = [each for each in found.addresses if ":" in each.host]
        behaviors = await gatherResults(
            [
                Deferred.fromCoroutine(self.behavior(four, lifetime)),
                Deferred.fromCoroutine(self.behavior(six, False)),
            ],
            consumeErrors=True,
        )
        return NatReport(
            four=behaviors[0],
            six=behaviors[1],
            servers=tuple(found.addresses),
            unknown_names=tuple(found.unknown),
        )

    async def _resolve(self, places: Sequence[tuple[str, int]]) -> NamesFound:
        """The addresses of all servers, and the names that have none, or none in time."""
        hosts = list(dict.fromkeys(host for host, _ in places))
        lookups = []
        for host in hosts:
            looking = self._network.call_in_thread(partial(lookup, host, 0))
            lookups.append(looking.addTimeout(NAMES_S, self._reactor).addErrback(_none_in_time))
        found = dict(zip(hosts, await gatherResults(lookups, consumeErrors=True), strict=True))
        addresses = [Address(each.host, port) for host, port in places for each in found[host]]
        return NamesFound(list(dict.fromkeys(addresses)), [host for host in hosts if not found[host]])

    async def behavior(self, servers: Sequence[Address], lifetime: bool = False) -> NatBehavior | None:
        """Everything about one address family, that of the servers; None if there are no servers."""
        if not servers:
            return None
        found = await self._behavior(servers, lifetime)
        self._on_step(BehaviorFound(":" in servers[0].host, found))
        return found

    async def _behavior(self, servers: Sequence[Address], lifetime: bool) -> NatBehavior:
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
        self._on_step(ServersAnswered(":" in host, answering))
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
        """The servers that answer, those first that have a second address, or at least a second port."""
        core = Prober(self._entropy)
        answers: list[Answered] = []
        outcomes = 0
        done: Deferred[None] = Deferred()
        late = Timer(self._reactor, lambda: done.callback(None))

        def on_event(event: ProbeEvent) -> None:
            nonlocal outcomes
            outcomes += 1
            if isinstance(event, Answered) and event.mapped is not None:
                answers.append(event)
                if len(answers) == 1:
                    late.set(self._reactor.seconds() + OTHERS_S)
            if outcomes == len(servers) and not done.called:
                late.set(None)
                done.callback(None)

        driver = DatagramDriver(core, [socket_], self._reactor, on_event, self._seconds)
        for server in servers:
            core.ask(Question(server=server, schedule=QUICK), self._seconds())
        driver.start()
        try:
            await done
        finally:
            late.set(None)
            driver.stop()
        answers.sort(key=lambda answer: (_usefulness(answer), servers.index(answer.question.server)))
        return [answer.question.server for answer in answers]

    async def _ask_router(self) -> PortMappingReport:
        asking = Deferred.fromCoroutine(self._port_mapping())
        found = await asking.addTimeout(PORT_MAPPING_S, self._reactor).addErrback(_no_router_in_time)
        self._on_step(found)
        return found

    async def _port_mapping(self) -> PortMappingReport:
        """What the router does by PCP or NAT-PMP; else by UPnP, whose devices are looked for meanwhile."""
        upnp = UpnpRouter(self._network) if is_available() else None
        looking: Deferred[Any] = succeed(None) if upnp is None else upnp.find()
        looking.addErrback(_no_device)
        mapper = PortMapper(self._reactor, self._network, None, self._entropy, self._seconds)
        mapper.startService()
        try:
            await mapper.when_asked()
            if mapper.protocol:
                looking.cancel()
                mapped = await mapper.map(_TRIAL_PORT)
                host = mapped[0].host if mapped else mapper.external_host
                return PortMappingReport(mapper.protocol, bool(mapped), host)
        finally:
            await mapper.stopService()
        outer: str | None = await looking
        if upnp is None or outer is None:
            return PortMappingReport()
        try:
            external = await upnp.map(_TRIAL_PORT)
            await upnp.unmap(external.port)
        except UpnpFailed:
            return PortMappingReport("UPnP", False, outer)
        return PortMappingReport("UPnP", True, external.host)


def _usefulness(answer: Answered) -> int:
    """0 for a server with a second address, 1 for one with a second port, 2 for one without."""
    other = answer.other
    if other is None:
        return 2
    return int(other.host == answer.question.server.host)


def _none_in_time(failure: Failure) -> list[Address]:
    failure.trap(DeadlinePassed)
    return []


def _no_router_in_time(failure: Failure) -> PortMappingReport:
    failure.trap(DeadlinePassed)
    return PortMappingReport()


def _no_device(failure: Failure) -> None:
    failure.trap(UpnpFailed, CancelledError)


def lookup(host: str, port: int) -> list[Address]:
    """One address of each family; blocks."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return []
    first = {family: Address(str(name[0]), int(name[1])) for family, _, _, _, name in reversed(found)}
    return [first[family] for family in (socket.AF_INET, socket.AF_INET6) if family in first]
