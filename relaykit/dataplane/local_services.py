"""Connections to local services: at sockets, at endpoints of other packages, and in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.dialing import DIAL_TIMEOUT_S, dial, dial_endpoint
from relaykit.dataplane.pairs import leg_pair
from relaykit.dataplane.poller import make_poller
from relaykit.dataplane.protocols import LegEndpoint, ProtocolAcceptor
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.dataplane.transports import leg_over, parse_endpoint
from relaykit.dataplane.virtual_network import VirtualNetwork
from relaykit.errors import ConnectionFailed
from relaykit.escaping import masked_endpoint
from relaykit.interfaces import ICheckedService, ILocalHost, ILocalService
from relaykit.values import Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime

    from relaykit.dataplane.poller import Poller, PollingReactor
    from relaykit.dataplane.tls import TlsContext
    from relaykit.interfaces import IFlow, ISecureLeg, IStreamLeg, IVirtualNetwork

__all__ = [
    "MOST_KEPT",
    "NOBODY",
    "Announce",
    "LocalServices",
    "ServiceEndpoint",
    "announce_nobody",
    "connect_inner",
]

Announce: TypeAlias = Callable[[Any], object]
"""Has the service at the other end of a leg read first whose connection it is."""

MOST_KEPT = 1024
"""Endpoints that are kept as their parsers made them: as many as a client with many proxies has services."""

NOBODY = Origin()
"""Whom a service is looked at for without a user."""

_FORWARDER = CopyForwarder()


def announce_nobody(leg: IStreamLeg) -> None:
    """Nothing: the service is told nothing of the user."""


def connect_inner(
    poller: Poller, service: ILocalService, origin: Origin, host: ILocalHost
) -> Deferred[IStreamLeg]:
    """A leg to a service within this process.  Fails with :class:`relaykit.errors.ConnectionFailed`."""
    near, far = leg_pair(poller, origin)
    try:
        service.serve(far, origin, host)
    except ConnectionFailed as error:
        far.abort()
        return fail(error)
    except BaseException:
        far.abort()
        raise
    return succeed(near)


@define(eq=False)
class LocalServices:
    """Connects to what Twisted client endpoint strings name, each parsed once.

    :param virtual_network: what services within this process may join; without one, it is none's.
    """

    _poller: Poller
    _virtual_network: IVirtualNetwork = Factory(lambda self: VirtualNetwork(self._poller), takes_self=True)
    _parsed: dict[str, IStreamClientEndpoint] = field(factory=dict, init=False)

    def dial(
        self, endpoint: str, origin: Origin = NOBODY, announce: Announce = announce_nobody
    ) -> Deferred[IStreamLeg]:
        """A leg to a local service for a user.

        ``tcp:`` and ``unix:`` are dialled here, a service within this process gets the other end of the leg,
        and anything else is connected by whoever parses it.  ``announce`` is what a service within this
        process may have a further service told by.  Fails with
        :class:`relaykit.errors.ConnectionFailed`, also when nobody parses it.  Cancelling gives up.
        """
        return dial_endpoint(
            self._poller,
            endpoint,
            connect_other=lambda: self._connect(endpoint, origin, announce),
        )

    def _connect(self, endpoint: str, origin: Origin, announce: Announce) -> Deferred[IStreamLeg]:
        try:
            found = self._parse(endpoint)
        except ConnectionFailed as error:
            return fail(error)
        if ILocalService.providedBy(found):
            return connect_inner(self._poller, found, origin, self.host_for(origin, announce))
        return leg_over(self._poller, found, DIAL_TIMEOUT_S, masked_endpoint(endpoint))

    def host_for(self, origin: Origin, announce: Announce) -> ILocalHost:
        """What a service within this process may use for one user."""
        return _Host(self._poller, self._virtual_network, self.dial, origin, announce)

    def _parse(self, endpoint: str) -> Any:
        found = self._parsed.get(endpoint)
        if found is None:
            found = parse_endpoint(self._poller.reactor, endpoint)
            if len(self._parsed) >= MOST_KEPT:
                del self._parsed[next(iter(self._parsed))]
            self._parsed[endpoint] = found
        return found


@implementer(ILocalHost)
@frozen(eq=False)
class _Host:
    """The client, as a service within it sees it for one user."""

    _poller: Poller
    virtual_network: IVirtualNetwork
    _dial: Callable[[str, Origin, Announce], Deferred[IStreamLeg]]
    _origin: Origin
    _announce: Announce

    @property
    def reactor(self) -> IReactorTime:
        return self._poller.reactor

    def dial(self, host: str, port: int) -> Deferred[IStreamLeg]:
        return dial(self._poller, host, port)

    def dial_local(self, endpoint: str) -> Deferred[IStreamLeg]:
        return self._dial(endpoint, self._origin, self._announce)

    def announce(self, leg: IStreamLeg) -> None:
        self._announce(leg)

    def forward(self, near: IStreamLeg, far: IStreamLeg) -> IFlow:
        return _FORWARDER.forward(near, far, True)

    def speak(self, leg: IStreamLeg, factory: IProtocolFactory) -> None:
        ProtocolAcceptor(self._poller, factory).leg_accepted(leg, self._origin)

    def tls_context(self, certificate: bytes, key: bytes, protocols: Sequence[bytes] = ()) -> TlsContext:
        return server_context(certificate, key, protocols=protocols)

    def secured(self, leg: IStreamLeg, context: TlsContext) -> Deferred[ISecureLeg]:
        return start_tls(self._poller, leg, context, server_side=True)

    def tls_context_to(self, name: str, authorities: bytes | None = None) -> TlsContext:
        return client_context(authorities=authorities, server_name=name)

    def secured_to(self, leg: IStreamLeg, context: TlsContext) -> Deferred[ISecureLeg]:
        return start_tls(self._poller, leg, context, server_side=False)


@implementer(IStreamClientEndpoint, ICheckedService)
class ServiceEndpoint:
    """A service within this process as an endpoint that any Twisted program can connect to."""

    def __init__(self, reactor: PollingReactor, service: ILocalService) -> None:
        self._reactor = reactor
        self._service = service
        self._poller: Poller | None = None

    def __repr__(self) -> str:
        return f"<ServiceEndpoint {self._service!r}>"

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        self._service.serve(leg, origin, host)

    def problems(self) -> Iterable[str]:
        return self._service.problems() if ICheckedService.providedBy(self._service) else ()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connects a protocol to the service; the service knows no user."""
        if self._poller is None:
            self._poller = make_poller(self._reactor)
        host = LocalServices(self._poller).host_for(NOBODY, announce_nobody)
        open_leg = partial(connect_inner, self._poller, self._service, NOBODY, host)
        return LegEndpoint(self._poller, open_leg).connect(protocolFactory)
