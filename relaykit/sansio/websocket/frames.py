"""The frames of WebSocket; what its data frames carry is one stream, whatever messages they make.

A frame costs what it must, for bulk: payload is passed on as it arrives, whole frames or parts of them, and
the masks are the only work that is done for each byte.

Source: RFC 6455 sections 5 and 7.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.points import Points

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = [
    "EMPTY_FRAMES_AT_ONCE",
    "EMPTY_FRAMES_PER_S",
    "MOST_FRAMES_AT_ONCE",
    "CloseCode",
    "Opcode",
    "WebSocket",
    "WebSocketRole",
    "mask",
    "slow_mask",
]


class Opcode(enum.IntEnum):
    """What a frame is.  Source: RFC 6455 section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(enum.IntEnum):
    """Why a connection is closed; those that are said here.  Source: RFC 6455 section 7.4.1."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    NO_TEXT = 1003
    NOT_UTF8 = 1007
    NOT_WANTED = 1008


class WebSocketRole(enum.Enum):
    """Which end it is: only what the client sends is masked."""

    CLIENT = "client"
    SERVER = "server"


_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F

_OPCODES = frozenset(Opcode)

MOST_CONTROL_BYTES: Final = 125
"""Payload of a control frame, and the longest that is counted in the second byte."""

_IN_TWO_BYTES: Final = 126
_IN_EIGHT_BYTES: Final = 127
_MOST_IN_TWO_BYTES: Final = 0xFFFF
_MOST_BYTES: Final = 2**63 - 1
_KEY_BYTES: Final = 4
_MOST_HEADER_BYTES: Final = 2 + 8 + _KEY_BYTES

EMPTY_FRAMES_AT_ONCE: Final = 1024
"""Frames that carry nothing of the stream, and may come at once: the pings of hours in which nobody read."""

EMPTY_FRAMES_PER_S: Final = 8
"""The same in each second, for ever: who pings does so every few seconds, and who sends such frames endlessly
wants work done, also before it has logged in."""

MOST_FRAMES_AT_ONCE: Final = 512
"""Frames that are dealt with at once, in some 2 ms: bulk has fewer in what is read at once, and one with more
of them, which are small, leaves others their turn."""

_AS_NUMBER_BYTES: Final = 512
"""So much is masked as one number in less time than byte by byte in four columns."""

_fast_mask: Callable[[Buffer, bytes], bytes] | None = None
with contextlib.suppress(ImportError):  # what the extra "websocket" brings
    from websockets.speedups import apply_mask

    _fast_mask = apply_mask

_ENDINGS = ((1000, 1003), (1007, 1014), (3000, 4999))
"""Codes that may be sent, from and to: those that are registered, and those that nobody owns."""


def mask(key: bytes, data: Buffer) -> bytes | bytearray:
    """Masks payload, or takes the mask off, from the first of the four bytes of the key on.

    In C where the library websockets is installed, in less than a twentieth of the time.

    Source: RFC 6455 section 5.3.
    """
    return slow_mask(key, data) if _fast_mask is None else _fast_mask(data, key)


def slow_mask(key: bytes, data: Buffer) -> bytes | bytearray:
    """The same without any library."""
    size = len(data)
    if size <= _AS_NUMBER_BYTES:
        pattern = (key * (size // _KEY_BYTES + 1))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")
    masked = bytearray(data)
    for column, byte in enumerate(key):
        masked[column::_KEY_BYTES] = masked[column::_KEY_BYTES].translate(_table(byte))
    return masked


@functools.cache
def _table(byte: int) -> bytes:
    return bytes(each ^ byte for each in range(256))


class WebSocket:
    """One end of an open connection.

    ``entropy(count)`` answers so many bytes that nobody can foresee: the client's keys.

    :ivar close_received: the peer has said that it sends no more.
    """

    def __init__(self, role: WebSocketRole, entropy: Callable[[int], bytes]) -> None:
        self.close_received = False
        self._close_sent = False
        self._is_client = role is WebSocketRole.CLIENT
        self._entropy = entropy
        self._header = b""
        self._rest = b""
        self._opcode: int = Opcode.BINARY
        self._left = 0
        self._key = b""
        self._control = bytearray()
        self._in_message = False
        self._answers: dict[Opcode, bytes] = {}
        self._empty_frames = Points(EMPTY_FRAMES_AT_ONCE, EMPTY_FRAMES_PER_S, 0.0)

    # --- sending --------------------------------------------------------------------------------

    def frame(self, pieces: Sequence[Buffer]) -> Sequence[Buffer]:
        """What is sent for a part of the stream: one binary frame, and a message of its own."""
        return self._frame(Opcode.BINARY, pieces)

    def ping(self) -> bytes:
        """What is sent to be answered, without payload; nothing once this end has closed."""
        return b"" if self._close_sent else b"".join(self._frame(Opcode.PING, ()))

    def close(self, code: CloseCode = CloseCode.NORMAL) -> bytes:
        """What is sent last, by which the peer learns that nothing more comes; nothing the second time."""
        if self._close_sent:
            return b""
        self._close_sent = True
        self._answers.clear()
        return b"".join(self._frame(Opcode.CLOSE, (code.to_bytes(2, "big"),)))

    def to_send(self) -> bytes:
        """Takes what the peer is owed: an answer to its last ping, or word of what it did wrong.

        However many pings there were, there is one answer, so that it can wait while output is full.
        Source: RFC 6455 section 5.5.3.
        """
        answers, self._answers = self._answers, {}
        return b"".join(piece for each in answers.items() for piece in self._frame(each[0], each[1:]))

    def _frame(self, opcode: Opcode, pieces: Sequence[Buffer]) -> Sequence[Buffer]:
        size = sum(map(len, pieces))
        masked = _MASKED if self._is_client else 0
        if size <= MOST_CONTROL_BYTES:
            header = bytes((_FIN | opcode, masked | size))
        elif size <= _MOST_IN_TWO_BYTES:
            header = bytes((_FIN | opcode, masked | _IN_TWO_BYTES)) + size.to_bytes(2, "big")
        else:
            header = bytes((_FIN | opcode, masked | _IN_EIGHT_BYTES)) + size.to_bytes(8, "big")
        if not self._is_client:
            return (header, *pieces)
        key = self._entropy(_KEY_BYTES)
        return (header + key, mask(key, pieces[0] if len(pieces) == 1 else b"".join(pieces)))

    # --- receiving ------------------------------------------------------------------------------

    @property
    def has_input(self) -> bool:
        """Whether some of what arrived waits for the next call of :meth:`receive`, with more or nothing."""
        return bool(self._rest)

    def receive(self, data: Buffer, now: float) -> Sequence[Buffer]:
        """What the stream goes on with, in pieces, some of them views of ``data``; ``now`` is in seconds.

        After :data:`MOST_FRAMES_AT_ONCE` frames the rest waits, as :attr:`has_input` tells.
        What comes after the peer's close is dropped.  Source: RFC 6455 section 5.5.1.

        :raises RemoteProtocolError: the peer broke the rules; :meth:`to_send` has what it is told, and the
            connection is to be closed.
        """
        view = memoryview(self._rest + data if self._rest else data)
        self._rest = b""
        at, end = 0, len(view)
        pieces: list[Buffer] = []
        most_empty, frames = self._empty_frames.left(now), 0
        while at < end and not self.close_received:
            if not self._left:
                if frames == MOST_FRAMES_AT_ONCE:
                    self._rest = bytes(view[at:])
                    break
                at = self._begin(view, at)
                frames += not self._header
                if frames - len(pieces) > most_empty:
                    self._refuse(CloseCode.NOT_WANTED, "there is no end of frames that carry nothing")
                continue
            piece = view[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            unmasked = mask(self._key, piece) if self._key else piece
            if self._left and self._key:
                turned = len(piece) % _KEY_BYTES
                self._key = self._key[turned:] + self._key[:turned]
            if self._opcode & _CONTROL:
                self._control += unmasked
                if not self._left:
                    self._take_control()
            else:
                pieces.append(unmasked)
        # A frame that began in an earlier portion counts there, and what it carries here.
        self._empty_frames.spend(frames - len(pieces), now)
        return pieces

    def _begin(self, view: memoryview, at: int) -> int:
        """Reads a header as far as it is there; where what is behind it begins."""
        before = len(self._header)
        header = self._header + bytes(view[at : at + _MOST_HEADER_BYTES - before])
        size = _header_size(header)
        if len(header) >= 2:
            self._check(header[0], header[1])
        if len(header) < size:
            self._header = header
            return len(view)
        self._header = b""
        self._key = b"" if self._is_client else header[size - _KEY_BYTES :][:_KEY_BYTES]
        self._left = length = self._length(header)
        self._opcode = header[0] & _OPCODE
        if self._opcode & _CONTROL:
            self._control.clear()
            if not length:
                self._take_control()
        else:
            self._in_message = not header[0] & _FIN
        return at + size - before

    def _length(self, header: bytes) -> int:
        """How much payload a frame has; each length may be written in one way."""
        length = header[1] & _LENGTH
        if length <= MOST_CONTROL_BYTES:
            return length
        size, too_short = (2, MOST_CONTROL_BYTES) if length == _IN_TWO_BYTES else (8, _MOST_IN_TWO_BYTES)
        length = int.from_bytes(header[2 : 2 + size], "big")
        if length <= too_short:
            self._refuse(CloseCode.PROTOCOL_ERROR, "the length of a frame has more bytes than it needs")
        if length > _MOST_BYTES:
            self._refuse(CloseCode.PROTOCOL_ERROR, "a frame is longer than any frame may be")
        return length

    def _check(self, first: int, second: int) -> None:
        """Looks whether the rules allow a frame that begins so, at this place."""
        opcode = first & _OPCODE
        if first & _RESERVED:
            why = "a frame has a reserved bit, and no extension was agreed on"
        elif opcode not in _OPCODES:
            why = f"there is no frame with the opcode {opcode}"
        elif bool(second & _MASKED) is self._is_client:
            why = "a server masked a frame" if self._is_client else "a client sent a frame without a mask"
        elif opcode & _CONTROL:
            if first & _FIN and second & _LENGTH <= MOST_CONTROL_BYTES:
                return
            why = "a control frame is in fragments, or too long"
        elif self._in_message is not (opcode == Opcode.CONTINUATION):
            why = "a message goes on that has not begun, or begins while another one goes on"
        elif opcode == Opcode.TEXT:
            self._refuse(CloseCode.NO_TEXT, "a message is text, and this is a stream of bytes")
        else:
            return
        self._refuse(CloseCode.PROTOCOL_ERROR, why)

    def _take_control(self) -> None:
        payload = bytes(self._control)
        if self._opcode == Opcode.PING:
            if not self._close_sent:
                self._answers[Opcode.PONG] = payload
        elif self._opcode == Opcode.CLOSE:
            if payload:
                self._check_close(payload)
            self.close_received = True

    def _check_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not any(least <= code <= most for least, most in _ENDINGS):
            self._refuse(CloseCode.PROTOCOL_ERROR, f"it closes with the code {code}, which nobody may send")
        try:
            payload[2:].decode("utf-8")
        except UnicodeDecodeError:
            self._refuse(CloseCode.NOT_UTF8, "it says in no UTF-8 why it closes")

    def _refuse(self, code: CloseCode, why: str) -> NoReturn:
        """Has the peer told what it did wrong.

        :raises RemoteProtocolError: always.
        """
        self._answers = {} if self._close_sent else {Opcode.CLOSE: code.to_bytes(2, "big")}
        self._close_sent = self.close_received = True
        raise RemoteProtocolError(f"WebSocket: {why}", problem="broke-the-rules")


def _header_size(header: bytes) -> int:
    """How many bytes a header has that begins so; as far as can be told."""
    if len(header) < 2:
        return 2
    length = header[1] & _LENGTH
    extended = 0 if length <= MOST_CONTROL_BYTES else 2 if length == _IN_TWO_BYTES else 8
    return 2 + extended + (_KEY_BYTES if header[1] & _MASKED else 0)
