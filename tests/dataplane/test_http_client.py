"""Tests for bounded answers and whole bodies; those over twisted.web's client are with who asks by it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.http_client import BoundedEndpoint, WholeBody, failed_by


class Keeping(Protocol):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects at once; one that is ``lost`` is lost before anybody has the protocol."""

    def __init__(self, lost: bool = False) -> None:
        self.lost = lost

    def connect(self, protocolFactory: Any) -> Any:
        self.protocol = protocolFactory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        if self.lost:
            self.protocol.connectionLost(Failure(ConnectionLost()))
        return succeed(self.protocol)


class BoundedTests(SynchronousTestCase):
    """Tests for connections on which only so much may come."""

    def connect(self, endpoint: Endpoint) -> Keeping:
        """The protocol that was asked for."""
        bounded = BoundedEndpoint(endpoint, 10)
        spoken: Any = self.successResultOf(bounded.connect(Factory.forProtocol(Keeping)))
        self.assertIsInstance(spoken, Keeping)
        return spoken  # type: ignore[no-any-return]  # it was looked at

    def test_counted_from_each_write(self) -> None:
        """So much may come after each thing that was written, and what is too much is not seen."""
        endpoint = Endpoint()
        spoken = self.connect(endpoint)
        assert spoken.transport is not None
        for write in (lambda: spoken.transport.write(b"a"), lambda: spoken.transport.writeSequence([b"a"])):
            write()
            endpoint.protocol.dataReceived(b"12345")
            endpoint.protocol.dataReceived(b"67890")
        self.assertFalse(endpoint.transport.disconnected)
        endpoint.protocol.dataReceived(b"x")
        self.assertTrue(endpoint.transport.disconnected)
        self.assertEqual(spoken.data, b"1234567890" * 2)

    def test_lost_at_once(self) -> None:
        """A connection that is lost already has its protocol all the same."""
        self.connect(Endpoint(lost=True))

    def test_failed_by(self) -> None:
        """The client's failure tells whether it was that."""
        for why, expected in ((ConnectionAborted(), True), (ConnectionLost(), False)):
            self.assertEqual(failed_by(ResponseFailed([Failure(why)]), ConnectionAborted), expected)
        self.assertFalse(failed_by(ValueError(), ConnectionAborted))


class WholeBodyTests(SynchronousTestCase):
    """Tests for bodies."""

    def test_written(self) -> None:
        """It is written at once, whatever is asked of it meanwhile."""
        body, transport = WholeBody(b"abc"), StringTransport()
        verifyObject(IBodyProducer, body)
        self.successResultOf(body.startProducing(transport))
        body.pauseProducing()
        body.resumeProducing()
        body.stopProducing()
        self.assertEqual((transport.value(), body.length), (b"abc", 3))
