"""The frames of WebSocket: what passes, what is answered, and what is against the rules.

The cases of what is against them are those of the Autobahn test suite, restated; wsproto is what they are
compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as TheirOpcode

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.websocket.frames import (
    EMPTY_FRAMES_AT_ONCE,
    EMPTY_FRAMES_PER_S,
    MOST_FRAMES_AT_ONCE,
    CloseCode,
    Opcode,
    WebSocket,
    WebSocketRole,
    mask,
    slow_mask,
)

KEY = b"\x01\x80\xfe\x33"
FIN = 0x80


def entropy(count: int) -> bytes:
    """Foreseeable."""
    return KEY[:count]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """A frame that a client sends."""
    first = (FIN if fin else 0) | reserved | opcode
    return bytes((first,)) + length_of(payload) + KEY + mask(KEY, payload)


def length_of(payload: bytes, masked: int = 0x80) -> bytes:
    """The length of a frame, as short as it can be written."""
    size = len(payload)
    if size <= 125:
        return bytes((masked | size,))
    return bytes((masked | (126 if size < 65536 else 127),)) + size.to_bytes(2 if size < 65536 else 8, "big")


def ends() -> tuple[WebSocket, WebSocket]:
    """A client and a server."""
    return WebSocket(WebSocketRole.CLIENT, entropy), WebSocket(WebSocketRole.SERVER, entropy)


def fed(end: WebSocket, data: bytes, size: int = 0, now: float = 0.0) -> bytes:
    """What an end makes of this, in portions of this size."""
    size = size or len(data) or 1
    portions = iter([data[at : at + size] for at in range(0, len(data), size)])
    got = bytearray()
    while (portion := b"" if end.has_input else next(portions, None)) is not None:
        got += b"".join(end.receive(portion, now))
    return bytes(got)


def told(end: WebSocket) -> CloseCode:
    """The code by which a peer is told what it did wrong."""
    answer = end.to_send()
    assert answer[0] == FIN | Opcode.CLOSE
    return CloseCode(int.from_bytes(answer[2:4], "big"))


SIZES = (0, 1, 3, 4, 124, 125, 126, 127, 511, 512, 513, 65535, 65536, 70_001)


class StreamTests(SynchronousTestCase):
    """Tests for payload."""

    def test_sizes(self) -> None:
        """Payload of every size passes in one frame, both ways, masked by the client alone."""
        for size in SIZES:
            client, server = ends()
            payload = bytes(each % 251 for each in range(size))
            for sender, receiver, masked in ((client, server, 0x80), (server, client, 0)):
                sent = b"".join(sender.frame((payload[: size // 3], memoryview(payload)[size // 3 :])))
                self.assertEqual((sent[0], sent[1] & 0x80), (FIN | Opcode.BINARY, masked))
                self.assertTrue(fed(receiver, sent) == payload, size)

    def test_masks(self) -> None:
        """A mask is that of the standard, whoever applies it, and taken off it is as before."""
        for size in SIZES:
            payload = bytes(each % 251 for each in range(size))
            masked = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))
            for apply in (mask, slow_mask):
                self.assertTrue(apply(KEY, memoryview(payload)) == masked, size)
                self.assertTrue(apply(KEY, masked) == payload, size)

    def test_cuts(self) -> None:
        """However it is cut, the stream is the same, control frames between parts of a message included."""
        parts = (
            frame(Opcode.BINARY, b"one", fin=False),
            frame(Opcode.PING, b"there?"),
            frame(Opcode.CONTINUATION, b"", fin=False),
            frame(Opcode.CONTINUATION, bytes(300)),
            frame(Opcode.PONG),
            frame(Opcode.BINARY),
            frame(Opcode.BINARY, b"two"),
            frame(Opcode.CLOSE, b"\x03\xe8bye"),
        )
        for size in (1, 2, 3, 7, 100, 0):
            _, server = ends()
            self.assertEqual(fed(server, b"".join(parts), size), b"one" + bytes(300) + b"two")
            self.assertTrue(server.close_received)
            self.assertEqual(server.to_send(), b"\x8a\x06there?")

    @given(st.lists(st.binary(max_size=600), max_size=6), st.integers(min_value=1, max_value=700))
    def test_streams(self, pieces: list[bytes], size: int) -> None:
        """What is sent in any pieces and arrives in any others is the same stream, also to wsproto."""
        client, server = ends()
        sent = b"".join(part for piece in pieces for part in client.frame((piece,)))
        self.assertEqual(fed(server, sent, size), b"".join(pieces))
        theirs = FrameProtocol(client=False, extensions=[])
        theirs.receive_bytes(sent)
        read = [each.payload for each in theirs.received_frames()]
        self.assertEqual(b"".join(each for each in read if isinstance(each, bytes)), b"".join(pieces))

    def test_views(self) -> None:
        """What is not masked is passed on without a copy."""
        client, server = ends()
        sent = b"".join(server.frame((bytes(1000),)))
        (piece,) = client.receive(sent, 0.0)
        self.assertIs(getattr(piece, "obj", None), sent)


class ControlTests(SynchronousTestCase):
    """Tests for what is said between the ends."""

    def test_ping(self) -> None:
        """A ping is answered with what it said; of many that wait for it, the last one."""
        client, server = ends()
        self.assertEqual(fed(server, client.ping()), b"")
        self.assertEqual(server.to_send(), b"\x8a\x00")
        self.assertEqual(server.to_send(), b"")
        fed(server, frame(Opcode.PING, b"a") * 1000 + frame(Opcode.PING, b"b" * 125))
        answer = server.to_send()
        self.assertEqual(answer, b"\x8a\x7d" + b"b" * 125)
        self.assertEqual((fed(client, answer), client.to_send()), (b"", b""))

    def test_close(self) -> None:
        """Each end closes its own direction, once; what comes after the peer's close is dropped."""
        client, server = ends()
        fed(server, frame(Opcode.PING))
        self.assertEqual(server.close(), b"\x88\x02\x03\xe8")
        self.assertEqual((server.close(), server.ping(), server.to_send()), (b"", b"", b""))
        self.assertEqual(fed(client, b"\x88\x00" + b"\x82\x01x"), b"")
        self.assertTrue(client.close_received)
        self.assertEqual(fed(server, b"".join(client.frame((b"late",)))), b"late")
        fed(server, frame(Opcode.PING))
        self.assertEqual(server.to_send(), b"")
        self.assertFalse(server.close_received)
        fed(server, client.close())
        self.assertTrue(server.close_received)

    def test_recorded_close(self) -> None:
        """What frp's programs say at the end is understood."""
        client, _ = ends()
        fed(client, bytes.fromhex("880203e8"))
        self.assertTrue(client.close_received)


