"""The proxy type ``udp``: a UDP port on the server for a local service that takes datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.interfaces import (
    IBackend,
    IDatagramAcceptor,
    IDatagramProxyType,
    IExposure,
    IIngress,
    IOneLineProxyType,
)
from relaykit.options import OneLine, Options, RemotePort, doc, file_key, wire
from relaykit.sansio.lanes.codec import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IClientHost,
        IDatagramLeg,
        IListeningPort,
        IRegisteredProxy,
        IServerHost,
        IStreamLeg,
    )
    from relaykit.values import Origin

__all__ = ["PacketSize", "UdpBackend", "UdpIngress", "UdpIngressOptions", "UdpOptions", "proxy_type"]

PacketSize: TypeAlias = Annotated[
    int,
    msgspec.Meta(ge=1, le=MOST_DATAGRAM_BYTES),
    file_key("udpPacketSize"),
    doc("Bytes of the largest datagram in frp's format, the same at both ends."),
]
"""Two ends of relaykit carry datagrams of every size."""


class UdpOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``udp`` proxy."""

    remote_port: Annotated[
        RemotePort, wire("remote_port"), doc("UDP port on the server; 0 lets the server pick one.")
    ] = 0
    udp_packet_size: PacketSize = 1500


class UdpIngressOptions(Options, frozen=True, kw_only=True):
    """The server's keys of ``udp``."""

    udp_packet_size: PacketSize = 1500


@implementer(IBackend)
class UdpBackend(Service):
    """Joins each user of the proxy's lanes with a socket of its own to the local service."""

    def __init__(self, options: UdpOptions, host: IClientHost) -> None:
        self._most_bytes = options.udp_packet_size
        self._host = host

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        await self._host.serve_lane(leg, origin, self._most_bytes, alone=True)


@implementer(IExposure, IDatagramAcceptor)
@define(eq=False)
class _OpenPort:
    """One ``udp`` proxy: the port, and who gets the users that send to it."""

    _proxy: IRegisteredProxy
    _most_bytes: int
    _port: IListeningPort | None = field(default=None, init=False)
    address: str = field(default="", init=False)

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        self._proxy.serve_datagrams(leg, origin, self._most_bytes)

    def opened(self, port: IListeningPort) -> None:
        self._port = port
        self.address = f":{port.address.port}"

    async def withdraw(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


@implementer(IIngress)
class UdpIngress(Service):
    """Opens a UDP port of the server for each proxy."""

    log = Logger()

    def __init__(self, options: UdpIngressOptions, host: IServerHost) -> None:
        self._most_bytes = options.udp_packet_size
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        exposure = _OpenPort(proxy, self._most_bytes)
        port = await self._host.ports.listen_datagrams(proxy.options.remote_port, exposure, proxy)
        exposure.opened(port)
        self.log.info(
            "[{run}] [{proxy}] udp proxy listen port [{port}]",
            run=proxy.identity.run_id,
            proxy=proxy.name,
            port=port.address.port,
        )
        return exposure


@implementer(IDatagramProxyType, IOneLineProxyType)
@frozen
class _UdpType:
    name = "udp"
    summary = "a UDP port on the server for a local service that takes datagrams"
    proxy_options = UdpOptions
    ingress_options = UdpIngressOptions
    one_lines = (OneLine(command="udp", summary="Publish a local service that takes datagrams"),)

    def make_ingress(self, options: UdpIngressOptions, host: IServerHost) -> UdpIngress:
        return UdpIngress(options, host)

    def make_backend(self, options: UdpOptions, host: IClientHost) -> UdpBackend:
        return UdpBackend(options, host)


proxy_type = _UdpType()
