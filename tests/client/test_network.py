"""Tests of what of the client touches the network: that nothing does before it is used."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.quic import opening
from relaykit.carriers.quic.adapter import available
from relaykit.client import network as module
from relaykit.client.network import make_network
from relaykit.client.paths import Route
from relaykit.config.schema import ClientConfig, ClientTransport
from relaykit.dataplane.poller import Poller, make_poller
from relaykit.errors import QuicUnavailableError
from relaykit.interfaces import IDatagramStreams, IHoles
from relaykit.sansio.nat.checks import PeerRole


class NetworkTests(SynchronousTestCase):
    """What is made of a configuration."""

    def test_route(self) -> None:
        """The route is muxed as configured, and making it dials nothing."""
        for muxed in (True, False):
            reactor = MemoryReactorClock()
            config = ClientConfig(transport=ClientTransport(tcp_mux=muxed))
            route = make_network(config, reactor).make_route(config)
            assert isinstance(route, Route)
            self.assertEqual(route.muxed, muxed)
            self.assertEqual((reactor.tcpClients, reactor.getDelayedCalls()), ([], []))

    def test_name_server(self) -> None:
        """Names are looked up where the file says, of the server and of local services alike."""
        pollers: list[Poller] = []

        def make(reactor: Any) -> Poller:
            pollers.append(make_poller(reactor))
            return pollers[-1]

        self.patch(module, "make_poller", make)
        for text in ("", "192.0.2.53", "[::1]:5353"):
            make_network(ClientConfig(dns_server=text), MemoryReactorClock())
        self.assertEqual(
            [str(each.name_server) for each in pollers],
            ["None", "192.0.2.53:53", "[::1]:5353"],
        )

    def test_holes(self) -> None:
        """Holes are those of this machine, and streams those of frp's two protocols, if they are there."""
        reactor = MemoryReactorClock()
        network = make_network(ClientConfig(), reactor)
        holes = network.make_holes(reactor, network.network_info, "stun.example:3478")
        self.assertTrue(IHoles.providedBy(holes))
        self.assertTrue(IDatagramStreams.providedBy(network.datagram_streams("kcp")))
        if available():
            self.assertTrue(IDatagramStreams.providedBy(network.datagram_streams("quic")))
        else:
            self.assertRaises(QuicUnavailableError, network.datagram_streams, "quic")

    def test_own_streams(self) -> None:
        """Paths of UDP between relaykit's own ends carry streams where a library for QUIC is installed."""
        for is_there in (True, False):
            self.patch(module, "available", lambda is_there=is_there: is_there)
            streams = make_network(ClientConfig(), MemoryReactorClock()).network_info.datagram_streams
            self.assertEqual(IDatagramStreams.providedBy(streams), is_there)

    def test_loaded_ahead(self) -> None:
        """A library for QUIC is loaded as soon as somebody says that paths will be wanted, and not before."""
        if not available():
            self.skipTest("no library for QUIC is installed")
        asked: list[None] = []
        self.patch(opening, "load_ahead", lambda: asked.append(None))
        reactor = MemoryReactorClock()
        network = make_network(ClientConfig(), reactor)
        self.assertEqual(asked, [])
        assert network.network_info.datagram_streams is not None
        network.network_info.datagram_streams.prepare(PeerRole.RESPONDER)
        network.make_holes(reactor, network.network_info, "stun.example:3478").prepare(
            "quic", PeerRole.INITIATOR
        )
        self.assertEqual(asked, [None, None])
