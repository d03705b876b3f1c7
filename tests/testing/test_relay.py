"""Tests for :mod:`relaykit.testing.relay`, with the built-in types as guests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.config.schema import PortRange
from relaykit.dataplane.listening import PortInUse
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode, RefusedError, VisitRefusedError
from relaykit.interfaces import (
    IBackend,
    IClientHost,
    IDatagramAcceptor,
    IDatagramLeg,
    IIngress,
    ILegAcceptor,
    IRegisteredProxy,
    IServerHost,
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
from relaykit.testing.memory import MemoryLeg, RecordingDatagrams, RecordingReceiver
from relaykit.testing.relay import MemoryRelay, collecting, echoing, echoing_datagrams
from relaykit.values import Address, Ended, Origin, Secret


@implementer(ILegAcceptor)
class Accepted:
    """Keeps what a port gave it."""

    def __init__(self) -> None:
        self.legs: list[Any] = []

    def leg_accepted(self, leg: Any, origin: Origin) -> None:
        """Keeps it."""
        self.legs.append((leg, origin))


class PublishTests(SynchronousTestCase):
    """Tests for publishing and dialing, with ``tcp``."""

    def setUp(self) -> None:
        self.relay = MemoryRelay(allow_ports=(PortRange(start=6000, end=6009),))

    def publish(self, port: int = 6000, **settings: Any) -> Any:
        """A proxy."""
        return self.relay.publish(tcp.proxy_type, tcp.TcpOptions(remote_port=port), **settings)

    def test_round_trip(self) -> None:
        """What a user sends reaches the local service, and what that answers reaches the user."""
        published = self.publish(local=echoing)
        self.assertEqual(published.address, ":6000")
        user = self.relay.dial(6000)
        received = RecordingReceiver(user)
        user.write(b"hello")
        user.finish_writing()
        self.relay.settle()
        self.assertEqual((received.data, received.ended), (b"hello", True))
        self.assertEqual([(flow.near_to_far, flow.ended) for flow in published.flows], [(5, Ended.FINISHED)])

    def test_picked_port(self) -> None:
        """Port 0 picks one that is allowed and free, and tells which, time and again."""
        addresses = {self.publish(0, name=name).address for name in "ab"}
        self.assertEqual({f":{port}" for port in self.relay.open_ports}, addresses)
        self.assertEqual(len(addresses), 2)

    def test_refusals(self) -> None:
        """Ports that are taken or forbidden, and names that are taken, are refused by the server."""
        self.publish(name="one")
        for name, port, code in (
            ("one", 6001, RefusalCode.NAME_IN_USE),
            ("two", 6000, RefusalCode.PORT_IN_USE),
            ("two", 22, RefusalCode.PORT_NOT_ALLOWED),
        ):
            refusal = self.assertRaises(ProxyRefusedError, self.publish, port, name=name)
            self.assertIs(refusal.code, code)

    def test_shared_port(self) -> None:
        """Several may share a port that belongs to no proxy."""
        http, rest = Accepted(), Accepted()
        ports = self.relay.host.ports
        ports.share_stream(80, http, "vhostHTTPPort", Opening(b"GET "))
        ports.share_stream(80, rest, "vhostPort")
        self.assertRaises(PortInUse, ports.share_stream, 80, rest, "vhostPort")
        self.publish()
        self.assertRaises(PortInUse, ports.share_stream, 6000, rest, "vhostPort")
        self.relay.dial(80).write(b"GET / ")
        self.relay.dial(80).write(b"SSH-")
        self.relay.settle()
        self.assertEqual((len(http.legs), len(rest.legs)), (1, 1))

    def test_no_local_service(self) -> None:
        """A local service that refuses ends the user's connection."""
        published = self.publish()
        user = self.relay.dial(6000)
        received = RecordingReceiver(user)
        self.relay.settle()
        self.assertTrue(received.ended)
        user.close()
        self.relay.settle()
        self.assertEqual([flow.far_to_near for flow in published.flows], [0])

    def test_no_work_connection(self) -> None:
        """Users of a client that is not there any more wait as long as the server lets them."""
        published = self.publish(local=echoing)
        for connection in published.connections:
            connection.stall()
        received = RecordingReceiver(self.relay.dial(6000))
        other = RecordingReceiver(self.relay.dial(6000))
        self.relay.advance(11.0)
        self.assertTrue(received.ended or other.ended)
        self.assertIn(Ended.TIMEOUT, [flow.ended for flow in published.flows])

    def test_withdrawn(self) -> None:
        """A withdrawn proxy has no port any more, and its name is free."""
        self.publish(local=echoing).withdraw()
        self.assertRaises(ConnectionFailed, self.relay.dial, 6000)
        self.publish(local=echoing)

    def test_local_connections(self) -> None:
        """A collecting local service hands its ends to the test."""
        legs: list[MemoryLeg] = []
        self.publish(local=collecting(legs))
        received = RecordingReceiver(self.relay.dial(6000, Address("203.0.113.9", 4000)))
        legs[0].write(b"220 ready")
        self.relay.settle()
        self.assertEqual(received.data, b"220 ready")

    def test_provides(self) -> None:
        """A test gets the hosts that a type gets."""
        published = self.publish()
        verifyObject(IRegisteredProxy, published.proxy)
        verifyObject(IClientHost, published.host)
        verifyObject(IServerHost, self.relay.host)

    def test_stopped(self) -> None:
        """Nothing is left of a relay that was stopped."""
        self.publish(local=echoing)
        self.relay.dial(6000)
        self.relay.stop()
        self.assertEqual((list(self.relay.ports), self.relay.clock.getDelayedCalls()), ([], []))


