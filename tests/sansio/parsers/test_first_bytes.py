"""How the protocols begin that meet on a port, on made-up and on recorded connections."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers.first_bytes import (
    LOGICAL_CONNECTION,
    OPENINGS,
    STRANGERS,
    CustomTlsByte,
    Spoken,
)
from relaykit.sansio.parsers.recognizing import RecognizerTable
from tests import recorded

OPENED = (
    (b"\x16\x03\x01\x02\x00\x01", Spoken.TLS),
    (b"\x17\x16\x03\x01\x02\x00", Spoken.TLS),
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
    (b"FRP\x00\x03\r\n\x00\x01", None),
    (b"o\x00\x00\x00\x00\x00\x00\x00\xa9{", Spoken.WIRE_V1),
    (b"w\x00\x00\x00\x00\x00\x00\x00\x02{}", Spoken.WIRE_V1),
    (b"v\x00\x00\x00\x00\x00\x00\x00\x02{}", Spoken.WIRE_V1),
    (b"h\x00\x00\x00\x00\x00\x00\x00\x02{}", None),
    (b"hello there", None),
    (b"\xff\xff", None),
)


def everything() -> RecognizerTable[Spoken]:
    """All of them, the strangers last."""
    table: RecognizerTable[Spoken] = RecognizerTable()
    for spoken in (*(set(OPENINGS) - set(STRANGERS)), *STRANGERS):
        table.add(OPENINGS[spoken], spoken)
    return table


def byte_by_byte(table: RecognizerTable[Spoken], data: bytes) -> tuple[Spoken | None, int] | None:
    """The first answer of a parser that sees one byte more each time."""
    for end in range(1, len(data) + 1):
        answer = table.feed(data[:end])
        if answer is not None:
            return answer
    return None


class FirstBytesTests(SynchronousTestCase):
    """What a connection begins with tells its protocol."""

    def test_openings(self) -> None:
        """Every opening is recognized, whole and byte by byte, with the same answer."""
        for data, spoken in OPENED:
            with self.subTest(data=data):
                self.assertEqual(everything().feed(data), (spoken, 0))
                self.assertEqual(byte_by_byte(everything(), data), (spoken, 0))

    def test_one_byte_may_suffice(self) -> None:
        """TLS and yamux are known from their first byte, so nothing waits for a second."""
        for byte, spoken in ((b"\x16", Spoken.TLS), (b"\x17", Spoken.TLS), (b"\x00", Spoken.MUX)):
            self.assertEqual(everything().feed(byte), (spoken, 0))

    def test_logical_connection(self) -> None:
        """A logical connection is not looked through for TLS or WebSocket."""
        self.assertEqual(LOGICAL_CONNECTION.feed(b"\x16\x03\x01"), (None, 0))
        self.assertEqual(LOGICAL_CONNECTION.feed(b"GET /~!frp HTTP/1.1\r\n"), (Spoken.HTTP, 0))

    @given(st.binary(min_size=1, max_size=24))
    def test_junk(self, data: bytes) -> None:
        """Any bytes up to the limit get one answer, and bytes after the answer change nothing."""
        for table in (everything(), LOGICAL_CONNECTION):
            answer = byte_by_byte(table, data)
            if len(data) >= table.limit:
                self.assertIsNotNone(answer)
            if answer is not None:
                self.assertEqual(table.feed(data), answer)

    def test_custom_tls_byte(self) -> None:
        """Frp's byte before TLS is taken where it is, and nothing where it is not."""
        parser = CustomTlsByte()
        self.assertIsNone(parser.feed(b""))
        self.assertEqual([parser.feed(data) for data in (b"\x17", b"\x17\x16")], [(None, 1)] * 2)
        self.assertEqual(parser.feed(b"\x16\x17"), (None, 0))

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
            ("tls-first-byte-17", Spoken.TLS),
            ("v1-websocket", Spoken.WEBSOCKET),
            ("v2-tcp-mux", Spoken.MUX),
        ):
            first = recorded.load(name).connections[0].data("c2s")
            self.assertEqual(everything().feed(first), (expected, 0))
