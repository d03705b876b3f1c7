"""The proxy type ``beacon``: a UDP port on the server for a local service that takes datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from attrs import define, field, frozen
from relaykit.interfaces import IBackend, IDatagramAcceptor, IDatagramProxyType, IExposure, IIngress
from relaykit.options import Options, Port, doc, wire
from twisted.application.service import Service
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
    )
    from relaykit.values import Origin

__all__ = ["BeaconBackend", "BeaconIngress", "BeaconOptions", "proxy_type"]


class BeaconOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``beacon`` proxy."""

    remote_port: Annotated[Port, wire("remote_port"), doc("UDP port on the server; 0 picks one.")] = 0


class BeaconIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table ``[proxyTypes.beacon]``: nothing can be configured there."""


@implementer(IExposure, IDatagramAcceptor)
@define(eq=False)
class _Beacon:
    """One proxy: each source that sends to its port is a user."""

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

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


@implementer(IIngress)
@define(eq=False)
class BeaconIngress(Service):
    """Opens a UDP port of the server for each proxy."""

    _host: IServerHost

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
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


@implementer(IDatagramProxyType)
@frozen
class _BeaconType:
    name = "beacon"
    summary = "a UDP port on the server for a local service that takes datagrams"
    proxy_options = BeaconOptions
    ingress_options = BeaconIngressOptions

    def make_ingress(self, options: BeaconIngressOptions, host: IServerHost) -> BeaconIngress:
        return BeaconIngress(host)

    def make_backend(self, options: BeaconOptions, host: IClientHost) -> BeaconBackend:
        return BeaconBackend(host)


proxy_type = _BeaconType()
