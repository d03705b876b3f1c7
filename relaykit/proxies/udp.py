"""The proxy type ``udp``: a UDP port on the server for a local service that takes datagrams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import msgspec
from attrs import define, field, frozen
from twisted.application.service import Service
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
from relaykit.proxies.tcp import PortExposure
from relaykit.values import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IClientHost,
        IDatagramLeg,
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
    doc("Bytes of the largest datagram in frp's format, the same at both ends; 0: the default."),
]
"""Two ends of relaykit carry datagrams of every size."""


class UdpOptions(Options, frozen=True, kw_only=True):
    """The own keys of a ``udp`` proxy."""

    shown: ClassVar[Mapping[str, bool]] = {"remotePort": True}

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


@implementer(IDatagramAcceptor)
@define(eq=False)
class _OpenPort(PortExposure):
    """One ``udp`` proxy: its users are those that send to the port."""

    _most_bytes: int = field(kw_only=True)

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        self._proxy.serve_datagrams(leg, origin, self._most_bytes)


@implementer(IIngress)
class UdpIngress(Service):
    """Opens a UDP port of the server for each proxy."""

    def __init__(self, options: UdpIngressOptions, host: IServerHost) -> None:
        self._most_bytes = options.udp_packet_size
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> IExposure:
        exposure = _OpenPort(proxy, most_bytes=self._most_bytes)
        port = await self._host.ports.listen_datagrams(proxy.options.remote_port, exposure, proxy)
        exposure.opened(port)
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
