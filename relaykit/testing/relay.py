"""A relay in memory, for authors of proxy types: a real server and real clients.

:class:`MemoryRelay` runs a :class:`relaykit.server.service.RelayServer`, and for each proxy and each visitor
a :class:`relaykit.client.service.RelayClient` of its own.  Only the network is in memory: sockets, local
services and hole punching.  Nothing waits: each call runs until all is quiet, and time passes by
:meth:`MemoryRelay.advance`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import directlyProvides, implementer, providedBy

from relaykit.client.heartbeats import keepalive_of
from relaykit.client.network import Network
from relaykit.client.paths import Route
from relaykit.client.service import RelayClient
from relaykit.config.load import ConfiguredProxy, ConfiguredVisitor, LoadedClient, LoadedServer
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport, ServerConfig
from relaykit.config.schema.auth import ClientAuth, ServerAuth
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.virtual_network import VirtualNetwork
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode
from relaykit.interfaces import (
    IDatagramAcceptor,
    IDatagramReceiver,
    ILegAcceptor,
    ILegReceiver,
    IMessagingProxyType,
    IProxyType,
    IServerObserver,
)
from relaykit.nat.network import HostNetwork
from relaykit.nat.network_info import NetworkInfo
from relaykit.options import LoadBalancer, Options, ProxyCommon, ProxyTransport
from relaykit.plugins import ProxyTypes
from relaykit.sansio.control.server_life import CLOSE_S, DRAIN_S
from relaykit.sansio.nat.behavior import NatBehavior
from relaykit.server import network as server_network
from relaykit.server.events import ProxyExposed, ProxyRefused, UserLeft
from relaykit.server.groups import ProxyGroup
from relaykit.server.service import RelayServer
from relaykit.testing.direct_paths import MemoryPunching
from relaykit.testing.holes import MemoryHoles
from relaykit.testing.memory import MemoryNetwork
from relaykit.testing.ports import MemoryPorts, datagram_pair
from relaykit.values import Ended, Origin, Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaykit.dataplane.local_services import Announce
    from relaykit.interfaces import (
        IBackend,
        IClientHost,
        IDatagramLeg,
        IDatagramStreams,
        IDirectPath,
        IExposure,
        IIngress,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
        IVisitableProxyType,
        IVisitor,
        IVisitorHost,
    )
    from relaykit.options import VisitorCommon
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nat.punching import FailureReason
    from relaykit.testing.memory import MemoryLeg
    from relaykit.values import Address, Traffic

__all__ = [
    "DatagramService",
    "LocalService",
    "MemoryRelay",
    "Published",
    "Visiting",
    "collecting",
    "echoing",
    "echoing_datagrams",
]

LocalService = Callable[["MemoryLeg"], None]
"""What gets the service's end of each connection that a backend makes to its local service."""

DatagramService = Callable[["IDatagramLeg"], None]
"""The same for a local service that takes datagrams."""

_TOKEN = Secret("what server and clients share")


@define(eq=False)
class Published:
    """A proxy that is registered: both halves of it, running."""

    proxy: IRegisteredProxy
    exposure: IExposure
    backend: IBackend
    host: IClientHost
    client: RelayClient
    connections: list[MemoryLeg]
    """The client's connections to the server, to be cut or stalled."""
    flows: list[Traffic]
    """What the server accounted, flow by flow; filled as they end."""
    _relay: MemoryRelay = field(repr=False)

    @property
    def address(self) -> str:
        """What the client is told that users dial."""
        return str(self.exposure.address)

    def withdraw(self) -> None:
        """Takes the proxy back: it is closed to users and its backend stops; the client stays logged in."""
        self.client.update((), ())
        self._relay.settle()


