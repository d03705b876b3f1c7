"""Responses on their way to users."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.relaying import MOST_INTERIM, ResponseRelay, connection_line
from relaykit.sansio.http.requests import RequestHeads
from relaykit.sansio.http.responses import ResponseHeads, ResponseRefused
from relaykit.sansio.http.rewriting import ResponseRewriter
from tests.sansio.http.between import DATE, OK, PLAIN

GET = b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"


def relay(request: bytes = GET) -> ResponseRelay:
    """The way of the response to this request."""
    found = RequestHeads().feed(request)
    assert found is not None
    return ResponseRelay(found[0], PLAIN, ResponseHeads(), ResponseRewriter(lambda: DATE))


def pass_on(response: ResponseRelay, data: bytes, *, closing: bool = False, early: bool = False) -> bytes:
    """What the user gets of these bytes."""
    passed: list[Buffer] = []
    response.read(data, passed, closing=closing, early=early)
    return b"".join(passed)


class ResponseRelayTests(SynchronousTestCase):
    """What is known of a response while it passes."""

    def test_steps(self) -> None:
        """It is silent, then begun, then complete; its connection may be reused then."""
        response = relay()
        self.assertTrue(response.is_silent)
        self.assertEqual(pass_on(response, OK[:9]), b"")
        self.assertFalse(response.is_silent or response.head)
        self.assertEqual(pass_on(response, OK[9:-1]), OK[:-1])
        self.assertEqual((response.is_complete, response.keeps_user), (False, True))
        self.assertEqual(pass_on(response, OK[-1:]), b"k")
        self.assertTrue(response.is_complete and response.is_reusable)
        self.assertFalse(response.is_tunnel)

    def test_large_pieces(self) -> None:
        """A body is never copied: what goes on is a slice of what came."""
        response = relay()
        pass_on(response, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        passed: list[Buffer] = []
        piece = memoryview(bytes(1000))
        response.read(piece, passed, closing=False, early=False)
        self.assertIs(passed[0], piece)

    def test_endings(self) -> None:
        """Who closes is told; so is who sends on although an error was answered."""
        for closing, early, status, keeps in (
            (False, False, b"200", True),
            (True, False, b"200", False),
            (False, True, b"200", True),
            (False, True, b"400", False),
        ):
            response = relay()
            data = pass_on(response, OK.replace(b"200", status), closing=closing, early=early)
            self.assertEqual((response.keeps_user, b"Connection: close" not in data), (keeps, keeps))

    def test_end(self) -> None:
        """The end of the stream completes what has no other end, and nothing else."""
        for data, complete in (
            (OK[:-1], False),
            (b"HTTP/1.1 200 OK\r\n\r\nok", True),
            (b"HTTP/1.1 200 OK\r\n", False),
        ):
            response = relay()
            pass_on(response, data)
            self.assertEqual(response.end([]), complete)

    def test_refused(self) -> None:
        """What is no response is not passed on."""
        self.assertRaises(ResponseRefused, pass_on, relay(), b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n")

    def test_interim(self) -> None:
        """Interim responses go on, so many of them, and the final one behind them."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * MOST_INTERIM
        self.assertEqual(pass_on(relay(), hints + OK), hints + OK)
        response = relay()
        pass_on(response, hints)
        self.assertRaises(ResponseRefused, pass_on, response, b"HTTP/1.1 103 Early Hints\r\n\r\n")

    def test_connection_line(self) -> None:
        """HTTP/1.1 stays unless it is told otherwise, and 1.0 only if it is told."""
        for version, keeps, line in (
            (b"1.1", True, b""),
            (b"1.1", False, b"Connection: close\r\n"),
            (b"1.0", True, b"Connection: keep-alive\r\n"),
            (b"1.0", False, b"Connection: close\r\n"),
        ):
            found = RequestHeads().feed(GET.replace(b"1.1", version))
            assert found is not None
            self.assertEqual(connection_line(found[0].said, keeps), line)
