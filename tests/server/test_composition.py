"""Tests of what a server is made of: making it opens nothing, and opening it leaves nothing half open."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.config.schema import ServerConfig
from relaykit.errors import UnknownProxyType
from relaykit.interfaces import IServerHost, IVerifier
from relaykit.options import Options
from relaykit.sansio.wire.framing import V1
from relaykit.sansio.wire.messages import Login
from relaykit.server import network
from relaykit.server.composition import Composition, ServerHost
from relaykit.server.observers import Observers
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, Origin, Secret
from tests.server.scene import TYPES
from tests.server.test_service import Port
from tests.server.test_verification import SlowVerifier


class CompositionTests(SynchronousTestCase):
    """Servers that are not started."""

    def setUp(self) -> None:
        self.ports: list[Port] = []
        self.patch(network, "listen_tcp", self.listen)

    def listen(self, poller: Any, host: str, port: int, acceptor: Any) -> Port:
        """Opens a port of this test."""
        self.ports.append(Port(Address(host, port)))
        return self.ports[-1]

    def make(self, verifier: IVerifier | None = None, **options: Options) -> Composition:
        """What a server is made of."""
        return Composition(
            config=ServerConfig(stun_port=-1, bind_port=7001),
            token=Secret("t"),
            types=TYPES,
            reactor=MemoryReactorClock(),
            state=None,
            ingress_options=options,
            observers=Observers(),
            verifier=verifier,
        )

    def test_opens_nothing(self) -> None:
        """Wiring the parts opens no port; opening them does, and closing them closes it."""
        parts = self.make(tcp=Options()).compose()
        self.assertEqual((self.ports, parts.port), ([], 0))
        parts.open()
        self.assertEqual(parts.port, 7001)
        self.successResultOf(Deferred.fromCoroutine(parts.start()))
        self.successResultOf(Deferred.fromCoroutine(parts.close()))
        self.assertFalse(self.ports[0].is_open)
        parts.release()

    def test_opening_fails(self) -> None:
        """Where a configured type is unknown, the ports that were opened before are closed."""
        parts = self.make(nothing=Options()).compose()
        self.assertRaises(UnknownProxyType, parts.open)
        self.assertFalse(self.ports[0].is_open)
        self.assertEqual(parts.port, 0)

    def test_verifier(self) -> None:
        """Who is let in is decided by what the server was given for that."""
        verifier = SlowVerifier()
        network = MemoryNetwork()
        parts = self.make(verifier).compose()
        near, far = network.pair()
        parts._acceptor.leg_accepted(far, Origin(far.peer, far.host))
        near.write(V1.encode(Login(user="ann")))
        network.flush()
        ((_, _, client),) = verifier.asked
        self.assertEqual(client.user, "ann")

    def test_host(self) -> None:
        """Ingresses get all that they may use."""
        nothing: Any = None
        verifyObject(IServerHost, ServerHost(nothing, nothing, nothing, nothing))
