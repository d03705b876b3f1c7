"""Tests for :mod:`relaykit.local_services.tls2raw`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.tls import HANDSHAKE_TIMEOUT_S
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILocalService, IStreamLeg
from relaykit.local_services.tls2raw import local_service
from relaykit.testing.memory import RecordingReceiver
from tests.local_services.hosts import LocalScene


class TlsToRawTests(SynchronousTestCase):
    """Users that speak TLS, and a service that does not."""

    def setUp(self) -> None:
        self.scene = LocalScene(local_service("localhost:25"))

    def test_provides(self) -> None:
        """It is a local service, which wants to know where to."""
        verifyObject(ILocalService, local_service("localhost:25"))
        self.assertRaises(ValueError, local_service, "localhost")
        self.assertRaises(ValueError, local_service, "localhost:25", crtPath="a.crt")

    def test_handed_on(self) -> None:
        """What is within TLS reaches the service, which is told of the user, and its answer comes back."""
        _, user = self.scene.secure()
        got = RecordingReceiver(user)
        [(where, service)] = self.scene.dialed
        there = RecordingReceiver(service)
        self.assertEqual((where, len(self.scene.announced)), ("localhost:25", 1))
        user.write(b"EHLO")
        user.finish_writing()
        self.scene.network.flush()
        service.write(b"220 hello")
        service.finish_writing()
        self.scene.network.flush()
        self.assertEqual((there.data, there.ended), (b"EHLO", True))
        self.assertEqual((got.data, got.ended), (b"220 hello", True))

    def test_same_certificate(self) -> None:
        """The certificate that is made is the same for all users."""
        shown = {self.scene.secure()[1].peer_certificate for _ in range(2)}
        self.assertEqual(len(shown), 1)

    def test_no_service(self) -> None:
        """A user whose service is not there sees the handshake, then the end; the log says why."""
        self.scene.failure = ConnectionFailed("connection refused")
        with capturedLogs() as logs:
            _, user = self.scene.secure()
        got = RecordingReceiver(user)
        self.scene.network.flush()
        self.assertTrue(got.ended or got.lost is not None)
        [event] = logs
        self.assertEqual((event["log_level"], event["problem"]), (LogLevel.error, "local-service"))

    def test_plain(self) -> None:
        """Who speaks no TLS is left, and nobody is dialed for it."""
        _, got = self.scene.connect(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(got.ended or got.lost is not None)
        self.assertEqual(self.scene.dialed, [])

    def test_silent(self) -> None:
        """Who does not do its half of the handshake is left in time."""
        _, got = self.scene.connect(b"\x16")
        self.scene.network.advance(HANDSHAKE_TIMEOUT_S + 1)
        self.assertTrue(got.ended or got.lost is not None)

    def test_left(self) -> None:
        """Who leaves while the service is dialed has that given up."""
        cancelled: list[bool] = []
        waiting: Deferred[IStreamLeg] = Deferred(lambda _: cancelled.append(True))
        self.scene.waiting = waiting
        near, _ = self.scene.secure()
        near.abort()
        self.scene.network.flush()
        self.assertEqual(cancelled, [True])

    def test_defect(self) -> None:
        """What should not happen is logged as a failure, and the user cut off."""
        self.scene.waiting = Deferred()
        _, user = self.scene.secure()
        self.scene.waiting.errback(ZeroDivisionError())
        self.scene.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        got = RecordingReceiver(user)
        self.scene.network.flush()
        self.assertIsNotNone(got.lost)
