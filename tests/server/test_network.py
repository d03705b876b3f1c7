"""Tests of what of the server touches the network: that nothing does before it is used."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ServerConfig
from relaykit.server.composition import Composition
from relaykit.server.network import Network, make_network
from relaykit.server.observers import Observers
from relaykit.values import Secret
from tests.server.scene import TYPES


class NetworkTests(SynchronousTestCase):
    """What is made for a server."""

    def test_opens_nothing(self) -> None:
        """Making it opens nothing; it is made with the parts, once."""
        reactor = MemoryReactorClock()
        made: list[Network] = []

        def make(reactor: MemoryReactorClock) -> Network:
            made.append(make_network(reactor))
            return made[-1]

        parts = Composition(
            config=ServerConfig(stun_port=-1),
            token=Secret("t"),
            types=TYPES,
            reactor=reactor,
            state=None,
            ingress_options={},
            observers=Observers(),
            make_network=make,
        ).compose()
        self.assertEqual([each.data_plane for each in made], [parts.data_plane])
        self.assertEqual((reactor.tcpServers, list(reactor.readers), reactor.getDelayedCalls()), ([], [], []))
        parts.release()
