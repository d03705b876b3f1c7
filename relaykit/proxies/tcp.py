"""The proxy type ``tcp``: a port on the server for one local service.

Also home of :class:`LocalServiceBackend`, the client half of every type whose users simply end up
at the local service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
)
from relaykit.options import OneLine, Options, RemotePort, doc, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaykit.interfaces import (
        IClientHost,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
    )
    from relaykit.values import Origin

__all__ = ["LocalServiceBackend", "NoIngressOptions", "TcpIngress", "TcpOptions", "proxy_type"]


class TcpOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``tcp`` proxy."""

    remote_port: Annotated[
        RemotePort, wire("remote_port"), doc("Port on the server; 0 lets the server pick one.")
    ] = 0


class NoIngressOptions(Options, frozen=True, kw_only=True):
    """The server's table of a proxy type that has nothing to configure there."""


@implementer(IBackend)
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


@implementer(IExposure, ILegAcceptor)
@define(eq=False)
class _OpenPort:
    """One ``tcp`` proxy: the port, and who gets the users that dial it."""

    _proxy: IRegisteredProxy
    _port: IListeningPort | None = field(default=None, init=False)
    address: str = field(default="", init=False)

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        self._proxy.serve(leg, origin)

    def opened(self, port: IListeningPort) -> None:
        self._port = port
        self.address = f":{port.address.port}"

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


@implementer(IIngress)
class TcpIngress(Service):
    """Opens a port of the server for each proxy."""

    log = Logger()

    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        exposure = _OpenPort(proxy)
        port = await self._host.ports.listen_stream(proxy.options.remote_port, exposure, proxy)
        exposure.opened(port)
        self.log.info(
            "[{run}] [{proxy}] tcp proxy listen port [{port}]",
            run=proxy.identity.run_id,
            proxy=proxy.name,
            port=port.address.port,
        )
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