def _wrong() -> Iterator[tuple[str, bytes, CloseCode]]:
    """What a client may not send, and what it is told."""
    wrong = CloseCode.PROTOCOL_ERROR
    for reserved in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70):
        for opcode in (Opcode.BINARY, Opcode.PING, Opcode.CLOSE):
            yield f"reserved bits {reserved:#x}", frame(opcode, reserved=reserved), wrong
    for unknown in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"opcode {unknown}", frame(unknown, b"x"), wrong
    for control in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
        yield "a long control frame", frame(control, bytes(126)), wrong
        yield "a control frame in parts", frame(control, fin=False), wrong
    begun = frame(Opcode.BINARY, b"x", fin=False)
    yield "goes on without a beginning", frame(Opcode.CONTINUATION, b"x"), wrong
    yield "goes on without a beginning", frame(Opcode.CONTINUATION, b"x", fin=False), wrong
    yield "begins twice", begun + frame(Opcode.BINARY, b"x"), wrong
    yield "goes on after its end", begun + frame(Opcode.CONTINUATION) + frame(Opcode.CONTINUATION), wrong
    yield "text", frame(Opcode.TEXT, b"hello"), CloseCode.NO_TEXT
    yield "text in parts", frame(Opcode.TEXT, b"hello", fin=False), CloseCode.NO_TEXT
    yield "text within a message", begun + frame(Opcode.TEXT, b"x"), wrong
    yield "no mask", b"\x82\x01x", wrong
    yield "a length in two bytes", b"\x82\xfe\x00\x7d" + KEY, wrong
    yield "a length in eight bytes", b"\x82\xff" + (65535).to_bytes(8, "big") + KEY, wrong
    yield "an endless frame", b"\x82\xff" + (2**63).to_bytes(8, "big") + KEY, wrong
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"closes with {code}", frame(Opcode.CLOSE, code.to_bytes(2, "big")), wrong
    yield "closes with half a code", frame(Opcode.CLOSE, b"\x03"), wrong
    yield "closes with no UTF-8", frame(Opcode.CLOSE, b"\x03\xe8\xce\xba\xff"), CloseCode.NOT_UTF8


