"""Heads of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h11
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http import grammar, requests
from relaykit.sansio.http.requests import RequestHead, RequestHeads, RequestRefused
from relaykit.testing.cuts import TRAILING, feed_every_cut, recognize
from tests.sansio.http.hostile import HEADS


def read(data: bytes) -> RequestHead:
    """The head that this consists of."""
    head = recognize(RequestHeads(), data, b"GET / HTTP/1.1\r\n")
    assert isinstance(head, RequestHead)
    return head


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A head with these fields besides its Host."""
    return b"\r\n".join((line, b"Host: web.example", *lines, b"", b""))


def outcome(portions: Sequence[bytes]) -> Any:
    """What comes of a head that arrives so: the fault, or how much it is."""
    heads = RequestHeads()
    data = b""
    for portion in portions:
        data += portion
        try:
            found = heads.feed(data)
        except RequestRefused as error:
            return error.status, str(error)
        if found is not None:
            return found[0].method, found[0].target, found[1]
    return "more"


class RequestHeadTests(SynchronousTestCase):
    """Heads that are taken."""

    def test_origin_form(self) -> None:
        """The usual request: a path, and the host that it is asked of."""
        head = read(request(b"X-A:  1 ", b"X-B:", line=b"GET /a%20b/%C3%A4?q=%zz HTTP/1.1"))
        self.assertEqual((head.method, head.target), (b"GET", b"/a%20b/%C3%A4?q=%zz"))
        self.assertEqual((head.host, head.path, head.scheme), ("web.example", "/a b/ä", b""))
        self.assertEqual(list(head.said.lines)[1:], [b"X-A:  1 ", b"X-B:"])
        self.assertEqual((head.said.length, head.said.chunked, head.has_body), (None, False, False))
        self.assertTrue(head.said.keep_alive)
        self.assertTrue(head.may_repeat)
        self.assertFalse(head.is_for_proxy)

    def test_bytes_beyond_ascii(self) -> None:
        """Bytes of a target that may not be there raw are written as escapes, as browsers write them."""
        head = read(request(line=b"GET /\xc3\xa4?\xff HTTP/1.1"))
        self.assertEqual((head.target, head.path), (b"/%C3%A4?%FF", "/ä"))

    def test_cleaned_path(self) -> None:
        """Routes are found by what servers may take a path for; servers get it as it was sent."""
        for target, path in (
            (b"//admin", "/admin"),
            (b"/./admin", "/admin"),
            (b"/%2e/%2Fadmin", "/admin"),
            (b"/%5c.\\admin", "/admin"),
            (b"/repository/./Release", "/repository/Release"),
            (b"/a//b/?//c/../d", "/a/b/"),
            (b"/a/.", "/a/"),
            (b"/.a/..b/c../...?x", "/.a/..b/c../..."),
            (b"/%252e%252e/a", "/%2e%2e/a"),
            (b"/;/a;x=1/.;b/c%3Bd/e;f?;g", "/a/c/e"),
        ):
            head = read(request(line=b"GET " + target + b" HTTP/1.1"))
            self.assertEqual((head.target, head.path), (target, path))

    def test_absolute_form(self) -> None:
        """A proxy is told the whole address; its host is the one that is asked."""
        for target, rest in (
            (b"http://Web.example:80/a?b", b"/a?b"),
            (b"HTTP://web.example", b"/"),
            (b"http://web.example?x", b"/?x"),
        ):
            head = read(request(line=b"GET " + target + b" HTTP/1.1"))
            self.assertEqual((head.scheme, head.target), (b"http", rest))
            self.assertEqual(head.host.lower().removesuffix(":80"), "web.example")
            self.assertTrue(head.is_for_proxy)

    def test_connect(self) -> None:
        """CONNECT names a host and a port, which count whatever Host says, and no path."""
        for authority in (b"db.example:5432", b"[2001:db8::1]:443"):
            head = read(request(line=b"CONNECT " + authority + b" HTTP/1.1"))
            self.assertEqual((head.authority, head.target, head.path), (authority, authority, ""))
            self.assertTrue(head.is_for_proxy)

    def test_asterisk(self) -> None:
        """The whole server is asked for its options."""
        self.assertEqual(read(request(line=b"OPTIONS * HTTP/1.1")).target, b"*")

    def test_versions(self) -> None:
        """HTTP/1.0 needs no Host and keeps no connection; what comes after 1.1 is read as 1.1."""
        old = read(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual((old.said.minor, old.host, old.said.keep_alive), (0, "", False))
        self.assertTrue(read(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").said.keep_alive)
        new = read(request(line=b"GET / HTTP/1.2"))
        self.assertEqual((new.said.minor, new.said.keep_alive), (1, True))
        self.assertFalse(read(request(b"Connection: x, CLOSE")).said.keep_alive)

    def test_empty_line_before(self) -> None:
        """One empty line before a head is skipped."""
        self.assertEqual(read(b"\r\n" + request()).method, b"GET")

    def test_hosts(self) -> None:
        """Names, addresses, ports and nothing at all can be asked."""
        for host in (b"a-b_c.example", b"10.0.0.1:8080", b"[::1]:80", b"web.example.", b"web.example:", b""):
            self.assertEqual(read(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").authority, host)

    def test_bodies(self) -> None:
        """A length, or chunks."""
        self.assertEqual(read(request(b"Content-Length: 007", line=b"POST / HTTP/1.1")).said.length, 7)
        chunked = read(request(b"Transfer-Encoding: Chunked", line=b"GET / HTTP/1.1"))
        self.assertTrue(chunked.said.chunked and chunked.has_body)
        self.assertFalse(chunked.may_repeat)
        self.assertFalse(read(request(line=b"POST / HTTP/1.1")).may_repeat)
        self.assertTrue(read(request(line=b"DELETE / HTTP/1.1")).may_repeat)

    def test_wishes(self) -> None:
        """Upgrades need their option; HTTP/2 within a connection is never meant, nor anything in HTTP/1.0."""
        both = (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket")
        self.assertEqual(read(request(*both)).said.upgrade, b"websocket")
        for lines in (both[1:], (both[0], b"Upgrade: h2c"), (both[0], b"Upgrade: websocket, H2C"), both[:1]):
            self.assertIsNone(read(request(*lines)).said.upgrade)
        self.assertIsNone(read(request(*both, line=b"GET / HTTP/1.0")).said.upgrade)
        self.assertTrue(read(request(b"Expect: 100-Continue")).said.expects_continue)
        self.assertFalse(read(request(b"Expect: x", line=b"GET / HTTP/1.0")).said.expects_continue)
        self.assertTrue(read(request(b"TE: gzip;q=0.5, trailers")).said.takes_trailers)

    def test_same_again(self) -> None:
        """The same fields as before are the same value; others are not."""
        heads = RequestHeads()
        said = [heads.feed(request(*lines)) for lines in ((b"a: b",), (b"a: b",), (b"a: c",))]
        first, second, third = (found[0].said for found in said if found)
        self.assertIs(first, second)
        self.assertIsNot(first, third)

    def test_whole_again(self) -> None:
        """A request that comes again, alone, is the same head; one with something behind it is read anew."""
        heads = RequestHeads()
        data = request(b"X-A: 1")
        first = heads.feed(data)
        assert first is not None
        again, behind = heads.feed(data), heads.feed(data + b"G")
        assert again is not None and behind is not None
        self.assertIs(again[0], first[0])
        self.assertEqual((behind[0], behind[1]), (first[0], len(data)))
        self.assertIsNone(heads.feed(data[:-1]))
        self.assertIsNone(heads.feed(b""))
        other = heads.feed(request(b"X-A: 2"))
        assert other is not None
        self.assertNotEqual(other[0].said.lines, first[0].said.lines)

    def test_secrets(self) -> None:
        """No repr tells what a user sends to prove who it is."""
        self.assertNotIn(
            "c2VjcmV0", repr(read(request(b"Authorization: Basic c2VjcmV0", b"Cookie: c2VjcmV0")))
        )


class HostileHeadTests(SynchronousTestCase):
    """Heads that are refused."""

    def test_answers(self) -> None:
        """Each is refused with its status and its reason."""
        self.assertGreater(len(HEADS), 120)
        for hostile in HEADS:
            error = self.assertRaises(RequestRefused, RequestHeads().feed, hostile.data)
            self.assertEqual(error.status, hostile.status, f"{hostile}: {error}")
            self.assertIn(hostile.reason, str(error), str(hostile))

    def test_cuts(self) -> None:
        """However it arrives, a head is refused with the same words, and never taken before."""
        for hostile in HEADS:
            if len(hostile.data) < 1000:
                refused = feed_every_cut(hostile.data + TRAILING, outcome)
                self.assertEqual(refused[0], hostile.status, str(hostile))

    def test_tiny_pieces(self) -> None:
        """However small its pieces are, a head is not read over and over again."""
        seen = 0

        def valid_lines(data: bytes, start: int = 0) -> int:
            nonlocal seen
            seen += len(data) - start
            return grammar.valid_lines(data, start)

        self.patch(requests, "valid_lines", valid_lines)
        for line in (b"a: b\r\n", b"a: " + b"b" * 5000 + b"\r\n"):
            seen = 0
            data = request()[:-2] + line * (12_000 // len(line))
            heads = RequestHeads()
            for end in range(len(data)):
                self.assertIsNone(heads.feed(data[:end]))
            self.assertLess(seen, 2 * len(data))
            self.assertRaises(RequestRefused, heads.feed, data + b"x\r\n")
            self.assertIsNotNone(heads.feed(request()))

    def test_endless(self) -> None:
        """What does not end is refused at its limit, if not before."""
        for junk in (b"G", b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "):
            self.assertIn(outcome([junk + b"a" * 70_000])[0], (414, 431, 501))
            many = junk.partition(b"Host")[0] + b"a: b\r\n" * 20_000
            self.assertIn(outcome([many])[0], (400, 431))


def agrees_with_h11(test: SynchronousTestCase, data: bytes, head: RequestHead) -> None:
    """Another reader, to whom the target and everything else must say the same."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    event = peer.next_event()
    assert isinstance(event, h11.Request)
    test.assertEqual(event.method, head.method)
    pairs = [line.partition(b":") for line in head.said.lines]
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    test.assertEqual(sorted(event.headers), sorted(fields))


_WORDS = (
    *(b"GET", b"POST", b" ", b"/", b"http://a", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b":"),
    *(
        b"Host: a",
        b"Content-Length: 1",
        b"Transfer-Encoding: chunked",
        b"\t",
        b"\x00",
        b"a",
        b"1",
        b",",
        b"\xff",
    ),
)
"""Of what heads are made, and attacks on their readers."""

_junk = st.lists(st.sampled_from(_WORDS) | st.binary(max_size=3), max_size=24).map(b"".join)


class OracleTests(SynchronousTestCase):
    """What is taken, another reader takes for the same."""

    @given(_junk | _junk.map(lambda junk: b"GET / HTTP/1.1\r\nHost: a\r\n" + junk + b"\r\n\r\n"))
    def test_junk(self, data: bytes) -> None:
        """Junk is refused, or h11 reads the same of it."""
        try:
            found = RequestHeads().feed(data)
        except RequestRefused:
            return
        if found is not None:
            head, size = found
            agrees_with_h11(self, data[:size].removeprefix(b"\r\n"), head)

    @given(_junk)
    def test_cut_junk(self, junk: bytes) -> None:
        """Junk comes to the same however it is cut."""
        feed_every_cut(junk, outcome)
