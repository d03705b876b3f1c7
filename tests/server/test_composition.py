"""Tests of what a server is made of: making it opens nothing, and opening it leaves nothing half open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.config.schema import ProxyProtocol, ServerConfig
from relaykit.dataplane import passed_sockets
from relaykit.errors import UnknownProxyType
from relaykit.interfaces import IServerHost, IServerObserver, IVerifier
from relaykit.options import Options
from relaykit.proxies import tcp, udp
from relaykit.sansio.parsers.proxy_protocol import make_proxy_header
from relaykit.sansio.wire.framing import V1
from relaykit.sansio.wire.messages import Login
from relaykit.server import composition
from relaykit.server.composition import Composition, ServerHost
from relaykit.server.observers import Observers
from relaykit.testing.memory import MemoryNetwork, RecordingDatagrams, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing, echoing_datagrams
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


@implementer(IServerObserver)
@frozen
class _Following:
    """Hands on what happens."""

    on_event: Any
    follows_users = False


STUN_OFF: Mapping[str, Any] = {"stun_port": -1}


class _Stun(Service):
    """A STUN server without sockets."""

    made: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, reactor: Any, host: str, port: int, hosts: Any, public_hosts: Any) -> None:
        self._port = port
        self.made.append((host, port, hosts, public_hosts))

    @property
    def ports(self) -> list[int]:
        """Those that are open."""
        return [self._port] if self.running else []


class LoadBalancerTests(SynchronousTestCase):
    """Servers behind load balancers, in memory."""

    balancer = Address("10.0.0.5", 1000)
    announced = Origin(Address("192.0.2.77", 40001), Address("198.51.100.1", 443))

    def setUp(self) -> None:
        self.relay = MemoryRelay(proxy_protocol=ProxyProtocol(trusted=("10.0.0.0/8",)))
        self.header = make_proxy_header("v2", self.announced)

    def test_users(self) -> None:
        """Users come from where the load balancer says, and the header does not reach the service."""
        published = self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)
        user = self.relay.ports.dial(6000, self.balancer)
        user.write(self.header + b"hello")
        received = RecordingReceiver(user)
        self.relay.settle()
        self.assertEqual([flow.origin for flow in published.proxy.flows], [self.announced])
        self.assertEqual([each.origin for each in published.host.flows.values()], [self.announced])
        self.assertEqual(received.data, b"hello")

    def test_datagrams(self) -> None:
        """So do users of UDP ports, and their answers go back to the load balancer."""
        options = udp.UdpOptions(remote_port=6000)
        self.relay.publish(udp.proxy_type, options, local_datagrams=echoing_datagrams)
        user = self.relay.ports.dial_datagrams(6000, self.balancer)
        received = RecordingDatagrams(user)
        user.send(make_proxy_header("v2", self.announced, datagrams=True) + b"hello")
        self.relay.settle()
        self.assertEqual([flow.origin for flow in self.relay.server.flows()], [self.announced])
        self.assertEqual(received.got, [b"hello"])

    def test_clients(self) -> None:
        """What is told and decided of a connection to the bind port is about whom it comes from."""
        connection = self.relay.ports.dial(self.relay.server.port, self.balancer)
        connection.write(self.header + b"SSH-2.0-x\r\n")
        with capturedLogs() as logged:
            self.relay.settle()
        self.assertEqual([event["peer"] for event in logged], [self.announced.source])

    def test_streams(self) -> None:
        """A client comes from there, too, with all that the load balancer says of it."""
        tlvs = b"\x05\x00\x02id"
        header = self.header[:14] + (12 + len(tlvs)).to_bytes(2, "big") + self.header[16:] + tlvs
        connection = self.relay.ports.dial(self.relay.server.port, self.balancer)
        connection.write(header)
        link = MuxLink(connection, MuxRole.CLIENT, self.relay.network, self.relay.clock)
        link.start()
        self.successResultOf(link.open_leg()).write(V1.encode(Login(version="0", privilege_key="wrong")))
        events: list[Any] = []
        self.relay.server.observe(_Following(events.append))
        self.relay.settle()
        (refused,) = events
        self.assertEqual(refused.origin, evolve(self.announced, tlvs=((5, b"id"),)))


class CompositionTests(SynchronousTestCase):
    """Servers that are not started."""

    def setUp(self) -> None:
        self.ports: list[Port] = []
        self.for_users: list[bool] = []
        self.patch(passed_sockets, "listen_tcp", self.listen)

    def listen(
        self, poller: Any, host: str, port: int, acceptor: Any, for_users: bool, keepalive_s: int
    ) -> Port:
        """Opens a port of this test."""
        self.ports.append(Port(Address(host, port)))
        self.for_users.append(for_users)
        return self.ports[-1]

    def make(
        self,
        verifier: IVerifier | None = None,
        types: Any = TYPES,
        stun: Mapping[str, Any] = STUN_OFF,
        **options: Options,
    ) -> Composition:
        """What a server is made of."""
        return Composition(
            config=ServerConfig(**stun, bind_port=7001),
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
        addresses = {"stun_addrs": ("10.0.0.5",), "stun_public_addrs": ("203.0.113.2",)}
        parts = self.make(stun=addresses).compose()
        parts.open()
        self.assertEqual(list(parts.stun_ports()), [7001])
        self.assertEqual(_Stun.made[-1], ("0.0.0.0", 7001, ("10.0.0.5",), ("203.0.113.2",)))
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
        host = ServerHost(nothing, nothing, nothing, nothing, nothing)
        verifyObject(IServerHost, host)
        self.assertFalse(host.passes_through("a.example"))
        host.pass_through({"a.example"}.__contains__)
        host.pass_through({"b.example"}.__contains__)
        self.assertEqual([host.passes_through(f"{name}.example") for name in "abc"], [True, True, False])
