"""A relay in memory, for authors of proxy types: both roles' hosts, wired to each other.

:class:`MemoryRelay` stands for the server, its clients and the network between them.  What is under
test is the proxy type: its ingress, its backends and its visitors run unchanged; bytes are moved by
relaykit's own copying forwarder, and options and signals travel as JSON, as they would between two
processes.  Nothing waits: each call runs until all is quiet, and time passes by
``relay.clock.advance``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.datagrams import FramedDatagramLeg
from relaykit.dataplane.listening import PortInUse
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.shared_ports import SharedPorts
from relaykit.errors import (
    ConnectionFailed,
    NoWorkConnection,
    ProxyRefusedError,
    RefusalCode,
    RefusedError,
    RelaykitError,
    RemoteProtocolError,
    SessionLost,
    VisitRefusedError,
    ended_by,
)
from relaykit.interfaces import (
    IClientHost,
    IDatagramLeg,
    IDirectPath,
    IDirectPaths,
    IFlow,
    ILegReceiver,
    IListeningPort,
    IPorts,
    IRegisteredProxy,
    IServerHost,
    ISignalPeer,
    ISignalReceiver,
    IVisit,
    IVisitable,
    IVisitorHost,
)
from relaykit.nat.direct_paths import DirectPaths
from relaykit.nat.rendezvous import RendezvousPoints
from relaykit.options import Options, ProxyCommon, VisitorCommon, from_wire, to_wire
from relaykit.sansio.nat.server_rendezvous import ServerRendezvous
from relaykit.testing.direct_paths import MemoryPunching
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, ClientIdentity, Ended, Origin, Traffic

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint

    from relaykit.interfaces import (
        IBackend,
        IDatagramAcceptor,
        IDatagramLeg,
        IExposure,
        IIngress,
        ILegAcceptor,
        IPortHolder,
        IProxyType,
        IStreamLeg,
        IVisitableProxyType,
        IVisitor,
    )
    from relaykit.sansio.contract import Recognizer
    from relaykit.sansio.nat.client_rendezvous import RendezvousBegun
    from relaykit.sansio.nat.punching import FailureReason
    from relaykit.testing.memory import MemoryLeg
    from relaykit.values import Secret

__all__ = [
    "LocalService",
    "MemoryClientHost",
    "MemoryPorts",
    "MemoryProxy",
    "MemoryRelay",
    "MemoryServerHost",
    "MemoryVisit",
    "MemoryVisitorHost",
    "Published",
    "Visiting",
    "collecting",
    "echoing",
]

LocalService = Callable[["MemoryLeg"], None]
"""What gets the service's end of each connection that a backend makes to its local service."""

_FIRST_PICKED_PORT = 50_000
"""Where the search for a port begins when a proxy asks for port 0."""

_ResultT = TypeVar("_ResultT")


@define(eq=False)
class Published:
    """A proxy that is registered: both halves of it, running."""

    proxy: IRegisteredProxy
    exposure: IExposure
    backend: IBackend
    host: IClientHost
    flows: list[Traffic]
    """What the server accounted, flow by flow; filled as they end."""
    _relay: MemoryRelay = field(repr=False)

    @property
    def address(self) -> str:
        """What the client is told that users dial."""
        return str(self.exposure.address)

    def withdraw(self) -> None:
        """Takes the proxy back: it is closed to users and its backend stops."""
        self._relay._withdraw(self)


@define(eq=False)
class Visiting:
    """A visitor, running."""

    visitor: IVisitor
    host: IVisitorHost
    _relay: MemoryRelay = field(repr=False)

    def dial(self, origin: Origin | None = None) -> MemoryLeg:
        """Connects a local user to the visitor, and answers the user's own end."""
        user, leg = self._relay.network.pair()
        self.visitor.user_accepted(leg, origin or Origin(source=leg.peer, destination=leg.host))
        self._relay.settle()
        return user

    def stop(self) -> None:
        """Stops the visitor."""
        self._relay._result(_waiting(self.visitor.stopService()))


