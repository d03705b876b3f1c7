"""Legs on Twisted transports, with a transport that does nothing by itself."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.listening import ListenFailed
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.dataplane.transports import EndpointPort, TransportLeg, _Adapter, connect_foreign, leg_over
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILegAcceptor, IStreamLeg
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended, Origin
from tests.dataplane.fakes import FakePoller

DONE = Failure(error.ConnectionDone())
LOST = Failure(error.ConnectionLost())


class Transport(StringTransport):
    """A transport with half-close."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        """Ends the output."""
        self.half_closed = True


class TransportLegTests(SynchronousTestCase):
    """One leg on a fake transport."""

    transport: StringTransport

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.connect(Transport(peerAddress=IPv4Address("TCP", "192.0.2.1", 7)))

    def connect(self, transport: StringTransport) -> None:
        """Makes the leg as an endpoint would."""
        self.transport = transport
        self.adapter = _Adapter(self.poller)
        self.adapter.makeConnection(transport)
        leg = self.adapter.to_leg()
        assert isinstance(leg, TransportLeg)
        self.leg = leg

    def test_interface(self) -> None:
        """It is a leg with addresses, and paused."""
        verifyObject(IStreamLeg, self.leg)
        self.assertEqual((self.leg.peer, self.transport.producerState), (Address("192.0.2.1", 7), "paused"))

    def test_no_address(self) -> None:
        """A transport that is not over IP has none."""
        self.connect(Transport(UNIXAddress(None), UNIXAddress("/run/x")))
        self.assertEqual((self.leg.peer, self.leg.host), (None, None))

    def test_bytes(self) -> None:
        """Bytes pass both ways; those that come too early are held."""
        self.adapter.dataReceived(b"early")
        receiver = RecordingReceiver(self.leg)
        self.assertEqual(self.transport.producerState, "producing")
        self.adapter.dataReceived(b"later")
        self.leg.write(bytearray(b"a"))
        self.leg.write_sequence([memoryview(b"b"), b"c"])
        self.assertEqual((receiver.data, self.transport.value()), (b"earlylater", b"abc"))

    def test_closed_while_loss_waits(self) -> None:
        """What waited behind a pause is dropped by closing, and the loss is told."""
        receiver = RecordingReceiver(self.leg)
        self.leg.pauseProducing()
        self.adapter.dataReceived(b"more")
        self.adapter.readConnectionLost()
        self.leg.finish_writing()
        self.adapter.connectionLost(DONE)
        self.poller.end_turn()
        self.assertIsNone(receiver.lost)
        self.leg.close()
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))

    def test_half_close(self) -> None:
        """Each direction ends by itself; then the connection is given up."""
        receiver = RecordingReceiver(self.leg)
        self.leg.finish_writing()
        self.leg.write(b"ignored")
        self.adapter.writeConnectionLost()
        self.assertIsNone(self.transport.producer)
        self.adapter.readConnectionLost()
        self.assertEqual((receiver.ended, self.transport.disconnecting), (True, True))
        self.adapter.connectionLost(DONE)
        self.poller.end_turn()
        self.assertEqual((receiver.lost, self.transport.value()), (Ended.FINISHED, b""))

    def test_no_half_close(self) -> None:
        """Without half-close the connection's end is the peer's end, and everything's."""
        self.connect(StringTransport())
        receiver = RecordingReceiver(self.leg)
        self.leg.finish_writing()
        self.assertFalse(self.transport.disconnecting)
        self.adapter.connectionLost(DONE)
        self.poller.end_turn()
        self.assertEqual((receiver.ended, receiver.lost), (True, Ended.FINISHED))

    def test_close(self) -> None:
        """Closing ends the output and swallows input until the peer's end, for a bounded time."""
        receiver = RecordingReceiver(self.leg)
        self.leg.close()
        self.leg.close()
        self.adapter.dataReceived(b"swallowed")
        self.adapter.writeConnectionLost()
        self.adapter.readConnectionLost()
        self.assertTrue(self.transport.disconnecting)
        self.adapter.connectionLost(DONE)
        self.poller.end_turn()
        self.assertEqual((receiver.data, receiver.lost), (b"", Ended.FINISHED))
        self.assertEqual(self.poller.clock.getDelayedCalls(), [])

    def test_close_in_time(self) -> None:
        """A peer that does not take what is left is dropped."""
        receiver = RecordingReceiver(self.leg)
        self.leg.close()
        self.poller.clock.advance(FLUSH_LINGER_S)
        self.assertTrue(self.transport.disconnected or self.transport.disconnecting)
        self.adapter.connectionLost(LOST)
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.TIMEOUT)

    def test_abort(self) -> None:
        """Aborting is told as such."""
        receiver = RecordingReceiver(self.leg)
        self.leg.abort()
        self.adapter.connectionLost(LOST)
        self.poller.end_turn()
        self.assertIs(receiver.lost, Ended.CANCELLED)

    def test_cut(self) -> None:
        """A connection that broke was not ended in order, and may have timed out."""
        for reason, ended in ((LOST, Ended.RESET), (Failure(error.TimeoutError()), Ended.TIMEOUT)):
            self.setUp()
            receiver = RecordingReceiver(self.leg)
            self.adapter.connectionLost(reason)
            self.poller.end_turn()
            self.assertEqual((receiver.ended, receiver.lost), (False, ended))

    def test_not_an_endpoint(self) -> None:
        """A string that no parser understands is a failed connection."""
        failure = self.failureResultOf(connect_foreign(self.poller, "what:is:this", 1.0), ConnectionFailed)
        self.assertIn("what:is:this", str(failure.value))


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class Endpoint:
    """An endpoint of both kinds, which answers what a test says."""

    def __init__(self, answer: Deferred[Any]) -> None:
        self.answer = answer
        self.factory: Any = None

    def __str__(self) -> str:
        return "the endpoint"

    def connect(self, factory: Any) -> Deferred[Any]:
        """Begins."""
        self.factory = factory
        return self.answer

    listen = connect

    def arrive(self) -> Any:
        """One connection, which has an address."""
        adapter = self.factory.buildProtocol(None)
        adapter.makeConnection(Transport(peerAddress=IPv4Address("TCP", "192.0.2.1", 7)))
        return adapter


