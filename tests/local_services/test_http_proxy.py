"""Tests for :mod:`relaykit.local_services.http_proxy`."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILocalService
from relaykit.local_services.http_proxy import WRONG_PASSWORD_S, local_service
from tests.local_services.hosts import LocalScene

GET = b"GET http://example.com:8080/x?y HTTP/1.1\r\nHost: example.com:8080\r\n%b\r\n"
CONNECT = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n%b\r\n"
ASKED = b"GET /x?y HTTP/1.1\r\nHost: example.com:8080\r\n"


def login(user: bytes, password: bytes) -> bytes:
    """The field of who gives these."""
    return b"Proxy-Authorization: Basic " + b64encode(user + b":" + password) + b"\r\n"


class HttpProxyTests(SynchronousTestCase):
    """Users of a forward proxy."""

    def setUp(self) -> None:
        self.scene = LocalScene(local_service())

    def test_provides(self) -> None:
        """It is a local service, whose password nobody gets to see."""
        service = local_service("alice", "hush")
        verifyObject(ILocalService, service)
        self.assertNotIn("hush", repr(service))

    def test_request(self) -> None:
        """A request goes to the host of its URL, without what is about the proxy or tells of the user."""
        hop = b"Proxy-Connection: keep-alive\r\nTE: x\r\nX-Forwarded-For: 1.1.1.1\r\nA: b\r\n" + login(
            b"a", b"b"
        )
        _, got = self.scene.connect(GET % hop)
        there = self.scene.received()
        self.assertEqual(self.scene.dialed[0][0], "example.com:8080")
        self.assertEqual(there.data, ASKED + b"X-Forwarded-For: 1.1.1.1\r\nA: b\r\n\r\n")
        self.scene.dialed[0][1].write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X\r\nX: y\r\n\r\nok"
        )
        self.scene.network.flush()
        self.assertTrue(got.data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(got.data.endswith(b"\r\n\r\nok"))
        self.assertNotIn(b"X: y", got.data)

    def test_kept(self) -> None:
        """The connection to a server serves the next request for it, and goes when another one is asked."""
        user, _ = self.scene.connect(GET % b"")
        service = self.scene.dialed[0][1]
        there = self.scene.received()
        for _ in range(2):
            service.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.scene.network.flush()
            user.write(GET % b"")
            self.scene.network.flush()
        self.assertEqual((there.data, len(self.scene.dialed)), ((ASKED + b"\r\n") * 3, 1))
        service.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.scene.network.flush()
        user.write((GET % b"").replace(b"8080", b"8081"))
        self.scene.network.flush()
        self.assertEqual((there.ended, self.scene.dialed[1][0]), (True, "example.com:8081"))

    def test_kept_ends(self) -> None:
        """A kept connection goes with its user, and where the server says or ends what nobody asked for."""
        for end in ("user", "server", "words"):
            user, got = self.scene.connect(GET % b"")
            service = self.scene.dialed[-1][1]
            there = self.scene.received()
            service.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.scene.network.flush()
            if end == "user":
                user.abort()
            elif end == "server":
                service.finish_writing()
            else:
                service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            self.scene.network.flush()
            self.assertTrue(there.ended or there.lost is not None, end)
            if end != "user":
                user.write(GET % b"")
                self.scene.network.flush()
                self.assertNotIn(b"wrong", got.data)

    def test_tunnel(self) -> None:
        """CONNECT opens a tunnel, through which all goes, what came early, too; each direction ends alone."""
        user, got = self.scene.connect(CONNECT % b"" + b"early")
        there = self.scene.received()
        self.assertEqual((self.scene.dialed[0][0], got.data), ("example.com:443", b"HTTP/1.1 200 OK\r\n\r\n"))
        user.write(b" late")
        user.finish_writing()
        self.scene.network.flush()
        self.assertEqual((there.data, there.ended), (b"early late", True))
        self.scene.dialed[0][1].write(b"answer")
        self.scene.dialed[0][1].finish_writing()
        self.scene.network.flush()
        self.assertTrue(got.data.endswith(b"\r\n\r\nanswer"))
        self.assertTrue(got.ended)

    def test_tunnel_later(self) -> None:
        """A tunnel may be asked for after other requests."""
        user, got = self.scene.connect(GET % b"")
        self.scene.dialed[0][1].write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.scene.network.flush()
        user.write(CONNECT % b"")
        self.scene.network.flush()
        self.assertTrue(got.data.endswith(b"HTTP/1.1 200 OK\r\n\r\n"))

    def test_greeted_tunnel(self) -> None:
        """A server that speaks first is heard after the answer."""
        self.scene.answers = lambda leg: leg.write(b"220 hello")
        _, got = self.scene.connect(CONNECT % b"")
        self.assertEqual(got.data, b"HTTP/1.1 200 OK\r\n\r\n220 hello")

    def test_not_reached(self) -> None:
        """A server that is not there is a bad gateway, one that does not answer one that is too late."""
        for problem, status in (("connection-refused", b"502"), ("no-answer", b"504")):
            for request in (GET, CONNECT):
                self.scene.failure = ConnectionFailed("cannot connect", problem=problem)
                _, got = self.scene.connect(request % b"")
                self.assertEqual(got.data.split()[1], status)

    def test_not_for_a_proxy(self) -> None:
        """What is no request to a forward proxy is refused with words."""
        for request in (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", GET.replace(b"http:", b"https:") % b""):
            _, got = self.scene.connect(request)
            self.assertTrue(got.data.startswith(b"HTTP/1.1 400 "))
            self.assertIn(b"CONNECT", got.data)
        for request, status in (
            (CONNECT.replace(b":443", b""), b"400"),
            (CONNECT.replace(b"CONNECT", b"connect"), b"501"),
        ):
            _, got = self.scene.connect(request % b"")
            self.assertEqual(got.data.split()[1], status)
        self.assertEqual(self.scene.dialed, [])

    def test_password(self) -> None:
        """Only the right user with the right password is served; who gives others waits a little."""
        self.scene = LocalScene(local_service("alice", "hush"))
        for request in (GET, CONNECT):
            _, got = self.scene.connect(request % b"")
            self.assertTrue(got.data.startswith(b"HTTP/1.1 407 "))
            self.assertIn(b"Proxy-Authenticate: Basic", got.data)
            for user, password in ((b"alice", b"x"), (b"bob", b"hush"), (b"", b"")):
                _, got = self.scene.connect(request % login(user, password))
                self.assertEqual(got.data, b"")
                self.scene.network.advance(WRONG_PASSWORD_S)
                self.assertTrue(got.data.startswith(b"HTTP/1.1 407 "))
            self.assertEqual(self.scene.dialed, [])
            self.scene.connect(request % login(b"alice", b"hush"))
            self.assertEqual(len(self.scene.dialed), 1)
            self.scene.dialed.clear()

    def test_left_waiting(self) -> None:
        """Who leaves while it waits for a refusal leaves nothing behind."""
        self.scene = LocalScene(local_service("alice", "hush"))
        user, _ = self.scene.connect(GET % login(b"alice", b"x"))
        user.abort()
        self.scene.network.flush()
        self.assertEqual(self.scene.network.clock.getDelayedCalls(), [])
