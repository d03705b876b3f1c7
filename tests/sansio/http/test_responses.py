"""Heads of responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.grammar import MOST_FIELDS, MOST_HEAD_BYTES
from relaykit.sansio.http.responses import ResponseHead, ResponseHeads, ResponseRefused
from relaykit.testing.cuts import feed_every_cut, recognize


def read(data: bytes) -> ResponseHead:
    """The head that this consists of."""
    head = recognize(ResponseHeads(), data, b"<html>\n\n\r\n\r\n")
    assert isinstance(head, ResponseHead)
    return head


def ok(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A head with these fields."""
    return b"\r\n".join((status, *lines, b"", b""))


def outcome(portions: Sequence[bytes]) -> Any:
    """What comes of a head that arrives so."""
    heads = ResponseHeads()
    data = b""
    for portion in portions:
        data += portion
        try:
            found = heads.feed(data)
        except ResponseRefused:
            return "refused"
        if found is not None:
            return found
    return "more"


class ResponseHeadTests(SynchronousTestCase):
    """Heads as servers write them."""

    def test_usual(self) -> None:
        """The status, the reason as it was given, the fields, and how long the body is."""
        head = read(ok(b"Content-Length: 5", b"Date: x", b"X-A:  1 "))
        self.assertEqual((head.status, head.reason, head.length, head.chunked), (200, b"OK", 5, False))
        self.assertEqual(list(head.lines)[2], b"X-A:  1 ")
        self.assertTrue(head.keep_alive and head.has_date)
        self.assertEqual(read(ok(status=b"HTTP/1.1 299 Fast  \xfcberall")).reason, b"Fast  \xfcberall")
        for status in (b"HTTP/1.1 200 ", b"HTTP/1.1 200"):
            self.assertEqual(read(ok(status=status)).reason, b"")

    def test_kinds(self) -> None:
        """Interim ones, and those without a body."""
        statuses = {
            status: read(ok(status=b"HTTP/1.1 %d x" % status)) for status in (100, 101, 103, 200, 204, 304)
        }
        self.assertEqual([status for status, head in statuses.items() if head.is_interim], [100, 103])
        self.assertEqual(
            [status for status, head in statuses.items() if head.has_no_body], [100, 101, 103, 204, 304]
        )

    def test_connections(self) -> None:
        """Who may be asked again on the same connection."""
        for data, keeps in (
            (ok(), True),
            (ok(b"Connection: x, Close"), False),
            (ok(status=b"HTTP/1.0 200 OK"), False),
            (ok(b"Connection: keep-alive", status=b"HTTP/1.0 200 OK"), True),
            (ok(b"Transfer-Encoding: chunked"), True),
            (ok(b"Transfer-Encoding: chunked", b"Content-Length: 5"), False),
            (ok(b"Transfer-Encoding: chunked", b"Connection: keep-alive", status=b"HTTP/1.0 200 OK"), False),
        ):
            self.assertEqual(read(data).keep_alive, keeps, data)

    def test_lenient(self) -> None:
        """Bare LF, folded fields and blanks before a colon are put right."""
        for data in (
            b"HTTP/1.1 200 OK\nContent-Length: 5\nX-A: 1 2\n\n",
            b"HTTP/1.1 200 OK\nContent-Length: 5\r\nX-A: 1 2\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n  2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nX-A\t: 1 2\r\n\r\n",
        ):
            head = read(data)
            self.assertEqual((head.length, list(head.lines)[1]), (5, b"X-A: 1 2"))

    def test_equal_lengths(self) -> None:
        """The same length twice is that length."""
        for lines in ((b"Content-Length: 5", b"Content-Length: 5"), (b"Content-Length: 5, 5",)):
            self.assertEqual(read(ok(*lines)).length, 5)

    def test_refused(self) -> None:
        """What may be taken for two things, or for none, is not passed on."""
        for data in (
            ok(b"Content-Length: 5", b"Content-Length: 6"),
            ok(b"Content-Length: +5"),
            ok(b"Content-Length:"),
            ok(b"Content-Length: 5, 6"),
            ok(b"Content-Length: " + b"1" * 19),
            ok(b"Transfer-Encoding: gzip, chunked"),
            ok(b"Transfer-Encoding: chunked, chunked"),
            ok(b"Transfer-Encoding: identity"),
            ok(b"X-A: \x00"),
            ok(b"X-A: 1\rX-B: 2"),
            ok(b"X A: 1"),
            ok(b"no colon"),
            ok(status=b"HTTP/1.1 20 OK"),
            ok(status=b"HTTP/1.1 2000 OK"),
            ok(status=b"HTTP/1.1 099 OK"),
            ok(status=b"HTTP/1.1  200 OK"),
            ok(status=b"HTTP/2 200 OK"),
            ok(status=b"HTTP/1.1 200 \x00"),
            b"SSH-2.0-OpenSSH",
            b"<html>",
            b"\r\n" + ok(),
            ok(*[b"a: b"] * (MOST_FIELDS + 1)),
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * MOST_HEAD_BYTES,
        ):
            self.assertRaises(ResponseRefused, ResponseHeads().feed, data)

    def test_same_again(self) -> None:
        """The same head as before is the same value."""
        heads = ResponseHeads()
        first, second, third = (heads.feed(ok(line)) for line in (b"a: b", b"a: b", b"a: c"))
        assert first and second and third
        self.assertIs(first[0], second[0])
        self.assertIsNot(first[0], third[0])

    @given(
        st.lists(
            st.sampled_from(
                [b"HTTP/1.1 ", b"200", b" ", b"OK", b"\r\n", b"\n", b"\r", b"a:", b"\t", b"Content-Length: 1"]
            )
            | st.binary(max_size=2),
            max_size=16,
        ).map(b"".join)
    )
    def test_junk(self, junk: bytes) -> None:
        """Junk comes to the same however it is cut."""
        feed_every_cut(junk, outcome)
