"""Tests for :mod:`relaykit.testing.hosts`, with the built-in types as guests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.listening import PortInUse
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode, RefusedError, VisitRefusedError
from relaykit.interfaces import (
    IBackend,
    IClientHost,
    IDatagramAcceptor,
    IIngress,
    ILegAcceptor,
    IRegisteredProxy,
    ISignalPeer,
    ISignalReceiver,
    IStreamLeg,
    IVisit,
    IVisitable,
    IVisitableProxyType,
    IVisitor,
    IVisitorHost,
)
from relaykit.options import VisitorCommon
from relaykit.proxies import stcp, tcp
from relaykit.sansio.parsers.recognizing import Opening
from relaykit.testing.hosts import MemoryRelay, collecting, echoing
from relaykit.testing.memory import MemoryLeg, RecordingReceiver
from relaykit.values import Address, Ended, Origin, Secret
from tests.dataplane.fakes import RecordingDatagrams


@implementer(ILegAcceptor, IDatagramAcceptor)
class Accepted:
    """Keeps what a port gave it."""

    def __init__(self) -> None:
        self.legs: list[Any] = []

    def leg_accepted(self, leg: Any, origin: Origin) -> None:
        """Keeps it."""
        self.legs.append((leg, origin))


class PublishTests(SynchronousTestCase):
    """Tests for publishing and dialing, with ``tcp``."""

    def test_round_trip(self) -> None:
        """What a user sends reaches the local service, and what that answers reaches the user."""
        relay = MemoryRelay()
        published = relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)
        self.assertEqual(published.address, ":6000")
        user = relay.dial(6000)
        received = RecordingReceiver(user)
        user.write(b"hello")
        user.finish_writing()
        relay.settle()
        self.assertEqual((received.data, received.ended), (b"hello", True))
        self.assertEqual([(flow.near_to_far, flow.ended) for flow in published.flows], [(5, Ended.FINISHED)])

    def test_picked_port(self) -> None:
        """Port 0 picks a free one and tells which, time and again."""
        relay = MemoryRelay()
        addresses = [
            relay.publish(tcp.proxy_type, tcp.TcpOptions(), name=name, local=echoing).address for name in "ab"
        ]
        self.assertEqual(addresses, [":50000", ":50001"])

    def test_refusals(self) -> None:
        """Ports that are taken or forbidden, and names that are taken, are refused as a server does."""
        relay = MemoryRelay()
        relay.ports.refused.add(22)
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="one")
        for name, port, code in (
            ("one", 6001, RefusalCode.NAME_IN_USE),
            ("two", 6000, RefusalCode.PORT_IN_USE),
            ("two", 22, RefusalCode.PORT_NOT_ALLOWED),
        ):
            refusal = self.assertRaises(
                ProxyRefusedError, relay.publish, tcp.proxy_type, tcp.TcpOptions(remote_port=port), name=name
            )
            self.assertIs(refusal.code, code)

    def test_datagrams(self) -> None:
        """A datagram port is apart from the TCP port of this number; its users are legs with an origin."""
        relay, accepted = MemoryRelay(), Accepted()
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="one")
        holder: Any = None
        self.assertRaises(ConnectionFailed, relay.ports.dial_datagrams, 6000)
        self.successResultOf(relay.ports.listen_datagrams(6000, accepted, holder))
        self.failureResultOf(relay.ports.listen_datagrams(6000, accepted, holder), ProxyRefusedError)
        user = relay.ports.dial_datagrams(6000, Address("203.0.113.9", 4000))
        ((leg, origin),) = accepted.legs
        self.assertEqual(origin.source, Address("203.0.113.9", 4000))
        received = RecordingDatagrams(leg)
        user.send(b"hello")
        relay.settle()
        self.assertEqual(received.got, [b"hello"])

    def test_shared_port(self) -> None:
        """Several may share a port that belongs to no proxy."""
        relay, http, rest = MemoryRelay(), Accepted(), Accepted()
        relay.ports.share_stream(80, http, "vhostHTTPPort", Opening(b"GET "))
        relay.ports.share_stream(80, rest, "vhostPort")
        self.assertRaises(PortInUse, relay.ports.share_stream, 80, rest, "vhostPort")
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), name="one")
        self.assertRaises(PortInUse, relay.ports.share_stream, 6000, rest, "vhostPort")
        relay.dial(80).write(b"GET / ")
        relay.dial(80).write(b"SSH-")
        relay.settle()
        self.assertEqual((len(http.legs), len(rest.legs)), (1, 1))

    def test_no_local_service(self) -> None:
        """A local service that refuses ends the user's connection."""
        relay = MemoryRelay()
        published = relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000))
        user = relay.dial(6000)
        received = RecordingReceiver(user)
        relay.settle()
        self.assertTrue(received.ended)
        user.close()
        relay.settle()
        self.assertEqual([flow.far_to_near for flow in published.flows], [0])

    def test_no_work_connection(self) -> None:
        """A client that gives no work connections ends the user's connection."""
        relay = MemoryRelay()
        published = relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)
        relay.has_work_connections = False
        received = RecordingReceiver(relay.dial(6000))
        relay.settle()
        self.assertTrue(received.ended)
        self.assertEqual([flow.ended for flow in published.flows], [Ended.TIMEOUT])

    def test_withdrawn(self) -> None:
        """A withdrawn proxy has no port any more, and its name is free."""
        relay = MemoryRelay()
        published = relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)
        published.withdraw()
        self.assertRaises(ConnectionFailed, relay.dial, 6000)
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=echoing)

    def test_local_connections(self) -> None:
        """A collecting local service hands its ends to the test."""
        relay = MemoryRelay()
        legs: list[MemoryLeg] = []
        relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=6000), local=collecting(legs))
        received = RecordingReceiver(relay.dial(6000, Address("203.0.113.9", 4000)))
        legs[0].write(b"220 ready")
        relay.settle()
        self.assertEqual(received.data, b"220 ready")

    def test_provides(self) -> None:
        """The hosts provide what real hosts provide."""
        relay = MemoryRelay()
        published = relay.publish(tcp.proxy_type, tcp.TcpOptions())
        verifyObject(IRegisteredProxy, published.proxy)
        verifyObject(IClientHost, published.host)


