"""The virtual network of a client: packets between the system and streams to other clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Interface

if TYPE_CHECKING:
    from relaykit.interfaces.legs import IStreamLeg
    from relaykit.sansio.packets.headers import IpAddress

__all__ = ["IVirtualNetwork"]


class IVirtualNetwork(Interface):
    """The device of the virtual network that a client has, where its file asks for one."""

    def join(leg: IStreamLeg, destination: IpAddress | None = None) -> None:
        """Exchanges packets over a leg, which it owns, with the network of another client.

        What is sent to ``destination`` goes there; where that is outside of the network, the system gets a
        route to it.  Without one, that is what is sent to the address that comes from there: see
        :class:`relaykit.sansio.packets.switch.PacketSwitch`.

        :raises ConnectionFailed: there is no device, there can be no route, or there are too many streams;
            the leg is the caller's.
        """
