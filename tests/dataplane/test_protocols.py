"""Twisted protocols over legs in memory: any protocol, and twisted.web at both ends."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, NoProtocol
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPullProducer,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.dataplane.protocols import LegEndpoint, LegTransport, ProtocolAcceptor
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILegAcceptor, ILegReceiver, IStreamLeg
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import CAPACITY_BYTES, MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Ended, Origin


class Recording(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keeps it."""
        assert type(data) is bytes
        self.data += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # as Twisted has it
        """Once."""
        assert self.lost is None
        self.lost = reason.value


@implementer(IHalfCloseableProtocol)
class HalfClosing(Recording):
    """Can live with one direction."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def readConnectionLost(self) -> None:
        """No more will come."""
        self.told.append("read")

    def writeConnectionLost(self) -> None:
        """No more can be sent."""
        self.told.append("write")


@implementer(IPullProducer)
class Pulled:
    """Writes a piece whenever it is asked."""

    def __init__(self, transport: LegTransport, pieces: int) -> None:
        self.transport = transport
        self.pieces = pieces
        self.stopped = 0

    def resumeProducing(self) -> None:
        """Writes one."""
        self.pieces -= 1
        self.transport.write(bytes(CAPACITY_BYTES // 4))
        if not self.pieces:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """Writes no more."""
        self.stopped += 1


class LegTransportTests(SynchronousTestCase):
    """One protocol and the leg beyond it."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()

    def connect(self, protocol: Protocol | None = None) -> tuple[MemoryLeg, Any, LegTransport]:
        """A leg, and a protocol at its other end."""
        far, near = self.network.pair()
        transport = LegTransport(self.network, near)
        protocol = protocol or Recording()
        transport.connect(protocol)
        return far, protocol, transport

    def test_interfaces(self) -> None:
        """It is a transport that produces and consumes, and knows both addresses."""
        far, _, transport = self.connect()
        for interface in (ITransport, IConsumer, IPushProducer, ILegReceiver):
            verifyObject(interface, transport)
        for address, found in ((far.host, transport.getPeer()), (far.peer, transport.getHost())):
            assert address is not None
            self.assertEqual(found, IPv4Address("TCP", address.host, address.port))
        self.assertTrue(transport.getTcpNoDelay() and transport.getTcpKeepAlive())
        transport.setTcpNoDelay(False)
        transport.setTcpKeepAlive(False)

    def test_addresses(self) -> None:
        """IPv6, nothing known, and somebody else than the peer of the leg."""
        _, near = self.network.pair()
        user = LegTransport(self.network, near, Address("2001:db8::1", 7))
        self.assertEqual(user.getPeer(), IPv6Address("TCP", "2001:db8::1", 7))
        near.host = None
        self.assertEqual(user.getHost(), HostnameAddress(b"", 0))

    def test_bytes(self) -> None:
        """Bytes pass both ways, those that came before the protocol first."""
        far, near = self.network.pair()
        received = RecordingReceiver(far)
        far.write(b"early ")
        self.network.flush()
        protocol = Recording()
        LegTransport(self.network, near).connect(protocol)
        far.write(b"late")
        protocol.transport.write(b"one")  # type: ignore[union-attr]  # it is connected
        protocol.transport.writeSequence([b" two", b" three"])  # type: ignore[union-attr]  # likewise
        self.network.flush()
        self.assertEqual((protocol.data, received.data), (b"early late", b"one two three"))

    def test_paused_from_the_start(self) -> None:
        """A protocol that pauses while it is connected gets nothing before it resumes."""

        class Pausing(Recording):
            """Does not want anything yet."""

            def connectionMade(self) -> None:
                """Pauses."""
                self.transport.pauseProducing()  # type: ignore[union-attr]  # it is connected

        far, protocol, transport = self.connect(Pausing())
        far.write(b"later")
        self.network.flush()
        self.assertEqual(protocol.data, b"")
        transport.resumeProducing()
        self.network.flush()
        self.assertEqual(protocol.data, b"later")
        transport.pauseProducing()
        far.write(b" still")
        self.network.flush()
        self.assertEqual(protocol.data, b"later")
        transport.resumeProducing()
        transport.resumeProducing()
        self.network.flush()
        self.assertEqual(protocol.data, b"later still")

    def test_backpressure(self) -> None:
        """A push producer is paused while the leg is full."""
        far, _, transport = self.connect()
        producer = RecordingProducer()
        transport.registerProducer(producer, True)
        transport.write(bytes(2 * CAPACITY_BYTES))
        self.assertTrue(producer.paused)
        RecordingReceiver(far)
        self.network.flush()
        self.assertFalse(producer.paused)

    def test_pull_producer(self) -> None:
        """A pull producer is asked as long as there is room, and its end is that of the connection."""
        far, protocol, transport = self.connect()
        transport.registerProducer(Pulled(transport, 20), False)
        transport.loseConnection()
        self.assertTrue(transport.disconnecting)
        for _ in range(50):
            self.network.turn()
        self.assertLess(far.other.queued, 2 * CAPACITY_BYTES)
        received = RecordingReceiver(far)
        self.network.flush()
        self.assertEqual((len(received.data), received.ended), (5 * CAPACITY_BYTES, True))
        self.assertIsInstance(protocol.lost, ConnectionDone)

    def test_lost_with_producer(self) -> None:
        """A producer is stopped when the connection is lost, and one that comes later at once."""
        for streaming in (False, True):
            far, _, transport = self.connect()
            producer = Pulled(transport, 1000)
            transport.registerProducer(producer, streaming)
            far.abort()
            for _ in range(50):
                self.network.turn()
            self.assertEqual(producer.stopped, 1)
            left = producer.pieces
            self.network.turn()
            self.assertEqual(producer.pieces, left)
            late = Pulled(transport, 1000)
            transport.registerProducer(late, False)
            self.network.turn()
            self.assertEqual((late.stopped, late.pieces), (1, 1000))

    def test_defect_while_connecting(self) -> None:
        """A protocol that fails to be connected loses the leg."""

        class Failing(Recording):
            """Cannot be connected."""

            def connectionMade(self) -> None:
                """Fails."""
                raise ZeroDivisionError

        far, near = self.network.pair()
        received = RecordingReceiver(far)
        transport = LegTransport(self.network, near)
        self.assertRaises(ZeroDivisionError, transport.connect, Failing())
        self.network.flush()
        self.assertIs(received.lost, Ended.RESET)

    def test_lose_connection(self) -> None:
        """What was written is sent; the protocol is told when it is over."""
        far, protocol, transport = self.connect()
        received = RecordingReceiver(far)
        transport.write(b"last")
        transport.loseConnection()
        transport.loseConnection()
        self.assertIsNone(protocol.lost)
        self.network.flush()
        far.close()
        self.network.flush()
        self.assertEqual((received.data, received.ended, transport.connected), (b"last", True, False))
        self.assertIsInstance(protocol.lost, ConnectionDone)
        transport.resumeProducing()

    def test_lose_while_connecting(self) -> None:
        """A protocol may lose or abort its connection while that is being made."""
        for how, why in (("loseConnection", ConnectionDone), ("abortConnection", ConnectionAborted)):

            class Leaving(Recording):
                """Does not stay."""

                def connectionMade(self) -> None:
                    """Leaves."""
                    getattr(self.transport, how)()  # noqa: B023  # in this turn of the loop

            far, protocol, _ = self.connect(Leaving())
            RecordingReceiver(far)
            self.network.flush()
            far.close()
            self.network.flush()
            self.assertIsInstance(protocol.lost, why)

    def test_peer_ends(self) -> None:
        """The end of the peer ends the connection of a protocol that cannot half-close."""
        far, protocol, _ = self.connect()
        far.close()
        self.network.flush()
        self.assertIsInstance(protocol.lost, ConnectionDone)

    def test_half_close(self) -> None:
        """A protocol that can half-close is told of each end, and goes on with the other direction."""
        far, protocol, transport = self.connect(HalfClosing())
        received = RecordingReceiver(far)
        far.finish_writing()
        self.network.flush()
        self.assertEqual(protocol.told, ["read"])
        transport.write(b"answer")
        transport.loseWriteConnection()
        self.assertEqual(protocol.told, ["read"])
        self.network.flush()
        self.assertEqual((protocol.told, received.data, received.ended), (["read", "write"], b"answer", True))

    def test_lost(self) -> None:
        """A reset is a lost connection, and says what it was."""
        far, protocol, _ = self.connect()
        far.abort()
        self.network.flush()
        self.assertIsInstance(protocol.lost, ConnectionLost)
        self.assertIn(Ended.RESET.value, str(protocol.lost))

    def test_stop_producing(self) -> None:
        """Whoever wants nothing more ends the connection."""
        far, _, transport = self.connect()
        received = RecordingReceiver(far)
        transport.stopProducing()
        self.network.flush()
        self.assertTrue(received.ended)