class VisitTests(SynchronousTestCase):
    """Tests for visitors, with ``stcp``."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.publish(
            stcp.proxy_type,
            stcp.StcpOptions(secret_key=Secret("s3cret")),
            name="db",
            local=echoing,
            user="alice",
        )

    def common(self, key: str = "s3cret", port: int = 9000, server_user: str = "alice") -> VisitorCommon:
        return VisitorCommon(
            name="v",
            type="stcp",
            secret_key=Secret(key),
            server_user=server_user,
            server_name="db",
            bind_port=port,
        )

    def test_round_trip(self) -> None:
        """A user of the visitor's port reaches the local service of the secret proxy."""
        visiting = self.relay.visit(stcp.proxy_type, self.common(), user="alice")
        verifyObject(IVisitorHost, visiting.host)
        user = self.relay.dial(9000)
        received = RecordingReceiver(user)
        user.write(b"select 1")
        self.relay.settle()
        self.assertEqual(received.data, b"select 1")
        visiting.stop()
        self.assertRaises(ConnectionFailed, self.relay.dial, 9000)

    def test_handed_over(self) -> None:
        """A visitor without a port takes users that are handed to it."""
        visiting = self.relay.visit(stcp.proxy_type, self.common(port=-1), user="alice")
        user = visiting.dial()
        received = RecordingReceiver(user)
        user.write(b"x")
        self.relay.settle()
        self.assertEqual(received.data, b"x")

    def test_refused(self) -> None:
        """A wrong key, another user and an unknown proxy refuse the visit."""
        for common, user, code in (
            (self.common(key="wrong"), "alice", RefusalCode.BAD_CREDENTIALS),
            (self.common(), "bob", RefusalCode.USER_NOT_ALLOWED),
            (self.common(server_user="carol"), "alice", RefusalCode.UNKNOWN_PROXY),
        ):
            visiting = self.relay.visit(stcp.proxy_type, common, user=user)
            refused = self.failureResultOf(visiting.host.open_visit(Origin()), VisitRefusedError)
            self.assertIs(refused.value.code, code)
            visiting.stop()