@define(eq=False)
class Visiting:
    """A visitor, running."""

    visitor: IVisitor
    host: IVisitorHost
    client: RelayClient
    connections: list[MemoryLeg]
    """The client's connections to the server, to be cut or stalled."""
    _relay: MemoryRelay = field(repr=False)

    def dial(self, origin: Origin | None = None) -> MemoryLeg:
        """Connects a local user to the visitor, and answers the user's own end."""
        user, leg = self._relay.network.pair()
        ILegAcceptor(self.visitor).leg_accepted(leg, origin or Origin(source=leg.peer, destination=leg.host))
        self._relay.settle()
        return user

    def dial_datagrams(self, origin: Origin | None = None) -> IDatagramLeg:
        """The same for a user who sends datagrams."""
        user, leg = datagram_pair(self._relay.network)
        IDatagramAcceptor(self.visitor).leg_accepted(leg, origin or Origin(leg.peer, leg.host))
        self._relay.settle()
        return user

    def stop(self) -> None:
        """Stops the visitor and its client, which lets users stay for some seconds."""
        self._relay._stop(self.client)


class MemoryRelay:
    """A relay server and its clients, in memory.

    ``config`` are keys of the server's configuration, as attributes of
    :class:`relaykit.config.schema.ServerConfig`.
    """

    def __init__(self, **config: Any) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.ports = MemoryPorts(self.network)
        """The ports of all machines, that which clients dial included."""
        self.wire_protocol = "auto"
        """Which version of frp's wire the next clients speak: in ``v1`` there are none of relaykit's
        extensions, as with frp's own clients."""
        self.punching_fails: FailureReason | None = None
        """Why no two ends get a direct path; None: they do."""
        self.paths_of_tcp = False
        """Whether direct paths are made of TCP; otherwise they are of UDP."""
        self.path_streams: IDatagramStreams | None = None
        """What makes streams of paths of UDP, such as ``relaykit.carriers.quic.opening.QuicStreams``."""
        self.holes = MemoryHoles(self.network)
        """The holes that clients punch as frp's do."""
        self._paths: dict[bytes, IDirectPath] = {}
        # Held here, because nobody else may hold what waits for something that never comes.
        self._work: set[Deferred[None]] = set()
        self._clients: list[RelayClient] = []
        self._guests: dict[str, Any] = {}
        self._events = _Events()
        probe = _Guest(_Probe(), self._work)
        self._guests[_Probe.name] = probe
        self._types = ProxyTypes(self._guests)
        self.server = RelayServer(
            ServerConfig(stun_port=-1, auth=ServerAuth(bound="off"), **config),
            _TOKEN,
            self._types,
            self.clock,
            ingress_options={_Probe.name: Options()},
            make_network=self._make_server_network,
        )
        self.server.observe(self._events)
        self.server.startService()
        self._now(self.server.when_ready())
        assert probe.server_host is not None
        self.host: IServerHost = probe.server_host
        """What ingresses get."""

    @property
    def open_ports(self) -> list[int]:
        """The TCP ports that are open for users, on all machines."""
        return [port for port in self.ports if port != self.server.port]

    @property
    def working(self) -> int:
        """Work connections that a backend has and has not come to the end of."""
        return len(self._work)

    def publish(
        self,
        proxy_type: IProxyType,
        options: Options,
        *,
        name: str = "under-test",
        local: LocalService | None = None,
        local_datagrams: DatagramService | None = None,
        user: str = "",
        transport: ProxyTransport | None = None,
        ingress_options: Options | None = None,
        load_balancer: LoadBalancer | None = None,
    ) -> Published:
        """Has a client register a proxy; None for a local service is one that refuses connections.

        ``ingress_options`` count for the first proxy of a type, which makes the ingress.  The exposure of a
        member of a group is the group's.

        :raises ProxyRefusedError: the server does.
        """
        guest = self._guest(proxy_type)
        guest.configured = guest.configured or ingress_options
        machine = _Machine(self, local, local_datagrams)
        common = ProxyCommon(
            name=name,
            type=proxy_type.name,
            transport=transport or ProxyTransport(),
            load_balancer=load_balancer or LoadBalancer(),
        )
        name = f"{user}.{name}" if user else name
        seen, opened = len(self._events.refused), self._events.exposed[name]
        client = self._run(machine, user, ConfiguredProxy(common, options, proxy_type.name))
        if self._events.refused[seen:]:
            self._stop(client)
            refused = self._events.refused[-1]
            raise ProxyRefusedError(RefusalCode(refused.code), refused.reason)
        if self._events.exposed[name] == opened:
            raise AssertionError("not exposed although all is quiet: does it wait for time to pass?")
        proxy, exposure = guest.exposed_as(name)
        backend, host = guest.made
        flows = self._events.flows.setdefault(proxy.name, [])
        return Published(proxy, exposure, backend, host, client, machine.connections, flows, self)

    def visit(
        self,
        proxy_type: IVisitableProxyType,
        common: VisitorCommon,
        options: Options | None = None,
        *,
        user: str = "",
        source: Address | None = None,
    ) -> Visiting:
        """Starts a visitor of a client whose user is ``user`` and which dials the server from ``source``."""
        guest = self._guest(proxy_type)
        machine = _Machine(self, source=source)
        made = options if options is not None else proxy_type.visitor_options()
        client = self._run(machine, user, ConfiguredVisitor(common, made, proxy_type.name))
        visitor, host = guest.made
        return Visiting(visitor, host, client, machine.connections, self)

    def reconfigure(self, proxy_type: IProxyType, ingress_options: Options) -> None:
        """Has the server read its file again, which has other options of a type now.

        :raises RelaykitError: it cannot be, and nothing has changed.
        """
        self._guest(proxy_type)
        options = {**self.server.ingress_options, proxy_type.name: ingress_options}
        self._now(self.server.reload(LoadedServer(self.server.config, options, ()), _TOKEN))

    def dial(self, port: int, source: Address | None = None) -> MemoryLeg:
        """Connects a user to an open port, and answers the user's own end.

        :raises ConnectionFailed: nobody listens there.
        """
        user = self.ports.dial(port, source)
        self.settle()
        return user

    def stop(self) -> None:
        """Stops every client, then the server; users that are left get the seconds that they always get."""
        for client in list(self._clients):
            self._stop(client)
        self._stop(self.server)

    def settle(self) -> None:
        """Lets everything happen that does not need time to pass."""
        self.network.advance(0.0)

    def advance(self, seconds: float) -> None:
        """Lets time pass, from one thing that happens to the next."""
        self.network.advance(seconds)

    def _guest(self, proxy_type: IProxyType) -> _Guest:
        guest: _Guest | None = self._guests.get(proxy_type.name)
        if guest is None:
            guest = self._guests[proxy_type.name] = _Guest(proxy_type, self._work)
        return guest

    def _run(
        self, machine: _Machine, user: str, configured: ConfiguredProxy | ConfiguredVisitor
    ) -> RelayClient:
        transport = ClientTransport(wire_protocol=self.wire_protocol, tls=ClientTls(enable=False))
        config = ClientConfig(user=user, auth=ClientAuth(bound="off"), transport=transport)
        proxies = (configured,) if isinstance(configured, ConfiguredProxy) else ()
        visitors = (configured,) if isinstance(configured, ConfiguredVisitor) else ()
        client = RelayClient(
            LoadedClient(config, proxies, visitors, ()),
            _TOKEN,
            self._types,
            self.clock,
            make_network=machine.make_network,
        )
        self._clients.append(client)
        client.startService()
        self._now(client.when_first_login())
        return client

    def _stop(self, service: Any) -> None:
        if service in self._clients:
            self._clients.remove(service)
        stopped: Deferred[None] = service.stopService()
        self.settle()
        if not stopped.called:
            self.advance(DRAIN_S + CLOSE_S)
        assert stopped.called, "stopping takes longer than it may"

    def _now(self, result: Deferred[Any]) -> None:
        """Waits for what needs no time; raises what it failed with."""
        failures: list[Any] = []
        result.addErrback(failures.append)
        self.settle()
        if failures:
            failures[0].raiseException()
        assert result.called, "not done although all is quiet"

    def _make_server_network(self, reactor: Any) -> server_network.Network:
        return server_network.Network(
            self.network, self._make_data_plane(), self.ports.listen, self.ports.listen_datagrams
        )

    def _make_data_plane(self) -> DataPlane:
        return DataPlane([CopyForwarder(self.clock.seconds)], self.network)

    def _punch(
        self,
        reactor: Any,
        network_info: NetworkInfo,
        role: PeerRole,
        key: bytes,
        send_candidates: Callable[[dict[str, object]], None],
    ) -> MemoryPunching:
        network = self.network if self.paths_of_tcp else None
        return MemoryPunching(
            role, key, send_candidates, self.punching_fails, self._paths, network, self.path_streams
        )