class LegEndpointTests(SynchronousTestCase):
    """Endpoints whose connections are legs."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.opening: Deferred[IStreamLeg] = Deferred()
        self.endpoint = LegEndpoint(self.network, lambda: self.opening)

    def test_connect(self) -> None:
        """Connecting opens a leg and answers the protocol on it."""
        verifyObject(IStreamClientEndpoint, self.endpoint)
        connecting = self.endpoint.connect(Factory.forProtocol(Recording))
        self.assertNoResult(connecting)
        far, near = self.network.pair()
        self.opening.callback(near)
        protocol = self.successResultOf(connecting)
        far.write(b"hello")
        self.network.flush()
        self.assertEqual(protocol.data, b"hello")  # type: ignore[attr-defined]  # it is ours

    def test_failures(self) -> None:
        """What opening fails with is what connecting fails with; cancelling reaches it."""
        self.opening.errback(ConnectionFailed("no"))
        self.failureResultOf(self.endpoint.connect(Factory.forProtocol(Recording)), ConnectionFailed)
        self.opening = Deferred()
        connecting = self.endpoint.connect(Factory.forProtocol(Recording))
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_no_protocol(self) -> None:
        """A factory that wants none, or fails to make one, loses the leg."""
        answers: list[tuple[Callable[[Any], Any], type[Exception]]] = [
            (lambda address: None, NoProtocol),
            (lambda address: 1 / 0, ZeroDivisionError),
        ]
        for build, why in answers:
            factory = Factory()
            factory.buildProtocol = build  # type: ignore[assignment, method-assign]  # it is the factory's choice
            far, near = self.network.pair()
            self.opening = Deferred()
            self.opening.callback(near)
            self.failureResultOf(self.endpoint.connect(factory), why)
            received = RecordingReceiver(far)
            self.network.flush()
            self.assertIs(received.lost, Ended.RESET)


class Greeting(Resource):
    """A page that has what was sent to it, many times."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        """Repeats it."""
        body: bytes = request.content.read()
        request.setHeader(b"x-from", request.getClientAddress().host.encode())
        return body * 100_000


class WebTests(SynchronousTestCase):
    """twisted.web as server and as client, over the data plane."""

    def test_site_and_agent(self) -> None:
        """A request and a large answer pass; the site knows where the user came from."""
        network = MemoryNetwork()
        plane = DataPlane([CopyForwarder()], network)
        site = Site(Greeting(), reactor=network.clock)
        acceptor = plane.protocol_acceptor(site)
        verifyObject(ILegAcceptor, acceptor)

        def open_leg() -> Deferred[IStreamLeg]:
            near, far = network.pair()
            acceptor.leg_accepted(far, Origin(Address("203.0.113.7", 4000)))
            opened: Deferred[IStreamLeg] = Deferred()
            opened.callback(near)
            return opened

        @implementer(IAgentEndpointFactory)
        class Through:
            """Reaches every host by a leg."""

            def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
                """The same for all."""
                return plane.endpoint(open_leg)

        pool = HTTPConnectionPool(network.clock, persistent=False)
        agent = Agent.usingEndpointFactory(network.clock, Through(), pool)
        cooperator = Cooperator(scheduler=lambda call: network.clock.callLater(0, call))
        body = FileBodyProducer(BytesIO(b"hello "), cooperator=cooperator)
        answer = agent.request(b"POST", b"http://site.example/", bodyProducer=body)
        network.flush()
        network.advance(0)
        network.flush()
        response = self.successResultOf(answer)
        got = readBody(response)
        network.flush()
        self.assertEqual(self.successResultOf(got), b"hello " * 100_000)
        self.assertEqual(response.headers.getRawHeaders(b"x-from"), [b"203.0.113.7"])

    def test_no_protocol(self) -> None:
        """A factory that refuses loses the leg."""
        network = MemoryNetwork()
        factory = Factory()
        factory.buildProtocol = lambda address: None  # type: ignore[assignment, method-assign]  # it refuses
        near, far = network.pair()
        received = RecordingReceiver(near)
        ProtocolAcceptor(network, factory).leg_accepted(far, Origin())
        network.flush()
        self.assertIs(received.lost, Ended.RESET)

    def test_connect(self) -> None:
        """The data plane lets any protocol speak over a leg."""
        network = MemoryNetwork()
        near, far = network.pair()
        protocol = Recording()
        DataPlane([CopyForwarder()], network).connect(near, protocol)
        far.write(b"hello")
        network.flush()
        self.assertEqual(protocol.data, b"hello")