@implementer(IIngress)
class _BellIngress(Service):
    async def expose(self, proxy: IRegisteredProxy) -> _BellExposure:
        return _BellExposure(proxy)


@implementer(IVisitable, ISignalReceiver)
class _BellExposure:
    """Passes signals of visitors to the backend, answers those of the backend."""

    address = ""

    def __init__(self, proxy: IRegisteredProxy) -> None:
        self._proxy = proxy
        self._visitors: list[ISignalPeer] = []

    async def visited(self, visit: IVisit) -> None:
        visit.signal({"said": "come in"})
        visit.accept(Secret("")).close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        if "ring" in body:
            self._visitors.append(sender)
            self._proxy.signal(body)
        else:
            self._visitors.pop().signal(body)

    async def withdraw(self) -> None:
        """Nothing is open."""


@implementer(IBackend, ISignalReceiver)
class _BellBackend(Service):
    def __init__(self) -> None:
        self.heard: list[Mapping[str, Any]] = []

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self.heard.append(body)
        sender.signal({"answered": body["ring"]})


@implementer(IVisitor, ISignalReceiver)
class _BellVisitor(Service):
    def __init__(self) -> None:
        self.heard: list[Mapping[str, Any]] = []

    def user_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.close()

    async def signal_received(self, sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        self.heard.append(body)


@implementer(IVisitableProxyType)
class _Bell:
    name = "bell"
    summary = "rings"
    proxy_options = ingress_options = tcp.NoIngressOptions
    visitor_options = stcp.StcpVisitorOptions

    def __init__(self) -> None:
        self.backend = _BellBackend()
        self.visitor = _BellVisitor()

    def make_ingress(self, options: Any, host: Any) -> _BellIngress:
        return _BellIngress()

    def make_backend(self, options: Any, host: Any) -> _BellBackend:
        return self.backend

    def make_visitor(self, options: Any, host: Any) -> _BellVisitor:
        return self.visitor


class SignalTests(SynchronousTestCase):
    """Tests for signals between the three halves."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.bell = _Bell()
        self.published = self.relay.publish(self.bell, tcp.NoIngressOptions(), name="door")
        common = VisitorCommon(name="v", server_name="door", bind_port=-1)
        self.visiting = self.relay.visit(self.bell, common)

    def test_there_and_back(self) -> None:
        """A visitor's signal reaches the backend through the exposure, and the answer comes back."""
        self.visiting.host.signal({"ring": [1, 2]})
        self.assertEqual(self.bell.backend.heard, [{"ring": [1, 2]}])
        self.assertEqual(self.bell.visitor.heard, [{"answered": [1, 2]}])

    def test_on_a_visit(self) -> None:
        """The server can signal the visitor that asks for a visit."""
        self.successResultOf(self.visiting.host.open_visit(Origin()))
        self.assertEqual(self.bell.visitor.heard, [{"said": "come in"}])

    def test_json_only(self) -> None:
        """A body that is not JSON is refused here as it would be between two processes."""
        self.assertRaises(TypeError, self.visiting.host.signal, {"ring": object()})

    def test_not_agreed(self) -> None:
        """Without the extension, signaling is refused."""
        self.relay.takes_signals = False
        refused = self.assertRaises(RefusedError, self.visiting.host.signal, {"ring": 1})
        self.assertIs(refused.code, RefusalCode.NOT_AVAILABLE)


class WaitingIngress(Service):
    """An ingress that never comes to an end."""

    async def expose(self, proxy: IRegisteredProxy) -> Any:
        await Deferred()


class _Waiting(_Bell):
    def make_ingress(self, options: Any, host: Any) -> Any:
        return WaitingIngress()


class QuietTests(SynchronousTestCase):
    """Tests for halves that wait."""

    def test_never_exposed(self) -> None:
        """An ingress that waits for something that never comes is an error, not a hang."""
        self.assertRaises(AssertionError, MemoryRelay().publish, _Waiting(), tcp.NoIngressOptions())