class _Machine:
    """The machine that a client runs on: its way to the server, its local services, its ports."""

    def __init__(
        self,
        relay: MemoryRelay,
        local: LocalService | None = None,
        local_datagrams: DatagramService | None = None,
        source: Address | None = None,
    ) -> None:
        self._relay = relay
        self._local = local
        self._local_datagrams = local_datagrams
        self._source = source
        self.connections: list[MemoryLeg] = []

    def make_network(self, config: ClientConfig, reactor: Any) -> Network:
        """What a client takes for the network."""
        relay, transport = self._relay, config.transport
        return Network(
            lambda config: Route(
                self._connect, transport.tcp_mux, relay.network, relay.clock, keepalive_of(transport)
            ),
            self._dial,
            self._dial_datagrams,
            relay.ports.listen,
            relay.ports.listen_datagrams,
            relay._make_data_plane(),
            lambda on_change: Service(),
            NetworkInfo(network=_NoNames(reactor), behavior=NatBehavior(udp_works=True), mapper=_NoMapper()),
            lambda clock, network_info, stun_server: relay.holes,
            relay.holes.streams,
            VirtualNetwork(relay.network),
            lambda host, peer: False,
            relay._punch,
        )

    def _connect(self) -> Deferred[IStreamLeg]:
        try:
            leg = self._relay.ports.dial(self._relay.server.port, self._source)
        except ConnectionFailed as error:
            return fail(error)
        self.connections.append(leg)
        return succeed(leg)

    def _dial(self, endpoint: str, origin: Origin, announce: Announce) -> Deferred[IStreamLeg]:
        if self._local is None:
            return fail(ConnectionFailed(f"cannot connect to {endpoint}: connection refused"))
        near, far = self._relay.network.pair()
        self._local(far)
        return succeed(near)

    def _dial_datagrams(self, endpoint: str) -> Deferred[IDatagramLeg]:
        if self._local_datagrams is None:
            return fail(ConnectionFailed(f"cannot connect to {endpoint}: connection refused"))
        near, far = datagram_pair(self._relay.network)
        self._local_datagrams(far)
        return succeed(near)


