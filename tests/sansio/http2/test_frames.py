"""Tests for :mod:`relaykit.sansio.http2.frames`."""

from __future__ import annotations

from hyperframe.frame import Frame as OtherFrame
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.http2 import frames
from relaykit.sansio.http2.frames import (
    MOST_PAYLOAD_BYTES,
    ConnectionFault,
    ErrorCode,
    Flag,
    Frame,
    FrameReader,
    FrameType,
    Setting,
    unpadded,
)
from relaykit.sansio.parsers.http_opening import PREFACE
from relaykit.testing.cuts import feed_every_cut

WRITTEN = (
    frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 7)])
    + frames.headers(1, b"block", True)
    + frames.data_header(3, 4, False)
    + b"body"
    + frames.rst_stream(5, ErrorCode.CANCEL)
)


def read(*portions: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames in these bytes."""
    reader = FrameReader()
    return [
        (each.type, each.flags, each.stream_id, bytes(each.payload))
        for portion in portions
        for each in reader.feed(portion)
    ]


class ReaderTests(SynchronousTestCase):
    """Cutting bytes into frames."""

    def test_every_cut(self) -> None:
        """However the bytes are cut, the frames are the same."""
        found = feed_every_cut(PREFACE + WRITTEN, lambda portions: read(*portions))
        self.assertEqual(
            found,
            [
                (FrameType.SETTINGS, 0, 0, b"\0\3\0\0\0\7"),
                (FrameType.HEADERS, Flag.END_STREAM | Flag.END_HEADERS, 1, b"block"),
                (FrameType.DATA, 0, 3, b"body"),
                (FrameType.RST_STREAM, 0, 5, b"\0\0\0\x08"),
            ],
        )

    def test_preface(self) -> None:
        """What does not begin as HTTP/2 does is refused at the first wrong byte."""
        with self.assertRaises(ConnectionFault) as caught:
            read(PREFACE[:5], b"X")
        self.assertIs(caught.exception.code, ErrorCode.PROTOCOL_ERROR)

    def test_too_large(self) -> None:
        """A frame that is too large is refused by its header."""
        with self.assertRaises(ConnectionFault) as caught:
            read(PREFACE, frames.data_header(1, MOST_PAYLOAD_BYTES + 1, False))
        self.assertIs(caught.exception.code, ErrorCode.FRAME_SIZE_ERROR)

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        """Junk is frames or refused, and nothing else."""
        try:
            read(PREFACE, junk)
        except ConnectionFault as fault:
            self.assertIs(fault.code, ErrorCode.FRAME_SIZE_ERROR)

    def test_padding(self) -> None:
        """Padding is taken away; a frame of nothing else is refused."""
        for payload, left in ((b"\2ab\0\0", b"ab"), (b"\0ab", b"ab"), (b"\1\0", b"")):
            self.assertEqual(unpadded(Frame(0, Flag.PADDED, 1, memoryview(payload))), left)
        self.assertEqual(unpadded(Frame(0, 0, 1, memoryview(b"\2ab"))), b"\2ab")
        for payload in (b"", b"\1", b"\3ab"):
            with self.assertRaises(ConnectionFault):
                unpadded(Frame(0, Flag.PADDED, 1, memoryview(payload)))


class WriterTests(SynchronousTestCase):
    """Writing frames."""

    def test_as_others_read(self) -> None:
        """Somebody else's reader finds in our frames what we wrote."""
        for written, text in (
            (frames.settings([(Setting.ENABLE_PUSH, 0)]), "settings={2: 0}"),
            (frames.settings_answer(), "flags=['ACK']"),
            (frames.ping_answer(b"12345678"), "opaque_data=b'12345678'"),
            (frames.window_update(3, 1000), "window_increment=1000"),
            (frames.rst_stream(3, ErrorCode.CANCEL), "error_code=8"),
            (frames.goaway(9, ErrorCode.ENHANCE_YOUR_CALM), "last_stream_id=9, error_code=11"),
            (frames.data_header(3, 0, True), "flags=['END_STREAM']"),
        ):
            frame, length = OtherFrame.parse_frame_header(memoryview(written)[:9])
            self.assertEqual(9 + length, len(written))
            frame.parse_body(memoryview(written)[9:])
            self.assertIn(text, repr(frame))

    def test_large_head(self) -> None:
        """A head that is too large for a frame is continued in others."""
        block = bytes(2 * MOST_PAYLOAD_BYTES + 1)
        found = read(PREFACE, frames.headers(1, block, True))
        self.assertEqual(
            [(kind, flags) for kind, flags, *_ in found],
            [
                (FrameType.HEADERS, Flag.END_STREAM),
                (FrameType.CONTINUATION, 0),
                (FrameType.CONTINUATION, Flag.END_HEADERS),
            ],
        )
        self.assertEqual(b"".join(payload for *_, payload in found), block)
