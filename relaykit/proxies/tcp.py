"""The proxy type ``tcp``: a port on the server for one local service.

Also home of :class:`LocalServiceBackend`, the client half of every type whose users simply end up
at the local service, and of :class:`PortExposure`, for every type whose proxies have a port each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import (
    IBackend,
    IExposure,
    IGroupableProxyType,
    IIngress,
    ILegAcceptor,
    IOneLineProxyType,
    IProbed,
)
from relaykit.options import OneLine, Options, RemotePort, doc, wire
from relaykit.values import Origin, Reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaykit.interfaces import (
        IClientHost,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
    )
__all__ = [
    "LocalServiceBackend",
    "NoIngressOptions",
    "PortExposure",
    "TcpIngress",
    "TcpOptions",
    "proxy_type",
]


class TcpOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``tcp`` proxy."""

    shown: ClassVar[Mapping[str, bool]] = {"remotePort": True}

    remote_port: Annotated[
        RemotePort, wire("remote_port"), doc("Port on the server; 0 lets the server pick one.")
    ] = 0


class NoIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table of a proxy type that has nothing to configure there."""


@implementer(IBackend, IProbed)
class LocalServiceBackend(Service):
    """Forwards every work connection to the proxy's local service."""

    def __init__(self, host: IClientHost) -> None:
        self.host = host

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        try:
            local = await self.host.connect_local(origin)
        except ConnectionFailed:
            leg.close()
            return
        await self.host.forward(leg, local, origin).when_ended()

    async def probe(self) -> Reach:
        local = await self.host.connect_local(Origin())
        local.close()
        return Reach.SERVICE


@implementer(IExposure)
@define(eq=False)
class PortExposure:
    """A proxy that has a port of the server to itself; a subclass is who takes what arrives there."""

    _proxy: IRegisteredProxy
    _port: IListeningPort | None = field(default=None, init=False)
    address: str = field(default="", init=False)

    log = Logger()

    def opened(self, port: IListeningPort) -> None:
        """The port is open, and the exposure's from now on."""
        self._port = port
        self.address = f":{port.address.port}"
        self.log.info(
            "[{run}] [{proxy}] {type} proxy listen port [{port}]",
            run=self._proxy.identity.run_id,
            proxy=self._proxy.name,
            type=self._proxy.type,
            port=port.address.port,
        )

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


@implementer(ILegAcceptor)
@define(eq=False)
class _OpenPort(PortExposure):
    """One ``tcp`` proxy: its users are those that dial the port."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._proxy.serve(leg, origin)


@implementer(IIngress)
class TcpIngress(Service):
    """Opens a port of the server for each proxy."""

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        exposure = _OpenPort(proxy)
        port = await self._host.ports.listen_stream(proxy.options.remote_port, exposure, proxy)
        exposure.opened(port)
        return exposure


@implementer(IGroupableProxyType, IOneLineProxyType)
@frozen
class _TcpType:
    name = "tcp"
    summary = "a port on the server for one local service"
    proxy_options = TcpOptions
    ingress_options = NoIngressOptions
    one_lines = (OneLine(command="tcp", summary="Publish a local service at a port of the server"),)

    def group_terms(self, options: TcpOptions) -> Mapping[str, object]:
        return {"group should have same remote port": options.remote_port}

    def make_ingress(self, options: NoIngressOptions, host: IServerHost) -> TcpIngress:
        return TcpIngress(host)

    def make_backend(self, options: TcpOptions, host: IClientHost) -> LocalServiceBackend:
        return LocalServiceBackend(host)


proxy_type = _TcpType()
