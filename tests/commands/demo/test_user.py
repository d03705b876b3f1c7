"""Tests for the user of a service that says everything back."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo import user
from relaykit.commands.demo.user import USE_S, Times, use_service
from relaykit.errors import ConnectionFailed


class UserTests(SynchronousTestCase):
    """Tests for one user."""

    def setUp(self) -> None:
        """Has a user come to a visitor's machine."""
        self.places: list[str] = []
        self.patch(user, "entered", self.entered)
        self.reactor = MemoryReactorClock()
        self.used = Deferred.fromCoroutine(use_service(self.reactor, "the visitor's", 1007, b"abcdef"))
        self.transport = StringTransport()

    def entered(self, place: str) -> AbstractContextManager[None]:
        """Goes nowhere."""
        self.places.append(place)
        return nullcontext()

    def connect(self) -> Any:
        """Lets it come in."""
        host, port, factory, _, _ = self.reactor.tcpClients[0]
        self.assertEqual((self.places, host, port), (["the visitor's"], "127.0.0.1", 1007))
        protocol: Any = factory.buildProtocol(None)
        protocol.makeConnection(self.transport)
        return protocol

    def test_times(self) -> None:
        """The first byte, the next one, and the rest are waited for, one after the other."""
        protocol = self.connect()
        for seconds, sent, parts in (
            (0.5, b"a", [b"a"]),
            (0.001, b"ab", [b"b"]),
            (0.1, b"abcdef", [b"cd", b"ef"]),
        ):
            self.assertEqual(self.transport.value(), sent)
            self.reactor.advance(seconds)
            for part in parts:
                protocol.dataReceived(part)
        times = self.successResultOf(self.used)
        for told, seconds in zip(
            (times.first_byte_s, times.round_trip_s, times.all_s), (0.5, 0.001, 0.1), strict=True
        ):
            self.assertAlmostEqual(told, seconds)
        self.assertIsInstance(times, Times)
        self.assertTrue(self.transport.disconnecting)

    def fails(self, text: str) -> None:
        """The user was told of it, and left."""
        self.assertIn(text, str(self.failureResultOf(self.used, ConnectionFailed).value))

    def test_something_else(self) -> None:
        """A service that says something else back is found out."""
        self.connect().dataReceived(b"b")
        self.fails("something else")
        self.assertTrue(self.transport.disconnecting)

    def test_cut(self) -> None:
        """A connection that ends before all came back is a failure."""
        self.connect().connectionLost(Failure(ConnectionRefusedError()))
        self.fails("cut")

    def test_silence(self) -> None:
        """A service that says nothing is not waited for without end."""
        self.connect()
        self.reactor.advance(USE_S)
        self.fails("did not answer within 20 seconds")

    def test_nobody(self) -> None:
        """A port that nobody listens at is a failure."""
        factory: Any = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.fails("nobody listens")
