from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers.first_bytes import (
    ACCEPTED_CONNECTION,
    LOGICAL_CONNECTION,
    WITHIN_TLS,
    WITHIN_WEBSOCKET,
    FirstBytes,
    Spoken,
)
from tests import recorded

PARSERS = (ACCEPTED_CONNECTION, WITHIN_TLS, WITHIN_WEBSOCKET, LOGICAL_CONNECTION)

OPENINGS = (
    (b"\x16\x03\x01\x02\x00\x01", Spoken.TLS),
    (b"\x17\x16\x03\x01\x02\x00", Spoken.CUSTOM_TLS),
    (b"GET /~!frp HTTP/1.1\r\n", Spoken.WEBSOCKET),
    (b"GET /~!frpx HTTP/1.1\r\n", Spoken.WEBSOCKET),
    (b"GET /~!fr HTTP/1.1\r\n", Spoken.HTTP),
    (b"GET / HTTP/1.1\r\n", Spoken.HTTP),
    (b"OPTIONS * HTTP/1.1\r\n", Spoken.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken.HTTP2),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Spoken.PROXY_HEADER),
    (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11", Spoken.PROXY_HEADER),
    (b"SSH-2.0-OpenSSH_9.2\r\n", Spoken.SSH),
    (b"\x00\x01\x00\x01\x00\x00\x00\x01", Spoken.MUX),
    (b"FRP\x00\x02\r\n\x00\x01", Spoken.WIRE_V2),
    (b"FRP\x00\x03\r\n\x00\x01", Spoken.UNKNOWN),
    (b"o\x00\x00\x00\x00\x00\x00\x00\xa9{", Spoken.WIRE_V1),
    (b"w\x00\x00\x00\x00\x00\x00\x00\x02{}", Spoken.WIRE_V1),
    (b"v\x00\x00\x00\x00\x00\x00\x00\x02{}", Spoken.WIRE_V1),
    (b"h\x00\x00\x00\x00\x00\x00\x00\x02{}", Spoken.UNKNOWN),
    (b"hello there", Spoken.UNKNOWN),
    (b"\xff\xff", Spoken.UNKNOWN),
)


def byte_by_byte(parser: FirstBytes, data: bytes) -> tuple[Spoken, int] | None:
    """The first answer of a parser that sees one byte more each time."""
    for end in range(len(data) + 1):
        answer = parser.feed(data[:end])
        if answer is not None:
            return answer
    return None


class FirstBytesTests(SynchronousTestCase):
    """What a connection begins with tells its protocol."""

    def test_openings(self) -> None:
        """Every opening is recognised, whole and byte by byte, with the same answer."""
        for data, spoken in OPENINGS:
            with self.subTest(data=data):
                answer = ACCEPTED_CONNECTION.feed(data)
                self.assertEqual(answer, (spoken, 1 if spoken is Spoken.CUSTOM_TLS else 0))
                self.assertEqual(byte_by_byte(ACCEPTED_CONNECTION, data), answer)

    def test_nothing_yet(self) -> None:
        """No bytes at all give no answer."""
        for parser in PARSERS:
            self.assertIsNone(parser.feed(b""))

    def test_one_byte_may_suffice(self) -> None:
        """TLS and yamux are known from their first byte, so nothing waits for a second."""
        for byte, spoken in ((b"\x16", Spoken.TLS), (b"\x17", Spoken.CUSTOM_TLS), (b"\x00", Spoken.MUX)):
            answer = ACCEPTED_CONNECTION.feed(byte)
            assert answer is not None
            self.assertEqual(answer[0], spoken)

    def test_tls_within_tls_is_unknown(self) -> None:
        """TLS is looked for on sockets and within WebSockets only."""
        for parser, expected in (
            (WITHIN_WEBSOCKET, Spoken.TLS),
            (WITHIN_TLS, Spoken.UNKNOWN),
            (LOGICAL_CONNECTION, Spoken.UNKNOWN),
        ):
            self.assertEqual(parser.feed(b"\x16\x03\x01"), (expected, 0))

    def test_websocket_within_websocket_is_http(self) -> None:
        """Once within a WebSocket, its request line is that of a confused HTTP client."""
        data = b"GET /~!frp HTTP/1.1\r\n"
        self.assertEqual(WITHIN_TLS.feed(data), (Spoken.WEBSOCKET, 0))
        self.assertEqual(WITHIN_WEBSOCKET.feed(data), (Spoken.HTTP, 0))

    @given(st.binary(max_size=24))
    def test_junk(self, data: bytes) -> None:
        """Any bytes up to the limit get one answer, and bytes after the answer change nothing."""
        for parser in PARSERS:
            answer = byte_by_byte(parser, data)
            if len(data) >= parser.limit:
                self.assertIsNotNone(answer)
            if answer is not None:
                self.assertEqual(parser.feed(data), answer)

    def test_recorded_connections(self) -> None:
        """Every recorded control, work and visitor connection is known by its wire version."""
        seen = 0
        for conversation in recorded.conversations():
            if conversation.kind in ("control", "work", "visitor"):
                answer = LOGICAL_CONNECTION.feed(conversation.c2s)
                expected = Spoken.WIRE_V1 if conversation.wire == 1 else Spoken.WIRE_V2
                self.assertEqual(answer, (expected, 0), str(conversation))
                seen += 1
        self.assertGreater(seen, 100)

    def test_recorded_carriers(self) -> None:
        """Recorded connections over TLS, WebSocket and yamux are told apart by their first bytes."""
        for name, expected in (
            ("tls-first-byte-16", Spoken.TLS),
            ("tls-first-byte-17", Spoken.CUSTOM_TLS),
            ("v1-websocket", Spoken.WEBSOCKET),
            ("v2-tcp-mux", Spoken.MUX),
        ):
            first = recorded.load(name).connections[0].data("c2s")
            answer = ACCEPTED_CONNECTION.feed(first)
            assert answer is not None
            self.assertEqual(answer[0], expected)
