"""Tests for :mod:`relaykit.sansio.http2.responses`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.grammar import Malformed
from relaykit.sansio.http.relaying import MOST_INTERIM
from relaykit.sansio.http.requests import RequestHeads
from relaykit.sansio.http.responses import ResponseHeads
from relaykit.sansio.http.rewriting import ResponseRewriter, Rules
from relaykit.sansio.http2.responses import StreamResponse
from relaykit.testing.cuts import feed_every_cut


def response(method: bytes = b"GET") -> StreamResponse:
    """One to a request."""
    found = RequestHeads().feed(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found is not None
    return StreamResponse(found[0], Rules(), ResponseHeads(), ResponseRewriter(lambda: b"now"))


def read(*portions: bytes, method: bytes = b"GET", ends: bool = False) -> tuple[object, ...]:
    """Heads, body, trailers, whether it is complete, and whether its connection may serve another one."""
    reader = response(method)
    heads: list[bytes] = []
    body: list[Buffer] = []
    for portion in portions:
        reader.read(portion, heads, body)
    complete = reader.end() if ends else reader.is_complete
    return heads, b"".join(body), list(reader.trailers), complete, reader.is_reusable


class StreamResponseTests(SynchronousTestCase):
    """Tests for answers of providers."""

    def test_every_cut(self) -> None:
        """However it is cut, it is told apart into heads, the bare body, and trailers."""
        text = (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nDate: x\r\nTrailer: T\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;q\r\nde\r\n0\r\nT: 1\r\n\r\n"
        )
        self.assertEqual(
            feed_every_cut(text, lambda portions: read(*portions)),
            (
                [
                    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nDate: x\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n",
                ],
                b"abcde",
                [b"T: 1\r\n"],
                True,
                True,
            ),
        )

    def test_framing(self) -> None:
        """A body ends by its length, or with the connection; some answers have none."""
        length = b"Content-Length: 2\r\n"
        for method, status, line, body, ends, told, complete in (
            (b"GET", b"200", length, b"ok", False, length, True),
            (b"GET", b"200", length, b"o", True, length, False),
            (b"GET", b"200", b"", b"ok", False, b"", False),
            (b"GET", b"200", b"", b"ok", True, b"", True),
            (b"HEAD", b"200", length, b"", False, length, True),
            (b"GET", b"304", length, b"", False, length, True),
            (b"GET", b"204", length, b"", False, b"", True),
        ):
            text = b"HTTP/1.1 %b X\r\nDate: x\r\n%b\r\n%b" % (status, line, body)
            heads, got, _, is_complete, _ = read(text, method=method, ends=ends)
            self.assertEqual(heads, [b"HTTP/1.1 %b X\r\nDate: x\r\n%b\r\n" % (status, told)])
            self.assertEqual((got, is_complete), (body, complete), (method, status, ends))

    def test_reusable(self) -> None:
        """A connection serves no other one if it says so, or says too much."""
        for text, reusable in (
            (b"HTTP/1.1 204 X\r\n\r\n", True),
            (b"HTTP/1.1 204 X\r\n\r\nmore", False),
            (b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n", False),
            (b"HTTP/1.0 204 X\r\n\r\n", False),
        ):
            self.assertEqual(read(text)[-1], reusable, text)

    def test_refused(self) -> None:
        """What is no answer is none, nor is a switch of protocols, nor hints without end."""
        for text in (
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MOST_INTERIM + 1),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ):
            with self.assertRaises(Malformed):
                read(text)

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        """Junk is refused or waited with, and nothing else."""
        for begin in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
            try:
                read(begin + junk, ends=True)
            except Malformed:
                continue

    def test_silent(self) -> None:
        """One byte is enough to be not silent."""
        reader = response()
        self.assertTrue(reader.is_silent)
        reader.read(b"H", [], [])
        self.assertFalse(reader.is_silent)
