"""What of the client touches the network: made in one place, so that all else runs without one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from zope.interface import implementer

from relaykit.carriers.direct import streams_over_socket
from relaykit.carriers.quic.adapter import available
from relaykit.client.heartbeats import keepalive_of
from relaykit.client.paths import DialHost, PathRoute, Route
from relaykit.client.watching import NetworkWatch, has_moved
from relaykit.config.schema.addresses import host_and_port
from relaykit.config.schema.carriers import AUTO, carrier_options
from relaykit.dataplane.datagram_sockets import listen_datagrams
from relaykit.dataplane.dialing import dial_datagram_endpoint
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.local_services import LocalServices
from relaykit.dataplane.plane import DataPlane, make_data_plane
from relaykit.dataplane.poller import make_poller
from relaykit.dataplane.virtual_network import VirtualNetwork
from relaykit.interfaces import IDatagramStreams, IPathDialer
from relaykit.nat.network import HostNetwork, network_mark
from relaykit.nat.network_info import NetworkInfo
from relaykit.plugins import Carriers
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from relaykit.carriers.quic.opening import QuicStreams
    from relaykit.client.direct import MakePunching
    from relaykit.client.racing import AnyRoute
    from relaykit.config.schema import ClientConfig, ClientTransport
    from relaykit.dataplane.local_services import Announce
    from relaykit.dataplane.name_server import NameServer
    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import (
        ICarrier,
        IDatagramAcceptor,
        IDatagramLeg,
        IHoles,
        ILegAcceptor,
        IListeningPort,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.values import Origin, Secret

__all__ = ["Network", "make_network"]


@frozen
class Network:
    """The way to the server, to local services, and to users on this machine.

    ``make_route(config)`` makes the way to the server that a configuration names.
    ``dial(endpoint, origin, announce)`` connects to what an endpoint string names for a user, and
    ``announce(leg)`` has a service read first whose connection that is: it is for one within this process,
    which may connect to a further one.  ``dial_datagrams(endpoint)`` is the same for datagrams;
    ``listen(host, port, acceptor)`` opens a TCP port and ``listen_datagrams(host, port, acceptor)`` a UDP
    port; both raise :class:`relaykit.dataplane.listening.ListenFailed`.
    ``watch(on_change)`` makes the service that calls ``on_change(reason)`` when the way to the server may
    be another one.
    """

    make_route: Callable[[ClientConfig], AnyRoute]
    dial: Callable[[str, Origin, Announce], Deferred[IStreamLeg]]
    dial_datagrams: Callable[[str], Deferred[IDatagramLeg]]
    listen: Callable[[str, int, ILegAcceptor], IListeningPort]
    listen_datagrams: Callable[[str, int, IDatagramAcceptor], IListeningPort]
    data_plane: DataPlane
    watch: Callable[[Callable[[str], None]], IService]
    network_info: NetworkInfo
    """What direct paths are made through, and what is known of it before anybody was asked."""
    make_holes: Callable[[IReactorTime, NetworkInfo, str], IHoles]
    """Hole punching as frp's clients do it: with ``network_info``, and a STUN server, ``host:port``."""
    datagram_streams: Callable[[str], IDatagramStreams]
    """frp's streams of datagrams by the name of their protocol; raises what a host's do."""
    virtual_network: VirtualNetwork
    """What has the device, once it is opened."""
    has_moved: Callable[[Address, Address], bool] = has_moved
    """Whether connections from an address to a peer can only come from another address now."""
    make_punching: MakePunching | None = None
    """What finds direct paths, if not a :class:`relaykit.nat.session.HolePunchingSession`."""


def make_network(config: ClientConfig, reactor: Any, environ: Mapping[str, str] = os.environ) -> Network:
    """The network of this machine, as configured; ``environ`` may name a forward proxy."""
    poller = make_poller(reactor)
    poller.name_server = _name_server(config, reactor)
    virtual_network = VirtualNetwork(poller)
    return Network(
        lambda config: _make_route(config, poller, environ),
        LocalServices(poller, virtual_network).dial,
        lambda endpoint: dial_datagram_endpoint(poller, endpoint),
        lambda host, port, acceptor: listen_tcp(poller, host, port, acceptor, for_users=True),
        partial(listen_datagrams, poller),
        make_data_plane(poller),
        lambda on_change: NetworkWatch(reactor, on_change),
        NetworkInfo(
            network=HostNetwork(reactor),
            stream_opener=partial(streams_over_socket, poller),
            datagram_streams=_OwnQuic(poller) if available() else None,
        ),
        partial(_make_holes, poller),
        partial(_datagram_streams, poller),
        virtual_network,
    )


def _name_server(config: ClientConfig, reactor: Any) -> NameServer | None:
    if not config.dns_server:
        return None
    # Most clients do without what it takes to speak with name servers.
    from relaykit.dataplane.name_server import DNS_PORT, NameServer

    return NameServer(reactor, [Address(*host_and_port(config.dns_server, DNS_PORT))])


def _make_holes(poller: Poller, clock: IReactorTime, network_info: NetworkInfo, stun_server: str) -> IHoles:
    # A megabyte that a client without such proxies does without.
    from relaykit.nat.hole import Holes

    return Holes(clock, network_info, stun_server, partial(_datagram_streams, poller))


def _datagram_streams(poller: Poller, protocol: str) -> IDatagramStreams:
    if protocol == "kcp":
        from relaykit.carriers.kcp.streams import KcpStreams

        return KcpStreams(poller, poller.reactor)
    from relaykit.carriers.quic.opening import FrpQuicStreams

    return FrpQuicStreams(poller, poller.reactor)


@implementer(IDatagramStreams)
@frozen
class _OwnQuic:
    """Streams of direct paths between relaykit's own ends; who has none of those does without the library."""

    _poller: Poller

    def prepare(self, role: PeerRole) -> None:
        self._made().prepare(role)

    def open_path(
        self, datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        return self._made().open_path(datagrams, role, secret, acceptor)

    def _made(self) -> QuicStreams:
        from relaykit.carriers.quic.opening import QuicStreams

        return QuicStreams(self._poller, self._poller.reactor)


def _make_route(config: ClientConfig, poller: Poller, environ: Mapping[str, str]) -> AnyRoute:
    """The way to the server, by the configured carrier, or by whichever gets there."""
    transport, host = config.transport, DialHost(config, poller, environ)
    route_by = partial(_route_by, transport, poller)
    if transport.protocol != AUTO:
        return route_by(Carriers.installed().get(transport.protocol), host)
    # Most clients have one carrier.
    from relaykit.client.racing import RacedRoute, racing_carriers

    carriers = tuple(racing_carriers(Carriers.installed()))
    return RacedRoute(config, host, carriers, route_by, network_mark, poller.reactor, _unix_time)


def _unix_time() -> float:
    return time.time()  # noqa: TID251  # what is remembered outlives the program


def _route_by(
    transport: ClientTransport, poller: Poller, carrier: ICarrier, host: DialHost
) -> Route | PathRoute:
    options = carrier_options(transport, carrier.table, carrier.dial_options)
    dialer = carrier.make_dialer(options, host)
    if IPathDialer.providedBy(dialer):
        return PathRoute(dialer)
    return Route(dialer.connect, transport.tcp_mux, poller, poller.reactor, keepalive_of(transport))
