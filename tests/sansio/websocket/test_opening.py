"""How a WebSocket connection is opened: what both ends say, and what they do not take."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import PrefixParser
from relaykit.sansio.websocket.opening import (
    MOST_HEAD_BYTES,
    Opened,
    UpgradeOffer,
    UpgradeRecognizer,
    UpgradeRefused,
    UpgradeRequest,
    UpgradeRequestParser,
    header_problem,
    path_problem,
)
from tests import recorded

SAMPLE_KEY = base64.b64decode("dGhlIHNhbXBsZSBub25jZQ==")
"""That of RFC 6455 section 1.3, where the answer to it is, too."""

OFFER = UpgradeOffer.of(SAMPLE_KEY, host="127.0.0.1:20000")
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
BINDING = bytes(range(32))


def request(*changes: tuple[bytes, bytes]) -> bytes:
    """The request of frp, with something in place of something else."""
    said = OFFER.request()
    for old, new in changes:
        assert old in said, old
        said = said.replace(old, new)
    return said


def byte_by_byte(parser: PrefixParser, data: bytes) -> object:
    """The first answer of a parser that sees one byte more each time."""
    answers = (parser.feed(data[:end]) for end in range(1, len(data) + 1))
    return next((each for each in answers if each is not None), None)


class RequestTests(SynchronousTestCase):
    """Tests for the server's half."""

    def refused(self, said: bytes, path: str = "/~!frp") -> tuple[int, str]:
        """With which status and reason a request is refused."""
        error = self.assertRaises(UpgradeRefused, UpgradeRequestParser(path).feed, said)
        return error.answer.status, str(error)

    def test_taken(self) -> None:
        """Frp's request is taken, whole and byte by byte, and answered as the standard's example is."""
        parser = UpgradeRequestParser()
        said = request()
        found = parser.feed(said + b"\x82")
        self.assertEqual(byte_by_byte(parser, said), found)
        assert found is not None
        self.assertEqual((found[1], found[0].binding), (len(said), b""))
        self.assertEqual(found[0].accepted(), ACCEPTED)

    def test_recorded(self) -> None:
        """The requests and answers of frp's programs are the very ones that are written and read here."""
        for name in ("v1-websocket", "v2-websocket-mux"):
            for connection in recorded.load(name).connections:
                said, answer = (
                    connection.data(way).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for way in ("c2s", "s2c")
                )
                if not said.startswith(b"GET"):
                    continue
                found = UpgradeRequestParser().feed(said)
                assert found is not None
                self.assertEqual(found[0].accepted(), answer)
                offer = UpgradeOffer.of(base64.b64decode(found[0].key), host="127.0.0.1:20000")
                self.assertEqual(offer.request(), said)
                self.assertEqual(offer.feed(answer), (Opened(False), len(answer)))

    def test_tolerated(self) -> None:
        """What proxies make of it is taken, too."""
        for changes in (
            [(b"Upgrade: websocket", b"upgrade:  WebSocket ")],
            [(b"Connection: Upgrade", b"Connection: keep-alive, upgrade")],
            [(b"/~!frp ", b"/~!frp?x=1 ")],
            [(b"Origin: http://127.0.0.1:20000\r\n", b"X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 x\r\n")],
            [(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b")],
            [(b"Origin:", b"Content-Length: 0\r\nOrigin:")],
        ):
            self.assertIsNotNone(UpgradeRequestParser().feed(request(*changes)), changes)
        self.assertIsNotNone(UpgradeRequestParser("/relay").feed(request((b"/~!frp", b"/relay"))))

    def test_refused(self) -> None:
        """Whatever cannot be taken is refused with a status and a reason that tell what is wrong."""
        long = b"Origin: " + b"x" * MOST_HEAD_BYTES
        for status, reason, change in (
            (404, "path", (b"/~!frp", b"/~!frpx")),
            (404, "path", (b"/~!frp", b"/~!frp/")),
            (400, "no GET", (b"GET ", b"POST ")),
            (400, "no GET", (b"HTTP/1.1", b"HTTP/1.0")),
            (400, "no GET", (b"/~!frp", b"http://x/~!frp")),
            (400, "no GET", (b"GET /", b"GET  /")),
            (400, "one Host", (b"Host: 127.0.0.1:20000\r\n", b"")),
            (400, "one Host", (b"Host:", b"Host: a\r\nHost:")),
            (426, "for WebSocket", (b"Upgrade: websocket", b"Upgrade: h2c")),
            (400, "Connection", (b"Connection: Upgrade", b"Connection: close")),
            (426, "version 13", (b"Version: 13", b"Version: 8")),
            (426, "version 13", (b"Sec-WebSocket-Version: 13\r\n", b"")),
            (400, "16 bytes", (OFFER.key, b"")),
            (400, "16 bytes", (OFFER.key, b"YWJj")),
            (400, "16 bytes", (OFFER.key, b"%%%%")),
            (400, "16 bytes", (OFFER.key, OFFER.key + b"\r\nSec-WebSocket-Key: " + OFFER.key)),
            (400, "body", (b"Origin:", b"Content-Length: 1\r\nOrigin:")),
            (400, "body", (b"Origin:", b"Transfer-Encoding: chunked\r\nOrigin:")),
            (400, "folded", (b"Origin:", b" Origin:")),
            (400, "bare LF", (b"Origin: http://127.0.0.1:20000\r\n", b"Origin: x\n")),
            (431, "more than", (b"Origin:", long)),
        ):
            with self.subTest(change=change[1][:40]):
                found = self.refused(request(change))
                self.assertEqual((found[0], reason in found[1]), (status, True), found)

    def test_endless(self) -> None:
        """A head without an end is refused once it is too long."""
        said = request()[:-2] + b"X: y\r\n" * MOST_HEAD_BYTES
        self.assertIsNone(UpgradeRequestParser().feed(said[: MOST_HEAD_BYTES - 1]))
        self.assertEqual(self.refused(said[:MOST_HEAD_BYTES])[0], 431)

    def test_answers(self) -> None:
        """A refusal is an answer of HTTP with the reason as text, and what the client may do."""
        error = UpgradeRefused(426, "only version 13", b"Sec-WebSocket-Version: 13\r\n")
        answer = error.answer.write(b"Connection: close\r\n", b"now")
        self.assertTrue(answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\nDate: now\r\n"))
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", answer)
        self.assertTrue(answer.endswith(b"426 Upgrade Required: only version 13\n"))

    @given(st.binary(max_size=80), st.integers(min_value=0, max_value=200))
    def test_junk(self, junk: bytes, at: int) -> None:
        """Junk, also in the middle of a request, is refused or waits for more."""
        for said in (junk, b"GET /~!frp" + junk, request()[:at] + junk + request()[at:]):
            try:
                found = UpgradeRequestParser().feed(said + b"\r\n\r\n")
            except UpgradeRefused:
                continue
            self.assertIsNotNone(found)


class RecognizerTests(SynchronousTestCase):
    """Tests for what tells such a request from any other one."""

    def test_recognized(self) -> None:
        """Whoever asks for WebSocket is known by the whole head, at whatever path."""
        said = request((b"/~!frp", b"/elsewhere"), (b"Upgrade: web", b"uPGRADE:\tWEB"))
        recognizer = UpgradeRecognizer()
        self.assertEqual({recognizer.recognizes(said[:end]) for end in range(1, len(said))}, {None})
        self.assertTrue(recognizer.recognizes(said))
        for other in (b"POST /", b"GEX", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nUpgrade: websocket\r\n"):
            self.assertFalse(recognizer.recognizes(other))


class OfferTests(SynchronousTestCase):
    """Tests for the client's half."""

    def test_said(self) -> None:
        """Host, path and headers are as they are configured, and nothing is given twice."""
        offer = UpgradeOffer.of(
            SAMPLE_KEY, host="Relay.example", path="/r", headers={"X-Key": "s3", "ORIGIN": "https://x"}
        )
        lines = offer.request().decode().split("\r\n")
        self.assertEqual(lines[:2], ["GET /r HTTP/1.1", "Host: Relay.example"])
        self.assertEqual(lines[-4:], ["X-Key: s3", "ORIGIN: https://x", "", ""])
        self.assertNotIn("Origin: http://relay.example", lines)
        self.assertNotIn("s3", repr(offer))

    def test_taken(self) -> None:
        """An answer is taken, whole and byte by byte, also with what proxies add."""
        self.assertEqual(byte_by_byte(OFFER, ACCEPTED), (Opened(False), len(ACCEPTED)))
        added = ACCEPTED.replace(b"Connection: Upgrade", b"Server: x\r\nConnection: keep-alive, UPGRADE")
        self.assertEqual(OFFER.feed(added + b"\x82"), (Opened(False), len(added)))

    def test_refused(self) -> None:
        """Any other answer is told with what it says, and what may be behind it."""
        text = b"404 Not Found: there is no relay at this path\n"
        ours = (
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
        )
        for answer, reason in (
            (
                ours % len(text) + text,
                "Not Found: there is no relay at this path; there is no relay at this path:",
            ),
            (
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>",
                "502 Bad Gateway; the proxy in",
            ),
            (b"HTTP/1.0 200 OK\r\n\r\n", "200 OK; look what is in between"),
            (b"HTTP/1.1 301\r\n\r\n", "301; look"),
            (b"HTTP/1.1 500 " + b"x" * 9000 + b"\r\n\r\n", "xxx...; look"),
            (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
            (b"\x15\x03\x01", "does not speak HTTP"),
            (ACCEPTED.replace(b"s3pP", b"xxxx"), "something in between changes answers"),
            (ACCEPTED.replace(b"Upgrade: websocket", b"Upgrade: h2c"), "changes answers"),
            (ACCEPTED.replace(b"Connection: Upgrade\r\n", b""), "changes answers"),
            (ACCEPTED[:-2] + b"Sec-WebSocket-Extensions: x\r\n\r\n", "not asked for"),
            (ACCEPTED[:-2] + b"Sec-WebSocket-Protocol: x\r\n\r\n", "not asked for"),
            (b"HTTP/1.1 101 x\r\n" + b"X: y\r\n" * MOST_HEAD_BYTES, "more than"),
        ):
            error = self.assertRaises(RemoteProtocolError, OFFER.feed, answer)
            self.assertIn(reason, str(error))
            self.assertLess(len(str(error)), 2000)

    def test_reason_in_parts(self) -> None:
        """The reason is waited for where it is short and for people, and never more than that."""
        head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        self.assertIsNone(OFFER.feed(head % 4 + b"\x07no"))
        error = self.assertRaises(RemoteProtocolError, OFFER.feed, head % 4 + b"\x07no\n")
        self.assertIn("refused WebSocket: no; a proxy", str(error))
        self.assertRaises(RemoteProtocolError, OFFER.feed, head % 999_999)

    def test_binding(self) -> None:
        """Both ends know that they are in one session of TLS where the server says the same."""
        offer = UpgradeOffer.of(SAMPLE_KEY, host="x", binding=BINDING)
        found = UpgradeRequestParser().feed(offer.request())
        assert found is not None
        taken: UpgradeRequest = found[0]
        self.assertEqual(taken.binding, BINDING)
        for bound in (True, False):
            answer = taken.accepted(bound=bound)
            self.assertEqual(offer.feed(answer), (Opened(bound), len(answer)))
        other = UpgradeOffer.of(SAMPLE_KEY, host="x", binding=bytes(32))
        self.assertEqual(
            other.feed(taken.accepted(bound=True)), (Opened(False), len(taken.accepted(bound=True)))
        )

    @given(st.binary(max_size=80), st.integers(min_value=0, max_value=120))
    def test_junk(self, junk: bytes, at: int) -> None:
        """Junk is refused or waits for more."""
        for answer in (junk, ACCEPTED[:at] + junk + ACCEPTED[at:], b"HTTP/1.1 404 x\r\n" + junk):
            try:
                OFFER.feed(answer)
            except RemoteProtocolError:
                continue


class ConfiguredTests(SynchronousTestCase):
    """Tests for what files say of requests."""

    def test_headers(self) -> None:
        """A header is a name and one line, and none of those that are written here."""
        self.assertEqual(header_problem("X-Key", "a b"), "")
        for name, value in (
            ("X Key", ""),
            ("", ""),
            ("ä", ""),
            ("X", "a\r\nb"),
            ("Host", "x"),
            ("connection", "x"),
            ("Sec-WebSocket-Key", "x"),
            ("Content-Length", "1"),
        ):
            self.assertNotEqual(header_problem(name, value), "", name)

    def test_paths(self) -> None:
        """A path begins with a slash, and has nothing that ends it."""
        for path, fine in (("/", True), ("/~!frp", True), ("/a%20b", True), ("x", False), ("", False)):
            self.assertEqual(path_problem(path) == "", fine, path)
        for path in ("/a b", "/a?b", "/a#b", "/ä", "/a\r\n"):
            self.assertNotEqual(path_problem(path), "", path)