@implementer(ILegAcceptor)
class Acceptor:
    """Notes what is handed over."""

    def __init__(self) -> None:
        self.accepted: list[tuple[Any, Origin]] = []

    def leg_accepted(self, leg: Any, origin: Origin) -> None:
        """Notes it."""
        self.accepted.append((leg, origin))


class Port:
    """What an endpoint answers."""

    stopped = False

    def stopListening(self) -> None:
        """Stops."""
        self.stopped = True


class LegOverTests(SynchronousTestCase):
    """Legs on what an endpoint connects to."""

    def test_connected(self) -> None:
        """The leg is on the transport of the endpoint."""
        poller = FakePoller()
        endpoint = Endpoint(Deferred())
        connecting = leg_over(poller, endpoint, 1.0)
        endpoint.answer.callback(endpoint.arrive())
        self.assertEqual(self.successResultOf(connecting).peer, Address("192.0.2.1", 7))

    def test_failed(self) -> None:
        """Every failure is one of connecting, which names the endpoint; what is one already stays so."""
        for reason, said in (
            (ValueError("no such program"), "cannot connect to the endpoint: no such program"),
            (ConnectionFailed("it is not there"), "it is not there"),
        ):
            connecting = leg_over(FakePoller(), Endpoint(fail(reason)), 1.0)
            self.assertEqual(str(self.failureResultOf(connecting, ConnectionFailed).value), said)

    def test_too_late(self) -> None:
        """An endpoint that takes too long is given up."""
        poller = FakePoller()
        connecting = leg_over(poller, Endpoint(Deferred()), 2.0)
        poller.clock.advance(2.0)
        failure = self.failureResultOf(connecting, ConnectionFailed)
        self.assertIn("no answer within 2 seconds", str(failure.value))


class EndpointPortTests(SynchronousTestCase):
    """Listening at an endpoint."""

    def begin(self, answer: Deferred[Any]) -> None:
        """Makes the service, which is not started."""
        self.endpoint = Endpoint(answer)
        self.acceptor = Acceptor()
        self.service = EndpointPort(FakePoller(), self.endpoint, self.acceptor)

    def test_accepted(self) -> None:
        """What comes is handed over with where it comes from, until the service stops."""
        port = Port()
        self.begin(succeed(port))
        self.service.startService()
        self.endpoint.arrive()
        ((leg, origin),) = self.acceptor.accepted
        self.assertIsInstance(leg, TransportLeg)
        self.assertEqual(origin.source, Address("192.0.2.1", 7))
        self.successResultOf(self.service.stopService())
        self.assertTrue(port.stopped)

    def test_refused_at_once(self) -> None:
        """An endpoint that fails at once keeps the service from starting, which says why."""
        self.begin(fail(error.CannotListenError("unix", "/run/x", OSError(13, "Permission denied"))))
        refusal = self.assertRaises(ListenFailed, self.service.startService)
        self.assertIn("cannot listen at the endpoint", str(refusal))
        self.assertFalse(self.service.running)

    def test_refused_later(self) -> None:
        """A failure that comes later is logged."""
        self.begin(Deferred())
        self.service.startService()
        with capturedLogs() as logged:
            self.endpoint.answer.errback(ValueError("no"))
        self.assertEqual([each["reason"] for each in logged], ["cannot listen at the endpoint: no"])
        self.successResultOf(self.service.stopService())

    def test_stopped_before(self) -> None:
        """An endpoint that has not answered is given up."""
        self.begin(Deferred())
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertTrue(self.endpoint.answer.called)
