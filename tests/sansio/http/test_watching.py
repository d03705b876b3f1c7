"""Connections that are watched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http.grammar import MOST_HEAD_BYTES
from relaykit.sansio.http.watching import MOST_UNANSWERED, ExchangeWatch
from relaykit.testing.cuts import feed_every_cut
from relaykit.values import Exchange
from tests.sansio.http.between import OK

GET = b"GET /a?b=c HTTP/1.1\r\nHost: web.example\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n"
CHUNKED = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"


def exchange(
    method: str = "GET", target: str = "/a?b=c", status: int | None = 200, received: int = 0, sent: int = 0
) -> Exchange:
    """One that took no time."""
    return Exchange(method=method, target=target, status=status, seconds=0.0, received=received, sent=sent)


def post(body: bytes, fields: bytes) -> bytes:
    """A request with a body."""
    return b"POST /p HTTP/1.1\r\nHost: web.example\r\n" + fields + b"\r\n\r\n" + body


def watched(*said: bytes, ends: bool = False) -> tuple[Exchange, ...]:
    """What is seen of questions and answers, which alternate, however each of them is cut."""

    def run(portions: Sequence[bytes], cut: int) -> tuple[Exchange, ...]:
        watch = ExchangeWatch()
        for turn, data in enumerate(said):
            feed = watch.answered if turn % 2 else watch.asked
            for portion in portions if turn == cut else (data,):
                feed(memoryview(portion), 0.0)
        if ends:
            watch.ended(0.0)
        return tuple(watch.exchanges())

    [seen] = {feed_every_cut(data, partial(run, cut=turn)) for turn, data in enumerate(said)}
    return seen


class ExchangeWatchTests(SynchronousTestCase):
    """What is seen of exchanges."""

    def test_exchange(self) -> None:
        """A request and its answer are one exchange; credentials are no part of it."""
        seen = watched(GET, OK)
        self.assertEqual(seen, (exchange(sent=2),))
        self.assertNotIn("YWxpY2U6c2VjcmV0", repr(seen))

    def test_time(self) -> None:
        """It lasts from the first byte of the request to the last one of the answer."""
        watch = ExchangeWatch()
        for at, data in ((1.0, GET[:1]), (2.0, GET[1:-1]), (3.0, GET[-1:])):
            watch.asked(data, at)
        watch.answered(OK[:-1], 5.0)
        self.assertEqual(watch.exchanges(), [])
        watch.answered(OK[-1:], 7.5)
        self.assertEqual([each.seconds for each in watch.exchanges()], [6.5])
        self.assertEqual(watch.exchanges(), [])

    def test_one_after_another(self) -> None:
        """A connection that is kept has many, each with the time of its own."""
        self.assertEqual(
            watched(GET, OK, post(b"abc", b"Content-Length: 3"), OK.replace(b"200", b"404"), GET, OK),
            (exchange(sent=2), exchange("POST", "/p", 404, received=3, sent=2), exchange(sent=2)),
        )
        watch = ExchangeWatch()
        for at in (1.0, 100.0):
            watch.asked(GET, at)
            watch.answered(OK, at + 1)
        self.assertEqual([each.seconds for each in watch.exchanges()], [1.0, 1.0])

    def test_bodies(self) -> None:
        """Bodies are counted without their framing."""
        question = post(CHUNKED, b"Transfer-Encoding: chunked")
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED
        self.assertEqual(watched(question, answer), (exchange("POST", "/p", received=6, sent=6),))

    def test_no_bodies(self) -> None:
        """What has no body has none, whatever its head says."""
        head = b"HTTP/1.1 %d X\r\nContent-Length: 7\r\n\r\n"
        asked = GET.replace(b"GET", b"HEAD")
        self.assertEqual(
            watched(asked, head % 200, GET, head % 304), (exchange("HEAD"), exchange(status=304))
        )

    def test_interim(self) -> None:
        """Interim answers are none."""
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        self.assertEqual(watched(GET, early + OK), (exchange(sent=2),))

    def test_early_answer(self) -> None:
        """An answer may come before the request is complete; the next request is understood."""
        watch = ExchangeWatch()
        watch.asked(post(b"ab", b"Content-Length: 4"), 0.0)
        watch.answered(OK, 0.0)
        watch.asked(b"cd" + GET, 0.0)
        watch.answered(OK, 0.0)
        self.assertEqual(watch.exchanges(), [exchange("POST", "/p", received=2, sent=2), exchange(sent=2)])

    def test_at_once(self) -> None:
        """Several requests may wait for their answers, so many."""
        for count, seen in ((MOST_UNANSWERED, MOST_UNANSWERED), (MOST_UNANSWERED + 1, 0)):
            watch = ExchangeWatch()
            watch.asked(GET * count, 0.0)
            watch.answered(OK * count, 0.0)
            self.assertEqual(len(watch.exchanges()), seen)

    def test_until_end(self) -> None:
        """An answer may end with the connection."""
        self.assertEqual(watched(GET, b"HTTP/1.0 200 OK\r\n\r\nhello", ends=True), (exchange(sent=5),))

    def test_cut(self) -> None:
        """Who leaves has had a part of the answer, or none; who has asked nothing is not told of."""
        self.assertEqual(watched(GET, OK[:-1], ends=True), (exchange(sent=1),))
        self.assertEqual(watched(GET, OK[:9], ends=True), (exchange(status=None),))
        self.assertEqual(watched(GET[:-1], b"", ends=True), ())
        self.assertEqual(watched(GET, OK, ends=True), (exchange(sent=2),))

    def test_upgrade(self) -> None:
        """An upgrade is an exchange, and what follows is not looked at."""
        asked = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        switched = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        self.assertEqual(
            watched(asked + GET, switched + OK, GET, OK, ends=True), (exchange(target="/ws", status=101),)
        )

    def test_connect(self) -> None:
        """So is CONNECT, unless it is refused."""
        asked = b"CONNECT a.example:22 HTTP/1.1\r\nHost: a.example:22\r\n\r\n"
        tunnel = exchange("CONNECT", "a.example:22")
        self.assertEqual(watched(asked, b"HTTP/1.1 200 OK\r\n\r\nSSH-", GET, OK, ends=True), (tunnel,))
        refused = OK.replace(b"200", b"403")
        self.assertEqual(
            watched(asked, refused, GET, OK),
            (exchange("CONNECT", "a.example:22", 403, sent=2), exchange(sent=2)),
        )

    def test_not_understood(self) -> None:
        """What is not understood ends the watch; what was seen before is told."""
        for asked, answered in (
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
            (b"SSH-2.0-x\r\n", b"SSH-2.0-y\r\n"),
            (b"", OK),
            (GET, b"what?\r\n"),
            (post(b"z\r\n", b"Transfer-Encoding: chunked"), b""),
            (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"),
            (b"GET /" + MOST_HEAD_BYTES * b"x", b""),
        ):
            watch = ExchangeWatch()
            for question, answer in ((GET, OK), (asked, answered), (GET, OK)):
                watch.asked(question, 0.0)
                watch.answered(answer, 0.0)
            watch.ended(0.0)
            self.assertEqual(list(watch.exchanges()), [exchange(sent=2)], asked)

    @given(st.lists(st.tuples(st.booleans(), st.one_of(st.binary(), st.sampled_from([GET, OK, b"\r\n"])))))
    def test_junk(self, pieces: list[tuple[bool, bytes]]) -> None:
        """Nothing that passes makes it fail, and an exchange is what was asked."""
        watch = ExchangeWatch()
        for asks, data in pieces:
            (watch.asked if asks else watch.answered)(data, 0.0)
        watch.ended(0.0)
        for each in watch.exchanges():
            self.assertTrue(each.method.isascii() and each.target.isprintable())
