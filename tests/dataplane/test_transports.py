"""Legs on Twisted transports, with a transport that does nothing by itself."""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.dataplane.transports import TransportLeg, _Adapter, connect_foreign
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address, Ended
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
