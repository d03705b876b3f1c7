"""The proxy type ``beacon``: a UDP port on the server for a local service that takes datagrams.

Who cannot send datagrams to the server has a visitor, if they know the secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from attrs import define, field, frozen
from relaykit.errors import RefusalCode, RelaykitError, VisitRefusedError
from relaykit.interfaces import (
    IBackend,
    IDatagramAcceptor,
    IDatagramProxyType,
    IIngress,
    IVisitable,
    IVisitableProxyType,
)
from relaykit.options import Options, Port, doc, secret, wire
from relaykit.proxies.stcp import PortVisitor
from relaykit.values import Address, Ended, Secret
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IClientHost,
        IDatagramLeg,
        IListeningPort,
        IPorts,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
        IVisit,
        IVisitorHost,
    )
    from relaykit.values import Origin
    from twisted.python.failure import Failure

__all__ = [
    "BeaconBackend",
    "BeaconIngress",
    "BeaconOptions",
    "BeaconVisitor",
    "BeaconVisitorOptions",
    "proxy_type",
]

MOST_LANES = 64
"""Users of one visitor at the same time: each has the server open a lane."""

FRP_BYTES = 1500
"""Of the largest datagram towards a server of frp's; to relaykit's, every size goes."""


class BeaconOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``beacon`` proxy."""

    remote_port: Annotated[Port, wire("remote_port"), doc("UDP port on the server; 0 picks one.")] = 0
    secret_key: Annotated[
        Secret,
        wire("sk"),
        secret(optional=True),
        doc("What a visitor must know; without it none is let in."),
    ] = Secret("")


class BeaconVisitorOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``beacon`` visitor."""

    secret_key: Annotated[Secret, doc("The secret key of the proxy.")] = Secret("")


class BeaconIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table ``[proxyTypes.beacon]``: nothing can be configured there."""


@implementer(IVisitable, IDatagramAcceptor)
@define(eq=False)
class _Beacon:
    """One proxy: each source that sends to its port is a user, and so is each lane of a visitor."""

    _proxy: IRegisteredProxy
    _ports: IPorts
    _port: IListeningPort | None = field(default=None, init=False)
    address: str = field(default="", init=False)

    async def open(self) -> None:
        """Opens the port."""
        self._port = await self._ports.listen_datagrams(self._proxy.options.remote_port, self, self._proxy)
        self.address = f":{self._port.address.port}"

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        self._proxy.serve_datagrams(leg, origin)

    async def visited(self, visit: IVisit) -> None:
        secret = self._proxy.options.secret_key
        if not (secret and visit.proves(secret)):
            raise VisitRefusedError(RefusalCode.BAD_CREDENTIALS, "wrong secret")
        self._proxy.serve(visit.accept_lane(secret, self._proxy), visit.origin)

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
        for flow in tuple(self._proxy.flows):
            flow.end(Ended.WITHDRAWN)


@implementer(IIngress)
@define(eq=False)
class BeaconIngress(Service):
    """Opens a UDP port of the server for each proxy."""

    _host: IServerHost

    async def expose(self, proxy: IRegisteredProxy) -> _Beacon:
        exposure = _Beacon(proxy, self._host.ports)
        await exposure.open()
        return exposure


@implementer(IBackend)
@define(eq=False)
class BeaconBackend(Service):
    """Joins each source with a socket of its own to the local service, whichever lane it comes on."""

    _host: IClientHost

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        await self._host.serve_lane(leg, origin)


@implementer(IDatagramAcceptor)
class BeaconVisitor(PortVisitor):
    """Has a lane to the proxy for each user of its UDP port."""

    def __init__(self, options: BeaconVisitorOptions, host: IVisitorHost) -> None:
        super().__init__(options.secret_key, host)
        self._visits: set[Deferred[None]] = set()

    def open_port(self) -> Deferred[IListeningPort | None]:
        opening: Deferred[IListeningPort | None] = self.host.listen_datagrams(self)
        return opening

    def stopService(self) -> None:
        super().stopService()
        for visit in tuple(self._visits):
            visit.cancel()

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if len(self._visits) >= MOST_LANES:
            leg.close()
            return
        visit = Deferred.fromCoroutine(self._visit(leg, origin))
        self._visits.add(visit)
        visit.addBoth(self._visited, visit, leg)

    async def _visit(self, leg: IDatagramLeg, origin: Origin) -> None:
        try:
            lane = await self.host.open_lane(self.secret, FRP_BYTES)
        except RelaykitError as error:
            self.not_visited(origin, error)
            return
        try:
            place = lane.open(origin.source or Address("", 0))
            await self.host.forward_datagrams(leg, place, origin).when_ended()
        finally:
            lane.close()

    def _visited(self, result: Failure | None, visit: Deferred[None], leg: IDatagramLeg) -> None:
        self._visits.discard(visit)
        leg.close()
        if result is not None and not result.check(CancelledError, ValueError):
            self.log.failure("[{visitor}] a defect during a visit", result, visitor=self.host.name)


@implementer(IDatagramProxyType, IVisitableProxyType)
@frozen
class _BeaconType:
    name = "beacon"
    summary = "a UDP port on the server for a local service that takes datagrams"
    proxy_options = BeaconOptions
    visitor_options = BeaconVisitorOptions
    ingress_options = BeaconIngressOptions

    def make_ingress(self, options: BeaconIngressOptions, host: IServerHost) -> BeaconIngress:
        return BeaconIngress(host)

    def make_backend(self, options: BeaconOptions, host: IClientHost) -> BeaconBackend:
        return BeaconBackend(host)

    def make_visitor(self, options: BeaconVisitorOptions, host: IVisitorHost) -> BeaconVisitor:
        return BeaconVisitor(options, host)


proxy_type = _BeaconType()