class _NoNames(HostNetwork):
    """A network in which no name has an address, for the little that is looked up."""

    def call_in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        return succeed(())


class _NoMapper:
    """A router that maps no ports."""

    def map(self, port: int) -> Deferred[Sequence[Address]]:
        return succeed(())

    def release(self, port: int) -> None:
        """Nothing was mapped."""


# --- what is watched of a proxy type --------------------------------------------------------------


class _Watched:
    """Is what it stands for, but for what a subclass watches."""

    def __init__(self, watched: Any) -> None:
        self._watched = watched
        directlyProvides(self, providedBy(watched))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)


class _Guest(_Watched):
    """A proxy type, and what it made last; it is its own reference."""

    module = "in memory"

    def __init__(self, proxy_type: IProxyType, work: set[Deferred[None]]) -> None:
        super().__init__(proxy_type)
        self._work = work
        self.configured: Options | None = None
        """The options that a test gives its ingress."""
        self.server_host: IServerHost | None = None
        self.exposed: list[tuple[IRegisteredProxy, IExposure]] = []
        self.has_messages = IMessagingProxyType.providedBy(proxy_type)
        self.made: tuple[Any, Any]
        """A backend or a visitor, with its host."""

    def exposed_as(self, name: str) -> tuple[IRegisteredProxy, IExposure]:
        """The proxy of a name that was exposed last, and its exposure or its group's."""
        return next(
            (member, exposure)
            for proxy, exposure in reversed(self.exposed)
            for member in (proxy.members if isinstance(proxy, ProxyGroup) else (proxy,))
            if member.name == name
        )

    def load(self) -> Any:
        """The type, watched."""
        return self

    def make_ingress(self, options: Options, host: IServerHost) -> Any:
        self.server_host = host
        return _WatchedIngress(self._watched.make_ingress(self.configured or options, host), self)

    def make_backend(self, options: Options, host: IClientHost) -> Any:
        self.made = self._watched.make_backend(options, host), host
        return _WatchedBackend(self.made[0], self._work)

    def make_visitor(self, options: Options, host: IVisitorHost) -> IVisitor:
        visitor: IVisitor = self._watched.make_visitor(options, host)
        self.made = visitor, host
        return visitor


