"""Tests of what a server is made of: making it opens nothing, and opening it leaves nothing half open."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.application.service import Service
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
from relaykit.server import composition, network
from relaykit.server.composition import Composition, ServerHost
from relaykit.server.observers import Observers
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, Ended, Origin, Secret
from tests.server.scene import TYPES
from tests.server.test_service import Port, SlowType
from tests.server.test_verification import SlowVerifier


@frozen
class _Types:
    """Some proxy types."""

    _types: dict[str, Any]

    def get(self, name: str) -> Any:
        return self._types[name]


@frozen
class _Named:
    """A proxy."""

    name: str


class _Stun(Service):
    """A STUN server without sockets."""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._port = port

    @property
    def ports(self) -> list[int]:
        """Those that are open."""
        return [self._port] if self.running else []


class CompositionTests(SynchronousTestCase):
    """Servers that are not started."""

    def setUp(self) -> None:
        self.ports: list[Port] = []
        self.for_users: list[bool] = []
        self.patch(network, "listen_tcp", self.listen)

    def listen(self, poller: Any, host: str, port: int, acceptor: Any, for_users: bool = False) -> Port:
        """Opens a port of this test."""
        self.ports.append(Port(Address(host, port)))
        self.for_users.append(for_users)
        return self.ports[-1]

    def make(
        self, verifier: IVerifier | None = None, types: Any = TYPES, stun_port: int = -1, **options: Options
    ) -> Composition:
        """What a server is made of."""
        return Composition(
            config=ServerConfig(stun_port=stun_port, bind_port=7001),
            token=Secret("t"),
            types=types,
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

    def test_opening_fails_after_a_type(self) -> None:
        """What carriers and configured types have opened before a start fails is closed, too."""
        slow, other = SlowType(), SlowType()
        other.name = "other"
        self.patch(other, "make_ingress", lambda options, host: 1 / 0)
        types: Any = {"slow": slow, "other": other}
        parts = self.make(types=_Types(types), slow=Options(), other=Options()).compose()
        self.assertRaises(ZeroDivisionError, parts.open)
        self.assertFalse(slow.ingress.running)
        self.assertFalse(parts._acceptor.running)

    def test_stun_is_opened_with_privileges(self) -> None:
        """STUN's port is open before privileges are given up, as it may be below 1024 like the bind port."""
        self.patch(composition, "RelayStun", _Stun)
        parts = self.make(stun_port=0).compose()
        parts.open()
        self.assertEqual(list(parts.stun_ports()), [7001])
        self.successResultOf(Deferred.fromCoroutine(parts.close()))
        self.assertEqual(list(parts.stun_ports()), [])

    def test_shared_ports_are_for_users(self) -> None:
        """Users of a port that several types share leave the last descriptors to those who serve them."""
        parts = self.make().compose()
        nobody: Any = None
        parts._shared_ports.claim("", 80, nobody, "vhostHTTPPort")
        self.assertEqual(self.for_users, [True])

    def test_defect_while_draining(self) -> None:
        """A proxy that cannot be withdrawn does not keep the others open."""
        parts = self.make().compose()
        withdrawn: list[str] = []

        async def withdraw(proxy: Any, why: Ended) -> None:
            withdrawn.append(proxy.name)
            raise ZeroDivisionError

        self.patch(parts.registry, "withdraw", withdraw)
        self.patch(type(parts.registry), "__iter__", lambda registry: iter([_Named("a"), _Named("b")]))
        self.successResultOf(Deferred.fromCoroutine(parts.drain()))
        self.assertEqual(withdrawn, ["a", "b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

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
