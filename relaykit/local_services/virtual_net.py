"""The local service ``virtual_net``: packets between a stream and the virtual network of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.interfaces import ILocalService
from relaykit.sansio.packets.headers import parse_destination

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.sansio.packets.headers import IpAddress
    from relaykit.values import Origin

__all__ = ["VirtualNetService", "local_service"]


@implementer(ILocalService)
@frozen
class VirtualNetService:
    """Has each of its streams join the network: to ``destination``, or to whoever sends over it."""

    destination: IpAddress | None = None

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        host.virtual_network.join(leg, self.destination)


def local_service(destinationIP: str = "") -> VirtualNetService:
    """The network; with ``destinationIP``, what is sent to that address goes over each stream."""
    return VirtualNetService(parse_destination(destinationIP) if destinationIP else None)