class RulesTests(SynchronousTestCase):
    """Tests for what is against the rules."""

    def test_refused(self) -> None:
        """The peer is told which kind of rule it broke, however its bytes come; nothing is read after."""
        for (name, data, code), size in itertools.product(_wrong(), (0, 1)):
            _, server = ends()
            with self.assertRaises(RemoteProtocolError, msg=name):
                fed(server, data, size)
            self.assertEqual(told(server), code, name)
            self.assertEqual(fed(server, frame(Opcode.BINARY, b"more")), b"", name)

    def test_told_early(self) -> None:
        """What its first two bytes show is not waited for."""
        _, server = ends()
        with self.assertRaises(RemoteProtocolError):
            server.receive(b"\xc2\x85", 0.0)

    def test_empty_frames(self) -> None:
        """Frames that carry nothing come to an end, of whatever kind; those of a patient peer do not."""
        begun = frame(Opcode.BINARY, fin=False)
        data = frame(Opcode.BINARY, b"x")
        for before, empty in (
            (b"", frame(Opcode.PING)),
            (b"", frame(Opcode.PONG, b"x")),
            (b"", frame(Opcode.BINARY) + data),
            (begun, frame(Opcode.CONTINUATION, fin=False)),
        ):
            for size in (0, 1000):
                server = ends()[1]
                with self.assertRaises(RemoteProtocolError):
                    fed(server, before + empty * (EMPTY_FRAMES_AT_ONCE + 1), size)
                self.assertEqual(told(server), CloseCode.NOT_WANTED)
        server = ends()[1]
        for second in range(100):
            fed(server, frame(Opcode.PING) * (EMPTY_FRAMES_PER_S * 10) + data * 2000, 0, second * 10.0)
        for cut in range(1, len(data)):
            server = ends()[1]
            fed(server, (data + data[:cut]), cut)
            for _ in range(2 * EMPTY_FRAMES_AT_ONCE):
                server.receive(data[cut:], 0.0)
                server.receive(data[:cut], 0.0)

    def test_small_frames(self) -> None:
        """Many small frames are dealt with in parts, and what comes meanwhile after them."""
        server = ends()[1]
        data = frame(Opcode.BINARY, b"x")
        self.assertEqual(len(server.receive(data * (MOST_FRAMES_AT_ONCE + 3), 0.0)), MOST_FRAMES_AT_ONCE)
        self.assertTrue(server.has_input)
        self.assertEqual(b"".join(server.receive(frame(Opcode.BINARY, b"last"), 0.0)), b"xxxlast")
        self.assertFalse(server.has_input)

    def test_masked_by_the_server(self) -> None:
        """A server may not mask."""
        client, _ = ends()
        with self.assertRaises(RemoteProtocolError):
            fed(client, frame(Opcode.BINARY, b"x"))

    def test_after_closing(self) -> None:
        """Who has closed tells the peer nothing any more."""
        _, server = ends()
        server.close()
        with self.assertRaises(RemoteProtocolError):
            fed(server, b"\xff\xff")
        self.assertEqual(server.to_send(), b"")

    def test_valid_endings(self) -> None:
        """Every code that may be sent closes in order."""
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
            _, server = ends()
            fed(server, frame(Opcode.CLOSE, code.to_bytes(2, "big") + b"x" * 123))
            self.assertTrue(server.close_received)

    def test_as_wsproto(self) -> None:
        """Another implementation refuses the same, but for text, which is a message to it."""
        for name, data, code in _wrong():
            if code is CloseCode.NO_TEXT:
                continue
            theirs = FrameProtocol(client=False, extensions=[])
            theirs.receive_bytes(data)
            with self.assertRaises(ParseFailed, msg=name):
                list(theirs.received_frames())
        self.assertEqual([each.value for each in Opcode], [each.value for each in TheirOpcode])

    @given(st.binary(max_size=400), st.integers(min_value=1, max_value=30))
    def test_junk(self, data: bytes, size: int) -> None:
        """Junk is read or refused, and never more comes out than went in."""
        for end in ends():
            try:
                self.assertLessEqual(len(fed(end, data, size)), len(data))
            except RemoteProtocolError:
                self.assertTrue(end.close_received)