class MemoryRelay:
    """A relay server and its clients, in memory.

    Test doubles at the edges, each of them checked to provide what the real one provides:
    ``takes_signals``, ``half_close`` and ``has_work_connections`` are what both ends agreed on or
    have; change them to see a proxy type without.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.data_plane = DataPlane([CopyForwarder(self.clock.seconds)], self.network)
        self.ports = MemoryPorts(self)
        self.takes_signals = True
        self.half_close = True
        self.has_work_connections = True
        self.punching_fails: FailureReason | None = None
        """Why no two ends get a direct path; None: they do."""
        self.paths_of_tcp = False
        """Whether direct paths are made of TCP; otherwise they are of UDP."""
        self.rendezvous = RendezvousPoints(ServerRendezvous(self._entropy), self.clock)
        # Held here, because nobody else may hold what waits for something that never comes.
        self._work: set[Deferred[None]] = set()
        self._published: dict[str, Published] = {}
        self._ingresses: dict[str, IIngress] = {}
        self._logins = 0
        self._chance = random.Random(0)
        self._paths: dict[bytes, IDirectPath] = {}

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
        user: str = "",
        ingress_options: Options | None = None,
    ) -> Published:
        """Registers a proxy; ``local`` is its local service, None for one that refuses connections.

        ``ingress_options`` count for the first proxy of a type, which makes the ingress.

        :raises ProxyRefusedError: the ingress does.
        """
        wire_name = _wire_name(user, name)
        if wire_name in self._published:
            raise ProxyRefusedError(RefusalCode.NAME_IN_USE, f"proxy [{wire_name}] already exists")
        ingress = self._ingresses.get(proxy_type.name)
        if ingress is None:
            made = ingress_options if ingress_options is not None else proxy_type.ingress_options()
            ingress = proxy_type.make_ingress(made, MemoryServerHost(self))
            ingress.startService()
            self._ingresses[proxy_type.name] = ingress
        common = ProxyCommon(name=name, type=proxy_type.name)
        travelled = _through_json({**to_wire(common), **to_wire(options)})
        proxy = MemoryProxy(
            self,
            wire_name,
            proxy_type.name,
            from_wire(ProxyCommon, travelled),
            from_wire(proxy_type.proxy_options, travelled),
            self._identity(user),
        )
        exposure = self._result(ingress.expose(proxy))
        host = MemoryClientHost(self, proxy, name, common, local)
        backend = proxy_type.make_backend(options, host)
        published = Published(proxy, exposure, backend, host, [], self)
        self._published[wire_name] = published
        backend.startService()
        self.settle()
        return published

    def visit(
        self,
        proxy_type: IVisitableProxyType,
        common: VisitorCommon,
        options: Options | None = None,
        *,
        user: str = "",
    ) -> Visiting:
        """Starts a visitor of a client whose user is ``user``."""
        made = options if options is not None else proxy_type.visitor_options()
        host = MemoryVisitorHost(self, common, self._identity(user))
        visitor = proxy_type.make_visitor(made, host)
        host.visitor = visitor
        visitor.startService()
        self.settle()
        return Visiting(visitor, host, self)

    def dial(self, port: int, source: Address | None = None) -> MemoryLeg:
        """Connects a user to an open port, and answers the user's own end.

        :raises ConnectionFailed: nobody listens there.
        """
        return self.ports.dial(port, source)

    def stop(self) -> None:
        """Withdraws every proxy and stops the server halves."""
        for published in list(self._published.values()):
            published.withdraw()
        for ingress in self._ingresses.values():
            self._result(_waiting(ingress.stopService()))
        self._ingresses.clear()

    def settle(self) -> None:
        """Lets everything happen that does not need time to pass."""
        self.network.flush()

    def make_direct_paths(self, peer: ISignalPeer) -> IDirectPaths:
        """The direct paths of one backend or visitor."""
        return DirectPaths(peer, self.clock, self._punch, self._entropy)

    def _punch(
        self, met: RendezvousBegun, send_candidates: Callable[[dict[str, object]], None]
    ) -> MemoryPunching:
        network = self.network if self.paths_of_tcp else None
        return MemoryPunching(met, send_candidates, self.punching_fails, self._paths, network)

    def _entropy(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def _identity(self, user: str) -> ClientIdentity:
        self._logins += 1
        return ClientIdentity(
            run_id=f"run-{self._logins}", user=user, address=Address("198.51.100.7", 60_000 + self._logins)
        )

    def _withdraw(self, published: Published) -> None:
        if self._published.pop(published.proxy.name, None) is not None:
            self._result(published.exposure.withdraw())
            self._result(_waiting(published.backend.stopService()))

    def _result(self, coroutine: Coroutine[Deferred[Any], Any, _ResultT]) -> _ResultT:
        outcome: list[_ResultT] = []
        failures: list[Any] = []
        Deferred.fromCoroutine(coroutine).addCallbacks(outcome.append, failures.append)
        self.settle()
        if failures:
            failures[0].raiseException()
        if not outcome:
            raise AssertionError("not done although all is quiet: does it wait for time to pass?")
        return outcome[0]


@implementer(IListeningPort)
@define(eq=False)
class _MemoryPort:
    address: Address
    acceptor: Any
    _open: dict[int, _MemoryPort] = field(repr=False)

    def close(self) -> None:
        if self._open.get(self.address.port) is self:
            del self._open[self.address.port]


@implementer(IPorts)
class MemoryPorts:
    """Ports that can be dialed within the test."""

    def __init__(self, relay: MemoryRelay) -> None:
        self._relay = relay
        self._open: dict[int, _MemoryPort] = {}
        self._open_datagrams: dict[int, _MemoryPort] = {}
        self._shared = SharedPorts(self._listen, relay.clock)
        self.refused: set[int] = set()
        """Ports that the rules of this server forbid."""

    def __iter__(self) -> Iterator[int]:
        """The ports that are open."""
        return iter(sorted(self._open))

    def listen_stream(
        self, port: int, acceptor: ILegAcceptor, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        return self._open_for(port, acceptor, self._open)

    def listen_datagrams(
        self, port: int, acceptor: IDatagramAcceptor, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        return self._open_for(port, acceptor, self._open_datagrams)

    def share_stream(
        self, port: int, acceptor: ILegAcceptor, key: str, recognizer: Recognizer | None = None
    ) -> IListeningPort:
        return self._shared.claim("", port, acceptor, key, recognizer)

    def open(self, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        """Opens a port; 0 picks one.

        :raises OSError: it is taken.
        """
        return self._open_in(self._open, port, acceptor)

    def dial(self, port: int, source: Address | None = None) -> MemoryLeg:
        """Connects a user to an open port; see :meth:`MemoryRelay.dial`."""
        listening = self._open.get(port)
        if listening is None:
            raise ConnectionFailed(f"nobody listens on port {port}")
        user, leg = self._relay.network.pair()
        listening.acceptor.leg_accepted(leg, Origin(source or leg.peer, listening.address))
        self._relay.settle()
        return user

    def dial_datagrams(self, port: int, source: Address | None = None) -> IDatagramLeg:
        """A user of an open datagram port; the port gets its leg at once, not with the first datagram."""
        listening = self._open_datagrams.get(port)
        if listening is None:
            raise ConnectionFailed(f"nobody listens on datagram port {port}")
        network = self._relay.network
        user, leg = network.pair()
        origin = Origin(source or leg.peer, listening.address)
        listening.acceptor.leg_accepted(FramedDatagramLeg(network, leg), origin)
        self._relay.settle()
        return FramedDatagramLeg(network, user)

    def _open_for(
        self, port: int, acceptor: object, table: dict[int, _MemoryPort]
    ) -> Deferred[IListeningPort]:
        if port in self.refused:
            return fail(ProxyRefusedError(RefusalCode.PORT_NOT_ALLOWED, "port not allowed"))
        try:
            return succeed(self._open_in(table, port, acceptor))
        except OSError:
            return fail(ProxyRefusedError(RefusalCode.PORT_IN_USE, "port already used"))

    def _open_in(self, table: dict[int, _MemoryPort], port: int, acceptor: object) -> IListeningPort:
        while port == 0 or (port in table and port >= _FIRST_PICKED_PORT):
            port = max(port + 1, _FIRST_PICKED_PORT)
        if port in table:
            raise OSError(f"port {port} is taken")
        opened = table[port] = _MemoryPort(Address("192.0.2.80", port), acceptor, table)
        return opened

    def _listen(self, host: str, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        try:
            return self.open(port, acceptor)
        except OSError as error:
            raise PortInUse(f"cannot listen on :{port}: another program listens there") from error


@implementer(IServerHost)
class MemoryServerHost:
    """The server, as an ingress sees it."""

    def __init__(self, relay: MemoryRelay) -> None:
        self.reactor = relay.clock
        self.ports = relay.ports
        self.data_plane = relay.data_plane
        self.rendezvous = relay.rendezvous


@implementer(ISignalPeer)
class _Peer:
    """One who can be signaled: whoever ``receiver`` answers at that moment, if it takes signals."""

    log = Logger()

    def __init__(
        self,
        relay: MemoryRelay,
        identity: ClientIdentity,
        receiver: Callable[[], object],
        reply_to: Callable[[], ISignalPeer],
    ) -> None:
        self._relay = relay
        self.identity = identity
        self._receiver = receiver
        self._reply_to = reply_to

    @property
    def takes_signals(self) -> bool:
        return self._relay.takes_signals

    def signal(self, body: Mapping[str, Any]) -> None:
        if not self.takes_signals:
            raise RefusedError(RefusalCode.NOT_AVAILABLE, "the other end does not take signals")
        receiver = self._receiver()
        if ISignalReceiver.providedBy(receiver):
            received = receiver.signal_received(self._reply_to(), _through_json(body))
            Deferred.fromCoroutine(received).addErrback(self._signal_failed)

    def _signal_failed(self, failure: Failure) -> None:
        if failure.check(RemoteProtocolError):
            self.log.warn("a signal makes no sense: {reason}", reason=failure.getErrorMessage())
        else:
            self.log.failure("a signal was not taken", failure)


@implementer(IFlow)
class _Unserved:
    """The flow of a user who got no work connection."""

    def __init__(self, user: IStreamLeg | IDatagramLeg, why: Ended) -> None:
        user.close()
        self._traffic = Traffic(0, 0, 0.0, why)

    def moved(self) -> tuple[int, int]:
        return 0, 0

    def when_ended(self) -> Deferred[Traffic]:
        return succeed(self._traffic)

    def end(self, why: Ended) -> None:
        """It has ended."""


@implementer(IRegisteredProxy)
class MemoryProxy(_Peer):
    """The server's view of a proxy: signals go to its backend."""

    def __init__(
        self,
        relay: MemoryRelay,
        name: str,
        type_name: str,
        common: ProxyCommon,
        options: Options,
        identity: ClientIdentity,
    ) -> None:
        super().__init__(relay, identity, self._backend, self._host)
        self.name = name
        self.type = type_name
        self.common = common
        self.options = options

    @property
    def flows(self) -> Collection[IFlow]:
        return self._relay.data_plane.flows

    def endpoint(self, origin: Origin) -> IStreamClientEndpoint:
        return self._relay.data_plane.endpoint(lambda: self.open_work_leg(origin))

    def open_work_leg(self, origin: Origin) -> Deferred[IStreamLeg]:
        published = self._relay._published.get(self.name)
        if published is None:
            return fail(SessionLost(f"proxy [{self.name}] is gone"))
        if not self._relay.has_work_connections:
            return fail(NoWorkConnection(f"no work connection for proxy [{self.name}]"))
        here, there = self._relay.network.pair()
        work = Deferred.fromCoroutine(published.backend.work_assigned(there, origin))
        self._relay._work.add(work)
        work.addBoth(self._worked, work)
        return succeed(here)

    def serve(self, user: IStreamLeg, origin: Origin) -> IFlow:
        return self._served(
            user, origin, lambda work: self._relay.data_plane.forward(user, work, self._relay.half_close)
        )

    def serve_datagrams(self, user: IDatagramLeg, origin: Origin) -> IFlow:
        plane = self._relay.data_plane
        return self._served(
            user, origin, lambda work: plane.forward_datagrams(user, plane.datagrams_over(work))
        )

    def _served(
        self,
        user: IStreamLeg | IDatagramLeg,
        origin: Origin,
        forward: Callable[[IStreamLeg], IFlow],
    ) -> IFlow:
        published = self._relay._published.get(self.name)
        made: list[IFlow] = []
        self.open_work_leg(origin).addCallbacks(
            lambda work: made.append(forward(work)),
            lambda failure: made.append(_Unserved(user, ended_by(failure.value))),
        )
        (flow,) = made  # in memory that is done at once
        if published is not None:
            flow.when_ended().addCallback(published.flows.append)
        return flow

    def _worked(self, outcome: Any, work: Deferred[None]) -> None:
        self._relay._work.discard(work)
        if isinstance(outcome, Failure):
            self.log.failure("the backend of {proxy} failed", outcome, proxy=self.name)

    def _backend(self) -> object:
        published = self._relay._published.get(self.name)
        return None if published is None else published.backend

    def _host(self) -> ISignalPeer:
        return self._relay._published[self.name].host


