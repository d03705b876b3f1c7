"""What a client knows of its network, and what it may do there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from relaykit.nat.allowance import SocketAllowance
from relaykit.sansio.nat.candidates import UNINTERESTING_INTERFACES, is_internet
from relaykit.values import PathProtocol

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.interfaces import IDatagramStreams
    from relaykit.nat.network import HostNetwork
    from relaykit.nat.paths import StreamOpener
    from relaykit.sansio.nat.behavior import NatBehavior
    from relaykit.values import Address

__all__ = ["NetworkInfo", "PortMapping"]


class PortMapping(Protocol):
    """Maps ports of this machine, where the router does such things."""

    def map(self, port: int) -> Deferred[Sequence[Address]]:
        """Fires with the external addresses of a UDP port, maybe none."""

    def release(self, port: int) -> None:
        """Gives a port back."""


@frozen(kw_only=True)
class NetworkInfo:
    """What a client knows of the network that it is in, and what it may do there.

    ``stun_servers`` are numeric addresses; of IPv4 two hosts tell most, two ports of one host less.
    """

    network: HostNetwork
    stun_servers: Sequence[Address] = ()
    behavior: NatBehavior | None = None
    """What a thorough discovery found earlier."""
    ignored_interfaces: Sequence[str] = UNINTERESTING_INTERFACES
    opening_ttl: int = 0
    """TTL of the datagrams that open the own NATs; 0 for that of :mod:`relaykit.sansio.nat.punching`."""
    internet: Callable[[str], bool] = is_internet
    """Tells public addresses; a laboratory has others."""
    mapper: PortMapping | None = None
    """What asks the router to map ports; usually a :class:`relaykit.nat.mapping.PortMapper`."""
    stream_port: int = 0
    """The local TCP port of the control connection, if it is shared by
    :func:`relaykit.nat.sockets.share_port`."""
    stream_seen_as: Address | None = None
    """Where the relay server sees the control connection come from."""
    stream_opener: StreamOpener | None = None
    """What makes streams of a punched TCP connection; without it such paths are of no use."""
    datagram_streams: IDatagramStreams | None = None
    """What makes streams of a path of UDP; None where its library is missing."""
    protocols: tuple[PathProtocol, ...] = tuple(PathProtocol)
    """What a path may be made of to be of use."""
    allowance: SocketAllowance = field(factory=SocketAllowance)
    """The sockets that all searches for ports share."""
    entropy: Callable[[int], bytes] = os.urandom
    seconds: Callable[[], float] = time.monotonic
