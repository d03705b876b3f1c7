"""Tests for :mod:`relaykit.sansio.http2.fields`."""

from __future__ import annotations

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.bodies import MOST_TRAILER_BYTES
from relaykit.sansio.http.grammar import Malformed
from relaykit.sansio.http.requests import RequestHeads, RequestRefused
from relaykit.sansio.http2.fields import head_block, request_text, trailer_block, trailer_lines

METHOD, SCHEME = (b":method", b"GET"), (b":scheme", b"http")
AUTHORITY, PATH = (b":authority", b"a.example"), (b":path", b"/")
HEAD: tuple[tuple[bytes, bytes], ...] = (METHOD, SCHEME, AUTHORITY, PATH)


class RequestTests(SynchronousTestCase):
    """Requests as HTTP/1.1 has them."""

    def text(self, *fields: tuple[bytes, bytes], ended: bool = True) -> bytes:
        """The text of a request."""
        return request_text(fields, ended)

    def test_text(self) -> None:
        """What HTTP/2 has in pseudo-header fields is the request line and Host; the rest follows."""
        self.assertEqual(
            self.text(*HEAD, (b"accept", b"*/*"), (b"te", b"trailers")),
            b"GET / HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nte: trailers\r\n\r\n",
        )

    def test_cookies(self) -> None:
        """Cookies that came one by one are one field."""
        text = self.text(*HEAD, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"))
        self.assertIn(b"x: y\r\ncookie: a=1; b=2\r\n\r\n", text)

    def test_host(self) -> None:
        """Host stands for the authority, or repeats it; two that differ are malformed, so is none."""
        alone = METHOD, SCHEME, PATH
        for text in (self.text(*alone, (b"host", b"a.example")), self.text(*HEAD, (b"host", b"A.example"))):
            self.assertIn(b"host: a.example\r\n", text)
        wrong: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
            alone,
            (*HEAD, (b"host", b"b.example")),
            (*alone, (b":authority", b"")),
            (*alone, (b":authority", b"a b")),
            (*HEAD, (b"host", b"a.example"), (b"host", b"a.example")),
        )
        for fields in wrong:
            with self.assertRaises(Malformed) as caught:
                self.text(*fields)
            self.assertNotIsInstance(caught.exception, RequestRefused)

    def test_framing(self) -> None:
        """A body of unknown length is chunked; one that cannot come is malformed."""
        self.assertIn(b"\r\ntransfer-encoding: chunked\r\n", self.text(*HEAD, ended=False))
        known = (*HEAD, (b"content-length", b"5"))
        self.assertNotIn(b"transfer-encoding", self.text(*known, ended=False))
        with self.assertRaises(Malformed):
            self.text(*known)
        self.assertIn(b"content-length: 0\r\n", self.text(*HEAD, (b"content-length", b"0")))

    def test_malformed(self) -> None:
        """What RFC 9113 sections 8.2 and 8.3 forbid is malformed."""
        for fields in (
            (METHOD, SCHEME, AUTHORITY),
            (METHOD, AUTHORITY, PATH),
            (SCHEME, AUTHORITY, PATH),
            (*HEAD, PATH),
            (METHOD, SCHEME, (b"accept", b"*/*"), AUTHORITY, PATH),
            (METHOD, SCHEME, (b"cookie", b"a=1"), AUTHORITY, PATH),
            (*HEAD, (b":status", b"200")),
            (*HEAD, (b":protocol", b"websocket")),
            (*HEAD, (b"Accept", b"*/*")),
            (*HEAD, (b"", b"x")),
            (*HEAD, (b"a b", b"x")),
            (*HEAD, (b"a:", b"x")),
            (*HEAD, (b"a\r\nb", b"x")),
            *((*HEAD, (b"a", value)) for value in (b"x\r\ny: z", b"x\0", b" x", b"x\t", b"\x7f")),
            *(
                (*HEAD, (name, b"x"))
                for name in (b"connection", b"proxy-connection", b"keep-alive", b"upgrade")
            ),
            (*HEAD, (b"transfer-encoding", b"chunked")),
            (*HEAD, (b"te", b"gzip")),
            *((METHOD, SCHEME, AUTHORITY, (b":path", path)) for path in (b"", b"*", b"a", b"/a b", b"/\r\n")),
            ((b":method", b"G T"), SCHEME, AUTHORITY, PATH),
            (METHOD, (b":scheme", b"ftp"), AUTHORITY, PATH),
            ((b":method", b"CONNECT"), SCHEME, AUTHORITY, PATH),
            ((b":method", b"CONNECT"), SCHEME, AUTHORITY),
        ):
            with self.assertRaises(Malformed, msg=repr(fields)) as caught:
                self.text(*fields)
            self.assertNotIsInstance(caught.exception, RequestRefused)

    def test_connect(self) -> None:
        """CONNECT is refused, with the reason."""
        with self.assertRaises(RequestRefused) as caught:
            self.text((b":method", b"CONNECT"), (b":authority", b"a.example:443"))
        self.assertEqual((caught.exception.status, str(caught.exception)[:7]), (501, "CONNECT"))

    def test_options(self) -> None:
        """The asterisk goes with OPTIONS."""
        text = self.text((b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*"))
        self.assertTrue(text.startswith(b"OPTIONS * HTTP/1.1\r\n"))

    @given(
        st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=4),
        st.sampled_from((b"/", b"/a b", b"/x HTTP/1.1\r\n")),
        st.booleans(),
    )
    def test_junk(self, junk: list[tuple[bytes, bytes]], path: bytes, ended: bool) -> None:
        """Whatever comes is refused, or is the head of exactly one request."""
        try:
            text = self.text(METHOD, SCHEME, AUTHORITY, (b":path", path), *junk, ended=ended)
            found = RequestHeads().feed(text)
        except Malformed:
            return
        assert found is not None
        self.assertEqual((found[0].target, found[1]), (path, len(text)))


class TrailerTests(SynchronousTestCase):
    """Fields behind a body."""

    def test_lines(self) -> None:
        """They are lines as HTTP/1.1 has them."""
        self.assertEqual(trailer_lines([(b"a", b"1"), (b"b", b"")]), [b"a: 1\r\n", b"b: \r\n"])

    def test_malformed(self) -> None:
        """There are no pseudo-header fields among them, nor what no head can have."""
        for name, value in ((b":path", b"/"), (b"A", b"1"), (b"a", b"\r\n"), (b"connection", b"close")):
            with self.assertRaises(Malformed):
                trailer_lines([(name, value)])

    def test_too_many(self) -> None:
        """They are as many bytes as in HTTP/1.1: a few bytes can stand for more."""
        trailer_lines([(b"a", b"x" * (MOST_TRAILER_BYTES - 5))])
        for fields in (
            [(b"a", b"x" * (MOST_TRAILER_BYTES - 4))],
            [(b"a", b"")] * (MOST_TRAILER_BYTES // 5 + 1),
        ):
            with self.assertRaises(Malformed):
                trailer_lines(fields)


class AnswerTests(SynchronousTestCase):
    """Answers as HTTP/2 has them."""

    def decoded(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """What somebody else reads in a block."""
        return [(bytes(name), bytes(value)) for name, value in Decoder().decode(block, raw=True)]

    def test_head(self) -> None:
        """The status is there, names are in small letters, and nothing is about the connection."""
        text = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-Y:  z \r\n"
        text += b"Transfer-Encoding: chunked\r\nEmpty:\r\n\r\n"
        self.assertEqual(
            self.decoded(head_block(text)),
            [(b":status", b"200"), (b"content-type", b"a/b"), (b"x-y", b"z"), (b"empty", b"")],
        )
        self.assertEqual(self.decoded(head_block(b"HTTP/1.1 799 \r\n\r\n")), [(b":status", b"799")])

    def test_secret(self) -> None:
        """A cookie is marked as what nobody may keep in a table."""
        found = list(Decoder().decode(head_block(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\n\r\n"), raw=True))
        self.assertIsInstance(found[1], NeverIndexedHeaderTuple)

    def test_keeps_nothing(self) -> None:
        """A block refers to nothing in the user's table, whatever was sent before."""
        text = b"HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n"
        decoder = Decoder()
        decoder.decode(Encoder().encode([("x", "other")]))
        self.assertEqual(
            [tuple(each) for each in decoder.decode(head_block(text), raw=True)],
            self.decoded(head_block(text)),
        )

    @given(
        st.lists(
            st.tuples(
                st.binary(min_size=1, max_size=300).map(lambda name: name.hex().encode()),
                st.binary(max_size=300).map(lambda value: value.hex().encode()),
            )
        )
    )
    def test_any_size(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Names and values of any size are read as they were written."""
        self.assertEqual(self.decoded(trailer_block([b"%b: %b\r\n" % each for each in fields])), fields)