@implementer(IClientHost)
class MemoryClientHost(_Peer):
    """The client, as a backend sees it: signals go to the exposure."""

    def __init__(
        self,
        relay: MemoryRelay,
        proxy: MemoryProxy,
        name: str,
        common: ProxyCommon,
        local: LocalService | None,
    ) -> None:
        super().__init__(relay, proxy.identity, self._exposure, lambda: proxy)
        self.reactor = relay.clock
        self.ports = relay.ports
        self.name = name
        self.common = common
        self.direct_paths = relay.make_direct_paths(self)
        self._proxy = proxy
        self._local = local

    def connect_local(self, origin: Origin) -> Deferred[IStreamLeg]:
        if self._local is None:
            return fail(ConnectionFailed(f"the local service of [{self.name}] refused the connection"))
        here, there = self._relay.network.pair()
        self._local(there)
        return succeed(here)

    def open_local_datagrams(self, origin: Origin) -> Deferred[IDatagramLeg]:
        return fail(ConnectionFailed(f"the local service of [{self.name}] takes no datagrams"))

    @property
    def flows(self) -> Collection[IFlow]:
        return self._relay.data_plane.flows

    def forward(self, near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        return self._relay.data_plane.forward(near, far, self._relay.half_close)

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> IFlow:
        return self._relay.data_plane.forward_datagrams(near, far)

    def connect(self, leg: IStreamLeg, protocol: IProtocol) -> None:
        self._relay.data_plane.connect(leg, protocol)

    def datagrams_over(self, leg: IStreamLeg) -> IDatagramLeg:
        return self._relay.data_plane.datagrams_over(leg)

    def _exposure(self) -> object:
        published = self._relay._published.get(self._proxy.name)
        return None if published is None else published.exposure


@implementer(IVisitorHost)
class MemoryVisitorHost(_Peer):
    """The client, as a visitor sees it: signals go to the exposure of the proxy that is visited."""

    def __init__(self, relay: MemoryRelay, common: VisitorCommon, identity: ClientIdentity) -> None:
        super().__init__(relay, identity, self._exposure, self._as_peer)
        self.reactor = relay.clock
        self.ports = relay.ports
        self.name = common.name
        self.common = common
        self.direct_paths = relay.make_direct_paths(self)
        self.visitor: IVisitor | None = None

    def listen(self, acceptor: ILegAcceptor) -> Deferred[IListeningPort | None]:
        if self.common.bind_port < 0:
            return succeed(None)
        return succeed(self._relay.ports.open(self.common.bind_port, acceptor))

    @property
    def flows(self) -> Collection[IFlow]:
        return self._relay.data_plane.flows

    def forward(self, near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        return self._relay.data_plane.forward(near, far, self._relay.half_close)

    def forward_datagrams(self, near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> IFlow:
        return self._relay.data_plane.forward_datagrams(near, far)

    def connect(self, leg: IStreamLeg, protocol: IProtocol) -> None:
        self._relay.data_plane.connect(leg, protocol)

    def datagrams_over(self, leg: IStreamLeg) -> IDatagramLeg:
        return self._relay.data_plane.datagrams_over(leg)

    def endpoint(self, origin: Origin) -> IStreamClientEndpoint:
        return self._relay.data_plane.endpoint(lambda: self.open_visit(origin))

    def open_visit(self, origin: Origin) -> Deferred[IStreamLeg]:
        exposure = self._exposure()
        if not IVisitable.providedBy(exposure):
            return fail(
                VisitRefusedError(
                    RefusalCode.UNKNOWN_PROXY, f"custom listener for [{self._target}] doesn't exist"
                )
            )
        visit = MemoryVisit(self._relay, self, origin)
        opened: Deferred[IStreamLeg] = Deferred()
        visit.accepted.addCallback(opened.callback)
        Deferred.fromCoroutine(exposure.visited(visit)).addErrback(
            lambda failure: None if opened.called else opened.errback(failure)
        )
        return opened

    @property
    def _target(self) -> str:
        return _wire_name(self.common.server_user or self.identity.user, self.common.server_name)

    def _exposure(self) -> object:
        published = self._relay._published.get(self._target)
        return None if published is None else published.exposure

    def _as_peer(self) -> ISignalPeer:
        return _Peer(self._relay, self.identity, lambda: self.visitor, lambda: self)


@implementer(IVisit)
class MemoryVisit(_Peer):
    """A visitor's request: signals go to the visitor."""

    def __init__(self, relay: MemoryRelay, host: MemoryVisitorHost, origin: Origin) -> None:
        super().__init__(relay, host.identity, lambda: host.visitor, lambda: host)
        self.origin = Origin(source=host.identity.address)
        self.accepted: Deferred[IStreamLeg] = Deferred()
        self._secret = host.common.secret_key

    def proves(self, secret: Secret) -> bool:
        return self._secret == secret

    def accept(self, secret: Secret) -> IStreamLeg:
        if self.accepted.called:
            raise RelaykitError("a visit was accepted twice")
        here, there = self._relay.network.pair()
        self.accepted.callback(there)
        return here


def echoing(leg: MemoryLeg) -> None:
    """A local service that sends back what it gets."""
    _Echo(leg)


def collecting(legs: list[MemoryLeg]) -> LocalService:
    """A local service whose connections are collected, for the test to speak on."""
    return legs.append


@implementer(ILegReceiver)
class _Echo:
    def __init__(self, leg: MemoryLeg) -> None:
        self._leg = leg
        leg.attach(self)

    def data_received(self, data: Any) -> None:
        self._leg.write(bytes(data))

    def end_received(self) -> None:
        self._leg.finish_writing()

    def leg_lost(self, reason: Ended) -> None:
        """An echo has nothing to clean up."""


def _wire_name(user: str, name: str) -> str:
    return f"{user}.{name}" if user else name


def _through_json(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the other end decodes; fails where the body is not JSON."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    return decoded


async def _waiting(outcome: Any) -> Any:
    return await outcome if isinstance(outcome, Deferred) else outcome