class _WatchedIngress(_Watched):
    def __init__(self, ingress: IIngress, guest: _Guest) -> None:
        super().__init__(ingress)
        self._guest = guest

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        exposure: IExposure = await self._watched.expose(proxy)
        self._guest.exposed.append((proxy, exposure))
        return exposure


class _WatchedBackend(_Watched):
    def __init__(self, backend: IBackend, work: set[Deferred[None]]) -> None:
        super().__init__(backend)
        self._work = work

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        working: Deferred[None] = Deferred.fromCoroutine(self._watched.work_assigned(leg, origin))
        self._work.add(working)
        try:
            await working
        finally:
            self._work.discard(working)


@implementer(IProxyType)
class _Probe:
    """A type that nobody registers: gets what ingresses get."""

    name = "probe"
    summary = "gets what ingresses get"
    proxy_options = ingress_options = Options

    def make_ingress(self, options: Options, host: IServerHost) -> Any:
        return Service()

    def make_backend(self, options: Options, host: IClientHost) -> IBackend:
        raise NotImplementedError


@implementer(IServerObserver)
class _Events:
    """What the server tells: who was refused, and what flowed."""

    follows_users = True

    def __init__(self) -> None:
        self.exposed: Counter[str] = Counter()
        self.refused: list[ProxyRefused] = []
        self.flows: dict[str, list[Traffic]] = {}

    def on_event(self, event: Any) -> None:
        if isinstance(event, ProxyRefused):
            self.refused.append(event)
        elif isinstance(event, ProxyExposed):
            self.exposed[event.name] += 1
        elif isinstance(event, UserLeft):
            self.flows.setdefault(event.proxy, []).append(event.traffic)


# --- local services -------------------------------------------------------------------------------


def echoing(leg: MemoryLeg) -> None:
    """A local service that sends back what it gets."""
    leg.attach(_Echo(leg))


def echoing_datagrams(leg: IDatagramLeg) -> None:
    """A local service that sends back each datagram."""
    leg.attach(_DatagramEcho(leg))


def collecting(legs: list[MemoryLeg]) -> LocalService:
    """A local service whose connections are collected, for the test to speak on."""
    return legs.append


@implementer(ILegReceiver)
@define(eq=False)
class _Echo:
    _leg: MemoryLeg

    def data_received(self, data: Any) -> None:
        self._leg.write(bytes(data))

    def end_received(self) -> None:
        self._leg.finish_writing()

    def leg_lost(self, reason: Ended) -> None:
        """An echo has nothing to clean up."""


@implementer(IDatagramReceiver)
@define(eq=False)
class _DatagramEcho:
    _leg: IDatagramLeg

    def datagram_received(self, data: Any) -> None:
        self._leg.send(bytes(data))

    def leg_lost(self, reason: Ended) -> None:
        """An echo has nothing to clean up."""
