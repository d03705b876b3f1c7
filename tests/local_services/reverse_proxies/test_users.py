"""Tests for :mod:`relaykit.local_services.reverse_proxies.users`."""

from __future__ import annotations

import contextlib

from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.tls import HANDSHAKE_TIMEOUT_S
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.local_services.reverse_proxies import http2http, https2http
from relaykit.local_services.reverse_proxies.users import RESPONSE_S, Beginning
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.testing.legs import RecordingProducer
from relaykit.testing.memory import CAPACITY_BYTES, RecordingReceiver
from tests.local_services.hosts import LocalScene
from tests.sansio.parsers.hellos import client_hello, records

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


class BeginningTests(SynchronousTestCase):
    """Whether somebody speaks TLS."""

    @given(st.binary(max_size=64))
    def test_junk(self, data: bytes) -> None:
        """Anything is told from either, or refused, and nothing else happens."""
        with contextlib.suppress(RemoteProtocolError):
            Beginning().feed(data)

    def test_cuts(self) -> None:
        """HTTP is known once it cannot be anything else, a hello once it is whole, wherever they are cut."""
        hello = records(client_hello(b"a.example"))
        for at in range(1, len(hello)):
            self.assertIsNone(Beginning().feed(hello[:at]))
        found = Beginning().feed(hello)
        assert found is not None and found[0] is not None
        self.assertEqual(found[0].server_name, "a.example")
        for at in range(1, len(GET)):
            self.assertEqual(Beginning().feed(GET[:at]), None if at < len(b"GET ") else (None, 0))


class SecureUsersTests(SynchronousTestCase):
    """Users who speak TLS, and the service that they get."""

    def setUp(self) -> None:
        self.scene = LocalScene(https2http("localhost:80"))

    def test_other_host(self) -> None:
        """Who asked for one host gets no other, and may go on to ask for the first."""
        _, user = self.scene.secure("a.example")
        got = RecordingReceiver(user)
        user.write(GET)
        self.scene.network.flush()
        self.assertTrue(got.data.startswith(b"HTTP/1.1 421 "))
        self.assertEqual(self.scene.dialed, [])
        user.write(b"GET / HTTP/1.1\r\nHost: A.example.:8443\r\n\r\n")
        self.scene.network.flush()
        self.assertEqual(len(self.scene.dialed), 1)

    def test_http2(self) -> None:
        """Requests of HTTP/2 are asked as those of HTTP/1.1 are, beside each other."""
        client = H2Connection()
        _, user = self.scene.secure()
        got = RecordingReceiver(user)
        client.initiate_connection()
        asked = {":method": "GET", ":scheme": "https", ":authority": "a.example"}
        for stream in (1, 3):
            client.send_headers(stream, [*asked.items(), (":path", f"/{stream}")], end_stream=True)
        user.write(client.data_to_send())
        self.scene.network.flush()
        self.assertEqual(len(self.scene.dialed), 2)
        for at in (1, 0):
            asked_for = self.scene.received(at).data
            self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", asked_for)
            self.scene.dialed[at][1].write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + asked_for[4:6])
        self.scene.network.flush()
        events = client.receive_data(bytes(got.data))
        bodies = {each.stream_id: each.data for each in events if isinstance(each, DataReceived)}
        self.assertEqual(bodies, {1: b"/1", 3: b"/3"})
        self.assertEqual(len([each for each in events if isinstance(each, ResponseReceived)]), 2)
        self.assertEqual(len([each for each in events if isinstance(each, StreamEnded)]), 2)

    def test_kept_beside(self) -> None:
        """What several requests at a time were served over waits for the next ones."""
        client = H2Connection()
        _, user = self.scene.secure()
        RecordingReceiver(user)
        client.initiate_connection()
        asked = {":method": "GET", ":scheme": "https", ":authority": "a.example", ":path": "/"}
        for stream in (1, 3, 5, 7):
            client.send_headers(stream, list(asked.items()), end_stream=True)
            if stream in (3, 7):
                user.write(client.data_to_send())
                self.scene.network.flush()
                for _, service in self.scene.dialed:
                    service.write(NO_CONTENT)
                self.scene.network.flush()
        self.assertEqual(len(self.scene.dialed), 2)

    def test_no_http2(self) -> None:
        """Where HTTP/2 is not offered, who speaks it without asking is refused."""
        self.scene = LocalScene(https2http("localhost:80", enableHTTP2="false"))
        _, user = self.scene.secure()
        got = RecordingReceiver(user)
        user.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.scene.network.flush()
        self.assertTrue(got.data.startswith(b"HTTP/1.1 505 "))

    def test_plain(self) -> None:
        """Who speaks HTTP without TLS is told, who speaks something else is left; nobody is dialed for it."""
        for said, begins in (
            (GET, b"HTTP/1.1 400 "),
            (b"SSH-2.0-x\r\n", b""),
            (b"\x16\x03\x01\x00\x01x", b""),
        ):
            with capturedLogs() as logs:
                _, got = self.scene.connect(said)
            self.assertTrue(bytes(got.data).startswith(begins))
            self.assertTrue(got.ended or got.lost is not None)
            self.assertEqual([each["log_level"] for each in logs], [LogLevel.debug])
        self.assertEqual(self.scene.dialed, [])

    def test_silent(self) -> None:
        """Who does not say hello, or nothing after it, is left in time."""
        for said in (b"", b"\x16\x03\x01"):
            _, got = self.scene.connect(said)
            self.scene.network.advance(HANDSHAKE_TIMEOUT_S)
            self.assertTrue(got.ended or got.lost is not None)
        _, user = self.scene.secure()
        got = RecordingReceiver(user)
        self.scene.network.advance(DEFAULT_TIMEOUTS.head_s)
        self.assertTrue(got.ended or got.lost is not None)
        self.scene.network.advance(HANDSHAKE_TIMEOUT_S)
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])

    def test_left(self) -> None:
        """Who leaves at any time leaves nothing behind."""
        for is_secure in (False, True):
            near, user = self.scene.secure() if is_secure else self.scene.connect(b"\x16")
            near.abort()
            self.scene.network.flush()
            self.assertEqual(self.scene.network.clock.getDelayedCalls(), [], user)

    def test_no_certificate(self) -> None:
        """Where the files cannot be used, whoever comes is told so by the client, which names the key."""
        self.scene = LocalScene(https2http("localhost:80", crtPath="/nowhere/a", keyPath="/nowhere/b"))
        error = self.assertRaises(ConnectionFailed, self.scene.open)
        self.assertIn("plugin.crtPath", str(error))
