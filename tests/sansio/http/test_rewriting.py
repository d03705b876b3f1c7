"""What is changed in heads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.requests import RequestHeads
from relaykit.sansio.http.responses import ResponseHeads
from relaykit.sansio.http.rewriting import (
    NOT_SETTABLE,
    HeaderRules,
    RequestRewriter,
    ResponseRewriter,
    Rules,
    drops_request_trailer,
    drops_response_trailer,
)

PLAIN = Rules()
DATE = b"Mon, 01 Jan 2024 00:00:00 GMT"


def sent(*lines: bytes, line: bytes = b"GET /a?b HTTP/1.1", rules: Rules = PLAIN) -> list[bytes]:
    """The lines of what a provider gets of a request with these fields."""
    host = () if line.endswith(b"1.0") else (b"Host: web.example:8080",)
    found = RequestHeads().feed(b"\r\n".join((line, *host, *lines, b"", b"")))
    assert found is not None
    written = RequestRewriter(b"192.0.2.9", b"http").write(found[0], rules)
    assert written.endswith(b"\r\n\r\n")
    return written[:-4].split(b"\r\n")


TOLD = [b"X-Forwarded-For: 192.0.2.9", b"X-Forwarded-Host: web.example:8080", b"X-Forwarded-Proto: http"]
FIRST = [b"GET /a?b HTTP/1.1", b"Host: web.example:8080"]


class RequestTests(SynchronousTestCase):
    """Requests for providers."""

    def test_plain(self) -> None:
        """Fields go on in their order and spelling, and who the user is and what it asked is told."""
        self.assertEqual(
            sent(b"x-B: 2", b"Accept: */*", b"x-B: 1"), [*FIRST, b"x-B: 2", b"Accept: */*", b"x-B: 1", *TOLD]
        )

    def test_to_origin(self) -> None:
        """A server that a forward proxy asks is asked as by the user, and told nothing of it."""
        rules = Rules(to_origin=True, tells_user=False, hidden=frozenset())
        for line in (b"GET /a?b HTTP/1.1", b"GET http://web.example:8080/a?b HTTP/1.1"):
            told = sent(
                b"X-Forwarded-For: 1.1.1.1", b"Proxy-Authorization: Basic eDp5", line=line, rules=rules
            )
            self.assertEqual(told, [*FIRST, b"X-Forwarded-For: 1.1.1.1"])

    def test_hidden(self) -> None:
        """What others tell of the user goes on as far as it is not hidden, and nothing of ours beside it."""
        told = (b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-Host: fh", b"X-Forwarded-Proto: fp")
        for rules, goes_on in (
            (Rules(tells_user=False), ()),
            (Rules(tells_user=False, hidden=frozenset({b"forwarded"})), told),
        ):
            self.assertEqual(sent(*told, b"Forwarded: for=1", rules=rules), [*FIRST, *goes_on])

    def test_unknown_user(self) -> None:
        """Of a user whose address nobody knows nothing is told but what others tell."""
        found = RequestHeads().feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n")
        assert found is not None
        written = RequestRewriter(b"", b"http").write(found[0], PLAIN)
        self.assertIn(b"\r\nX-Forwarded-For: 1.1.1.1\r\n", written)

    def test_hop_by_hop(self) -> None:
        """What is about the user's connection ends here, and whatever the user says is."""
        lines = (
            *(
                b"Connection: keep-alive, X-Mine",
                b"X-Mine: 1",
                b"Keep-Alive: 5",
                b"Proxy-Connection: keep-alive",
            ),
            *(b"TE: gzip", b"Upgrade: websocket", b"Proxy-Authorization: Basic eDp5", b"Trailer: X-Sum"),
        )
        self.assertEqual(sent(*lines), [*FIRST, *TOLD])

    def test_upgrade(self) -> None:
        """The handshake of an upgrade goes on, and that trailers are taken."""
        for lines in ((b"Connection: keep-alive, Upgrade, TE", b"Upgrade: websocket", b"TE: trailers"),):
            told = [b"Upgrade: websocket", b"TE: trailers", b"Connection: Upgrade, TE"]
            self.assertEqual(sent(*lines), [*FIRST, *TOLD, *told])
        self.assertEqual(
            sent(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"),
            [*FIRST, *TOLD],
        )

    def test_forwarded(self) -> None:
        """The chain of addresses is continued; nobody else tells the rest, by underscores or not."""
        lines = (
            *(b"X-Forwarded-For: 1.1.1.1", b"x-forwarded-for: 2.2.2.2, 3.3.3.3", b"X-Forwarded-Host: evil"),
            *(b"X_Forwarded_For: 4.4.4.4", b"X-Forwarded_Proto: https", b"Forwarded: for=5.5.5.5"),
        )
        chain = b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.9"
        self.assertEqual(sent(*lines), [*FIRST, chain, *TOLD[1:]])

    def test_bodies(self) -> None:
        """The body is announced as it will be framed; a method that wants one is told of none."""
        post = b"POST / HTTP/1.1"
        self.assertIn(b"Content-Length: 7", sent(b"Content-Length: 007", line=post))
        chunked = sent(b"Transfer-Encoding: CHUNKED", b"Trailer: X-Sum", line=post)
        self.assertEqual(chunked[2:], [b"Trailer: X-Sum", *TOLD, b"Transfer-Encoding: chunked"])
        self.assertEqual(sent(line=post)[2:], [*TOLD, b"Content-Length: 0"])
        self.assertIn(b"Content-Length: 0", sent(b"Content-Length: 0"))

    def test_old_users(self) -> None:
        """HTTP/1.0 becomes 1.1, with a Host even if it is empty, and no Expect."""
        expected = [b"GET / HTTP/1.1", b"Host: ", TOLD[0], TOLD[2]]
        self.assertEqual(sent(b"Expect: 100-continue", line=b"GET / HTTP/1.0"), expected)
        self.assertIn(b"Expect: 100-continue", sent(b"Expect: 100-continue"))

    def test_absolute(self) -> None:
        """Who takes this for a forward proxy has another one behind it, which gets the whole address."""
        line = b"GET http://web.example:8080/a HTTP/1.1"
        self.assertEqual(sent(line=line)[:2], [line, FIRST[1]])
        rewritten = sent(line=line, rules=Rules(b"inner.example"))
        self.assertEqual(rewritten[:2], [b"GET http://inner.example/a HTTP/1.1", b"Host: inner.example"])
        self.assertIn(TOLD[1], rewritten)

    def test_rules(self) -> None:
        """Rules replace all that the message and the proxy say, and some fields they cannot set."""
        rules = HeaderRules.of({"x-set": " 1 ", "User-Agent": "", "X-Forwarded-For": "6.6.6.6", "Host": "x"})
        lines = sent(b"X_Set: 0", b"X-SET: 2", b"User-Agent: curl", b"X-A: b", rules=Rules(b"inner:1", rules))
        expected = [FIRST[0], b"Host: inner:1", b"X-A: b", *TOLD[1:], b"x-set: 1", b"User-Agent: "]
        self.assertEqual(lines, [*expected, b"X-Forwarded-For: 6.6.6.6"])
        self.assertEqual(list(HeaderRules.of({name.decode(): "x" for name in NOT_SETTABLE}).lines), [])

    def test_rules_that_are_none(self) -> None:
        """A rule that would break heads is refused, and the text names it."""
        for name, value in (("X A", "1"), ("", "1"), ("X:", "1"), ("X-A", "a\r\nb"), ("X-A", "\0")):
            error = self.assertRaises(ValueError, HeaderRules.of, {name: value})
            self.assertIn(f'"{name}"', str(error))

    def test_connect(self) -> None:
        """CONNECT goes on with its credentials and without rules; its Host is its target."""
        line = b"CONNECT db.example:5432 HTTP/1.1"
        rules = Rules(b"inner", HeaderRules.of({"X-A": "b"}))
        lines = (b"Proxy-Authorization: Basic eDp5", b"Connection: keep-alive", b"Content-Length: 0")
        self.assertEqual(sent(*lines, line=line, rules=rules), [line, b"Host: db.example:5432", lines[0]])

    def test_remembered(self) -> None:
        """What is remembered of one head is not written for another, nor by other rules."""
        heads, rewriter = RequestHeads(), RequestRewriter(b"192.0.2.9", b"https")
        plain, other = Rules(), Rules(b"inner")
        written = []
        for host, target, rules in (
            *((b"a", b"/1", plain), (b"a", b"/2", plain), (b"a", b"/1", other), (b"b", b"/1", other)),
            *((b"b", b"/1", plain), (b"b", b"http://B/1", plain)),
        ):
            found = heads.feed(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
            assert found is not None
            again = rewriter.write(found[0], rules)
            self.assertEqual(again, RequestRewriter(b"192.0.2.9", b"https").write(found[0], rules))
            self.assertIs(rewriter.write(found[0], rules), again)
            written.append(again)
        self.assertEqual(len(set(written)), 6)

    def test_trailers(self) -> None:
        """Behind a body nothing is said of the message, the user or the host."""
        for key in (b"host", b"content-length", b"transfer-encoding", b"authorization", b"connection"):
            self.assertTrue(drops_request_trailer(key) and drops_response_trailer(key))
        self.assertTrue(drops_request_trailer(b"x-forwarded-for"))
        self.assertFalse(drops_request_trailer(b"x-sum") or drops_response_trailer(b"x-sum"))


class ResponseTests(SynchronousTestCase):
    """Responses for users."""

    def setUp(self) -> None:
        self.dates = 0

    def date(self) -> bytes:
        """The present date."""
        self.dates += 1
        return DATE

    def written(self, *lines: bytes, rules: Rules = PLAIN, framing: bytes = b"") -> list[bytes]:
        """The lines that the user gets of a head with these fields."""
        found = ResponseHeads().feed(b"\r\n".join((b"HTTP/1.0 207 Many", *lines, b"", b"")))
        assert found is not None
        return ResponseRewriter(self.date).write(found[0], rules, framing, b"").split(b"\r\n")[:-2]

    def test_plain(self) -> None:
        """The reason and the fields go on as they are; a date is added where there is none."""
        lines = [b"X-b: 2", b"Set-Cookie: a", b"Set-Cookie: b", b"Location: http://inner/"]
        self.assertEqual(self.written(*lines), [b"HTTP/1.1 207 Many", *lines, b"Date: " + DATE])
        self.assertEqual(self.written(b"Date: x")[1:], [b"Date: x"])

    def test_hop_by_hop(self) -> None:
        """What is about the provider's connection ends here."""
        lines = (
            b"Connection: close, X-A",
            b"X-A: 1",
            b"Keep-Alive: 3",
            b"Transfer-Encoding: chunked",
            b"Date: x",
        )
        self.assertEqual(self.written(*lines, b"Trailer: X-Sum")[1:], [b"Date: x"])
        chunked = b"Transfer-Encoding: chunked\r\n"
        kept = [b"Date: x", b"Trailer: X-Sum", b"Transfer-Encoding: chunked"]
        self.assertEqual(self.written(*lines, b"Trailer: X-Sum", framing=chunked)[1:], kept)

    def test_rules(self) -> None:
        """Rules replace what the provider says."""
        rules = Rules(response=HeaderRules.of({"server": "relay", "Date": "x", "x_a": "1"}))
        written = self.written(b"Server: a", b"X_A: 2", b"SERVER: b", b"X-A: 3", rules=rules)
        self.assertEqual(written[1:], [b"server: relay", b"Date: x", b"x_a: 1"])

    def test_remembered(self) -> None:
        """The same head is written once as long as all that it depends on is the same; never an old date."""
        heads, rewriter = ResponseHeads(), ResponseRewriter(self.date)
        data = b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"
        found = heads.feed(data)
        assert found is not None
        once = rewriter.write(found[0], PLAIN, b"", b"")
        self.assertIs(rewriter.write(found[0], PLAIN, b"", b""), once)
        self.assertNotEqual(rewriter.write(found[0], PLAIN, b"", b"Connection: close\r\n"), once)
        undated = heads.feed(b"HTTP/1.1 200 OK\r\n\r\n")
        assert undated is not None
        for _ in range(2):
            rewriter.write(undated[0], PLAIN, b"", b"")
        self.assertEqual(self.dates, 2)

    def test_interim(self) -> None:
        """Interim responses get no date and no rule."""
        found = ResponseHeads().feed(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: y\r\n\r\n"
        )
        assert found is not None
        written = ResponseRewriter(self.date).write_interim(found[0])
        self.assertEqual(written, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
