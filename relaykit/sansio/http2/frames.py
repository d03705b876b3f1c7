"""Frames of HTTP/2: how they are cut out of a stream of bytes, and how ours are written.

Source: RFC 9113 sections 4, 6 and 7.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.parsers.http_opening import PREFACE

__all__ = [
    "MOST_PAYLOAD_BYTES",
    "MOST_WINDOW",
    "ConnectionFault",
    "ErrorCode",
    "Flag",
    "Frame",
    "FrameReader",
    "FrameType",
    "Setting",
    "StreamFault",
    "data_header",
    "goaway",
    "headers",
    "ping_answer",
    "rst_stream",
    "settings",
    "settings_answer",
    "unpadded",
    "window_update",
]

MOST_PAYLOAD_BYTES: Final = 16 * 1024
"""Most bytes of one frame, both ways: what everybody must take, so that none is kept for long until it is
whole, and no stream has the connection for itself for long.  Source: RFC 9113 section 4.2."""

MOST_WINDOW: Final = (1 << 31) - 1
"""The largest window.  Source: RFC 9113 section 6.9.1."""

_HEADER = struct.Struct(">HBBBL")
_LONG = struct.Struct(">L")
_PAIR = struct.Struct(">LL")
_SETTING = struct.Struct(">HL")
_STREAM_ID = 0x7FFF_FFFF


class FrameType(enum.IntEnum):
    """Source: RFC 9113 section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag:
    """Flags; a bit means what the type of the frame says.  They are plain numbers: each frame has them."""

    NONE: Final = 0
    END_STREAM: Final = 0x01
    ACK: Final = 0x01
    END_HEADERS: Final = 0x04
    PADDED: Final = 0x08
    PRIORITY: Final = 0x20


class Setting(enum.IntEnum):
    """Source: RFC 9113 section 6.5.2."""

    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends.  Source: RFC 9113 section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(RemoteProtocolError):
    """The user broke a rule that its whole connection depends on."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class StreamFault(RemoteProtocolError):
    """The user broke a rule within one stream, which is reset."""

    def __init__(self, stream_id: int, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.stream_id = stream_id
        self.code = code


class Frame(NamedTuple):
    """One frame; its payload is lent as what it was read from."""

    type: int
    flags: int
    stream_id: int
    payload: memoryview


class FrameReader:
    """Cuts what a user sends into frames; the preface comes first.

    It keeps at most one frame that is not whole.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._awaited = PREFACE

    def feed(self, data: Buffer) -> Iterator[Frame]:
        """The frames that are whole now; take them all before more is fed.

        :raises ConnectionFault: it is not HTTP/2, or a frame is too large.
        """
        view = memoryview(self._rest + data if self._rest else data)
        at = 0
        if self._awaited:
            at = min(len(self._awaited), len(view))
            if self._awaited[:at] != view[:at]:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "it does not begin as HTTP/2 does")
            self._awaited = self._awaited[at:]
        size = len(view)
        while size - at >= _HEADER.size:
            high, low, kind, flags, stream_id = _HEADER.unpack_from(view, at)
            length = high << 8 | low
            if length > MOST_PAYLOAD_BYTES:
                text = f"a frame has {length} bytes, more than {MOST_PAYLOAD_BYTES}"
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, text)
            begin = at + _HEADER.size
            if size - begin < length:
                break
            at = begin + length
            yield Frame(kind, flags, stream_id & _STREAM_ID, view[begin:at])
        self._rest = bytes(view[at:])


def unpadded(frame: Frame) -> memoryview:
    """The payload of DATA or HEADERS without padding.

    :raises ConnectionFault: there is more padding than payload.
    """
    payload = frame.payload
    if not frame.flags & Flag.PADDED:
        return payload
    padding = payload[0] if payload else 0
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame is nothing but padding")
    return payload[1 : len(payload) - padding]


def _header(kind: FrameType, flags: int, stream_id: int, length: int) -> bytes:
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id)


def data_header(stream_id: int, length: int, ends: bool) -> bytes:
    """What goes before so many bytes of a body."""
    return _header(FrameType.DATA, Flag.END_STREAM if ends else Flag.NONE, stream_id, length)


def headers(stream_id: int, block: bytes, ends: bool) -> bytes:
    """A block of fields, in as many frames as it needs."""
    first = block[:MOST_PAYLOAD_BYTES]
    whole = len(first) == len(block)
    flags = (Flag.END_STREAM if ends else Flag.NONE) | (Flag.END_HEADERS if whole else Flag.NONE)
    written = _header(FrameType.HEADERS, flags, stream_id, len(first)) + first
    for at in range(MOST_PAYLOAD_BYTES, len(block), MOST_PAYLOAD_BYTES):
        piece = block[at : at + MOST_PAYLOAD_BYTES]
        flags = Flag.END_HEADERS if at + len(piece) == len(block) else Flag.NONE
        written += _header(FrameType.CONTINUATION, flags, stream_id, len(piece)) + piece
    return written


def settings(values: Sequence[tuple[Setting, int]]) -> bytes:
    """What we tell of ourselves."""
    payload = b"".join(_SETTING.pack(*each) for each in values)
    return _header(FrameType.SETTINGS, Flag.NONE, 0, len(payload)) + payload


def settings_answer() -> bytes:
    """What the user told is in force."""
    return _header(FrameType.SETTINGS, Flag.ACK, 0, 0)


def ping_answer(payload: Buffer) -> bytes:
    """The answer to a PING."""
    return _header(FrameType.PING, Flag.ACK, 0, len(payload)) + payload


def window_update(stream_id: int, increment: int) -> bytes:
    """So many more bytes may come; stream 0 is the connection."""
    return _header(FrameType.WINDOW_UPDATE, Flag.NONE, stream_id, _LONG.size) + _LONG.pack(increment)


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    """The end of a stream, both directions."""
    return _header(FrameType.RST_STREAM, Flag.NONE, stream_id, _LONG.size) + _LONG.pack(code)


def goaway(last_stream_id: int, code: ErrorCode) -> bytes:
    """No stream behind the last one is or will be looked at."""
    return _header(FrameType.GOAWAY, Flag.NONE, 0, _PAIR.size) + _PAIR.pack(last_stream_id, code)
