"""Tests of what of the client touches the network: that nothing does before it is used."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.network import make_network
from relaykit.config.schema import ClientConfig, ClientTransport


class NetworkTests(SynchronousTestCase):
    """What is made of a configuration."""

    def test_route(self) -> None:
        """The route is muxed as configured, and making it dials nothing."""
        for muxed in (True, False):
            reactor = MemoryReactorClock()
            network = make_network(ClientConfig(transport=ClientTransport(tcp_mux=muxed)), reactor)
            self.assertEqual(network.route.muxed, muxed)
            self.assertEqual((reactor.tcpClients, reactor.getDelayedCalls()), ([], []))
