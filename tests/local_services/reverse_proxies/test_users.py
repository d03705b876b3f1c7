"""Tests for :mod:`relaykit.local_services.reverse_proxies.users`."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import ConnectionFailed
from relaykit.local_services.reverse_proxies import http2http
from relaykit.local_services.reverse_proxies.users import RESPONSE_S
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import CAPACITY_BYTES, RecordingReceiver
from tests.local_services.hosts import LocalScene

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
MUCH_BYTES = 64 * CAPACITY_BYTES


class PlainUsersTests(SynchronousTestCase):
    """Users who speak HTTP/1.1, and the service that they get."""

    def setUp(self) -> None:
        self.scene = LocalScene(http2http("localhost:80"))

    def test_kept(self) -> None:
        """One connection to the service serves the requests of one user, and of the next one."""
        for _ in range(2):
            user, got = self.scene.connect()
            for _ in range(2):
                user.write(GET)
                self.scene.network.flush()
                self.scene.dialed[0][1].write(NO_CONTENT)
                self.scene.network.flush()
            self.assertEqual(got.data.count(b"204"), 2)
            user.close()
            self.scene.network.flush()
        self.assertEqual(len(self.scene.dialed), 1)

    def test_not_reached(self) -> None:
        """A service that is not there, or too late, is told apart, and its user may ask again."""
        for problem, status in (("connection-refused", b"502"), ("no-answer", b"504")):
            self.scene.failure = ConnectionFailed("x", problem=problem)
            with capturedLogs():
                user, got = self.scene.connect(GET)
            self.assertEqual(got.data.split(b" ")[1], status)
            self.scene.failure = None
            user.write(GET)
            self.scene.network.flush()
            self.assertIn(b"GET / HTTP/1.1", self.scene.received().data)

    def test_silent_service(self) -> None:
        """A service may think for long, and not for ever."""
        _, got = self.scene.connect(GET)
        self.scene.received()
        self.scene.network.advance(RESPONSE_S - 1)
        self.assertEqual(got.data, b"")
        self.scene.network.advance(1)
        self.assertTrue(got.data.startswith(b"HTTP/1.1 504 "))

    def test_silent_user(self) -> None:
        """Who asks for nothing, or begins and stops, is let go in time, and nobody is dialed for it."""
        for begun in (b"", GET[:-2]):
            _, got = self.scene.connect(begun)
            self.scene.network.advance(DEFAULT_TIMEOUTS.head_s)
            self.assertTrue(got.ended or got.lost is not None)
        self.assertEqual(self.scene.dialed, [])

    def test_refused(self) -> None:
        """A request that two servers could take for two is answered, and goes no further."""
        both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        for request, status in (
            (POST + both, b"400"),
            (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\nHost: a\n\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + bytes(200_000).replace(b"\0", b"a"), b"431"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        ):
            _, got = self.scene.connect(request)
            self.assertEqual(got.data.split(b" ")[1], status, request[:80])
        self.assertEqual(self.scene.dialed, [])

    def test_expectation(self) -> None:
        """Who waits for leave to send gets the service's."""
        user, got = self.scene.connect(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        there = self.scene.received()
        self.assertIn(b"Expect: 100-continue\r\n", there.data)
        self.scene.dialed[0][1].write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.scene.network.flush()
        self.assertEqual(got.data, b"HTTP/1.1 100 Continue\r\n\r\n")
        user.write(b"ok")
        self.scene.network.flush()
        self.assertTrue(there.data.endswith(b"\r\n\r\nok"))

    def test_slow_service(self) -> None:
        """A service that takes nothing has its user stopped, before much is kept."""
        user, _ = self.scene.connect(POST + b"Content-Length: %d\r\n\r\n" % MUCH_BYTES)
        [(_, service)] = self.scene.dialed
        there = RecordingReceiver(service)
        service.pauseProducing()
        producer = RecordingProducer()
        user.registerProducer(producer, True)
        sent = 0
        while not producer.paused and sent < MUCH_BYTES:
            user.write(bytes(CAPACITY_BYTES))
            sent += CAPACITY_BYTES
            self.scene.network.flush()
        self.assertLess(sent, MUCH_BYTES // 4)
        service.resumeProducing()
        self.scene.network.flush()
        self.assertGreaterEqual(len(there.data), sent)

    def test_upgrade(self) -> None:
        """After an upgrade both sides say what they like, each until it ends."""
        user, got = self.scene.connect(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        there = self.scene.received()
        service = self.scene.dialed[0][1]
        service.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
        )
        self.scene.network.flush()
        user.write(b"frame")
        user.finish_writing()
        self.scene.network.flush()
        self.assertTrue(there.data.endswith(b"\r\n\r\nframe"))
        self.assertTrue(there.ended)
        self.assertTrue(got.data.endswith(b"\r\n\r\nearly"))
