"""Exchanges of ``http`` that last: no deadline of the server's ends one that has begun."""

from __future__ import annotations

from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from tests.proxies.http.scene import GET, HttpTestCase

LONG_S = 10 * DEFAULT_TIMEOUTS.response_s
"""More than any of the deadlines."""

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, UPGRADE\r\nUpgrade: WEBsocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


class StreamTests(HttpTestCase):
    """What goes on for as long as both ends want."""

    def test_websocket(self) -> None:
        """A WebSocket that nobody uses for long is there all the same, until one end closes it."""
        self.publish()
        user = self.user(UPGRADE)
        asked = self.service.take()
        for line in (b"Connection: Upgrade", b"Upgrade: WEBsocket", b"Sec-WebSocket-Version: 13"):
            self.assertIn(b"\r\n" + line + b"\r\n", asked)
        self.say(self.service, SWITCHED)
        self.assertEqual(user.take(), SWITCHED)
        for frame in (b"\x81\x01a", b"\x81\x01b"):
            self.relay.advance(LONG_S)
            self.say(user, frame)
            self.say(self.service, frame)
            self.assertEqual((user.take(), self.service.take()), (frame, frame))
        self.service.leg.close()
        self.relay.settle()
        self.assertTrue(user.heard.ended)

    def test_events(self) -> None:
        """Each event is the user's as soon as it happens, and there may be long none."""
        self.publish()
        user = self.user(GET)
        self.say(self.service, b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/event-stream\r\n\r\n")
        self.assertTrue(user.take().endswith(b"Transfer-Encoding: chunked\r\n\r\n"))
        for wait_s in (*(5.0,) * 20, LONG_S):
            self.relay.advance(wait_s)
            self.say(self.service, b"data: 1\n\n")
            self.assertEqual(user.take(), b"9\r\ndata: 1\n\n\r\n")
        self.service.leg.close()
        self.relay.settle()
        self.assertEqual((user.take(), user.heard.ended), (b"0\r\n\r\n", False))

    def test_refused_upload(self) -> None:
        """Who sends on reads what a service answers before the end, and is ended after that."""
        self.publish()
        fields = b"Host: a.example\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue"
        head = b"POST / HTTP/1.1\r\n%b\r\n\r\n" % fields
        user = self.user(head)
        self.say(self.service, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(user.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.say(user, b"4\r\nmuch\r\n")
        self.assertTrue(self.service.take().endswith(b"4\r\nmuch\r\n"))
        refused = b"HTTP/1.1 413 Too Much\r\nDate: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.say(self.service, refused)
        self.service.leg.close()
        self.say(user, b"4\r\nmore\r\n")
        self.assertEqual(sorted(user.take().split(b"\r\n")), sorted(refused.split(b"\r\n")))
        self.assertTrue(user.heard.ended)