@implementer(IIngress)
class _DatagramIngress(Service):
    def __init__(self, host: IServerHost) -> None:
        self._host = host

    async def expose(self, proxy: IRegisteredProxy) -> Any:
        exposure = _DatagramExposure(proxy)
        exposure.port = await self._host.ports.listen_datagrams(6000, exposure, proxy)
        return exposure


@implementer(IDatagramAcceptor)
class _DatagramExposure:
    address = ":6000"

    def __init__(self, proxy: IRegisteredProxy) -> None:
        self._proxy = proxy
        self.port: Any = None

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        self._proxy.serve_datagrams(leg, origin)

    async def withdraw(self) -> None:
        self.port.close()


@implementer(IBackend)
class _DatagramBackend(Service):
    def __init__(self, host: IClientHost) -> None:
        self._host = host

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        await self._host.serve_lane(leg, origin)


class _Datagrams:
    name = "datagrams"
    summary = "a port for datagrams"
    proxy_options = ingress_options = tcp.NoIngressOptions

    def make_ingress(self, options: Any, host: Any) -> _DatagramIngress:
        return _DatagramIngress(host)

    def make_backend(self, options: Any, host: Any) -> _DatagramBackend:
        return _DatagramBackend(host)


class DatagramTests(SynchronousTestCase):
    """Tests for a type whose users send datagrams."""

    def test_round_trip(self) -> None:
        """A datagram of a user reaches the local service, and its answer comes back; a stop ends it all."""
        relay = MemoryRelay()
        datagrams: Any = _Datagrams()
        relay.publish(datagrams, tcp.NoIngressOptions(), local_datagrams=echoing_datagrams)
        self.assertEqual(relay.open_ports, [])
        user = relay.ports.dial_datagrams(6000, Address("203.0.113.9", 4000))
        received = RecordingDatagrams(user)
        user.send(b"hello")
        relay.settle()
        self.assertEqual((received.got, relay.working), ([b"hello"], 1))
        relay.stop()
        self.assertEqual((relay.working, relay.clock.getDelayedCalls()), (0, []))

    def test_no_local_service(self) -> None:
        """Without a local service for datagrams nothing is opened."""
        relay = MemoryRelay()
        datagrams: Any = _Datagrams()
        published = relay.publish(datagrams, tcp.NoIngressOptions())
        self.failureResultOf(published.host.open_local_datagrams(Origin()), ConnectionFailed)


SECRET = Secret("s3cret")
OPTIONS = stcp.StcpVisitorOptions(secret_key=SECRET)


class VisitTests(SynchronousTestCase):
    """Tests for visitors, with ``stcp``."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.relay.publish(
            stcp.proxy_type,
            stcp.StcpOptions(secret_key=SECRET),
            name="db",
            local=echoing,
            user="alice",
        )

    def common(self, port: int = 9000, server_user: str = "alice") -> VisitorCommon:
        return VisitorCommon(name="v", type="stcp", server_user=server_user, server_name="db", bind_port=port)

    def test_round_trip(self) -> None:
        """A user of the visitor's port reaches the local service of the secret proxy."""
        visiting = self.relay.visit(stcp.proxy_type, self.common(), OPTIONS, user="alice")
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
        visiting = self.relay.visit(stcp.proxy_type, self.common(port=-1), OPTIONS, user="alice")
        user = visiting.dial()
        received = RecordingReceiver(user)
        user.write(b"x")
        self.relay.settle()
        self.assertEqual(received.data, b"x")

    def test_refused(self) -> None:
        """A wrong key, another user and an unknown proxy refuse the visit, in the server's words."""
        for common, secret, user, words in (
            (self.common(), Secret("wrong"), "alice", "auth failed"),
            (self.common(), SECRET, "bob", "not allowed"),
            (self.common(server_user="carol"), SECRET, "alice", "doesn't exist"),
        ):
            visiting = self.relay.visit(stcp.proxy_type, common, user=user)
            opened = visiting.host.open_visit(Origin(), secret)
            self.relay.settle()
            self.assertIn(words, self.failureResultOf(opened, VisitRefusedError).value.text)
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
        self.visitor = _BellVisitor()
        return self.visitor


class SignalTests(SynchronousTestCase):
    """Tests for signals between the three halves."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.bell = _Bell()
        self.published = self.relay.publish(self.bell, tcp.NoIngressOptions(), name="door")
        self.common = VisitorCommon(name="v", server_name="door", bind_port=-1)
        self.visiting = self.relay.visit(self.bell, self.common)

    def test_there_and_back(self) -> None:
        """A visitor's signal reaches the backend through the exposure, and the answer comes back."""
        self.visiting.host.signal({"ring": [1, 2]})
        self.relay.settle()
        self.assertEqual(self.bell.backend.heard, [{"ring": [1, 2]}])
        self.assertEqual(self.bell.visitor.heard, [{"answered": [1, 2]}])

    def test_json_only(self) -> None:
        """A body that is not JSON is refused here as it would be between two processes."""
        self.assertRaises(TypeError, self.visiting.host.signal, {"ring": object()})

    def test_not_agreed(self) -> None:
        """A client that speaks the first version of the wire has no signals, and is told so."""
        self.relay.wire_protocol = "v1"
        visiting = self.relay.visit(self.bell, self.common)
        refused = self.assertRaises(RefusedError, visiting.host.signal, {"ring": 1})
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
