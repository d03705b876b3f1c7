"""Messages in frames: two versions of the wire, one way to use them.

A decoder takes bytes in any portions and gives messages one by one; what follows the last message
taken stays in it as :meth:`Decoder.unread`, because ciphertext or payload may share its chunk.

Version 1: a type byte, the length of the body as a signed 64-bit integer, the body.  Version 2
begins with :data:`MAGIC`, from the client only; then frames of type, flags, length and payload, where
a message's payload is its number and its body, and a hello's payload is the hello.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

from attrs import field, frozen

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.wire.messages import CORE_MESSAGES, FREE_NUMBERS, Message, MessageTable

__all__ = [
    "MAGIC",
    "MAX_BODY",
    "MAX_PAYLOAD",
    "V1",
    "V2",
    "Decoder",
    "FrameTooLong",
    "Framing",
    "HelloFrame",
    "MalformedFrame",
    "MessageTooLong",
    "UnknownMessage",
    "V1Decoder",
    "V2Decoder",
    "encode_hello",
    "encode_v1",
    "encode_v2",
]

MAGIC = b"FRP\x00\x02\r\n"
"""What a client sends first on each connection of version 2."""
MAX_BODY = 10240
"""Most bytes of a body in version 1; frp closes a connection that brings more."""
MAX_PAYLOAD = 65536
"""Most bytes of a payload in version 2; frp closes a connection that brings more."""

_V1_HEADER = struct.Struct(">Bq")
_V2_HEADER = struct.Struct(">HHI")
_NUMBER = struct.Struct(">H")
_MESSAGE_HEADER = struct.Struct(">HHIH")
_CLIENT_HELLO, _SERVER_HELLO, _MESSAGE = 1, 2, 16
_HELLOS: dict[int, Literal["client", "server"]] = {_CLIENT_HELLO: "client", _SERVER_HELLO: "server"}
_HELLO_TYPES = {sender: kind for kind, sender in _HELLOS.items()}


class FrameTooLong(RemoteProtocolError):
    """The peer announced more bytes than a frame may have."""


class MalformedFrame(RemoteProtocolError):
    """What surrounds a message breaks the rules."""


class UnknownMessage(RemoteProtocolError):
    """The peer sent a message of a type that is in no table."""


class MessageTooLong(LocalProtocolError):
    """A message does not fit into a frame: the peer would close the connection."""


@frozen
class HelloFrame:
    """A hello of version 2 as it travelled; ``payload`` enters the transcript byte by byte."""

    sender: Literal["client", "server"]
    payload: bytes = field(repr=False)


Received: TypeAlias = Message | HelloFrame


class Decoder(ABC):
    """Frames to messages.  Take messages after each portion until there is none.

    Then it holds less than one frame, or what :meth:`unread` gives.  After an error it stays where
    it was and raises the same error again.
    """

    __slots__ = ("_buffer", "messages")

    def __init__(self, messages: MessageTable = CORE_MESSAGES) -> None:
        self.messages = messages
        """What is understood; may be replaced between two messages."""
        self._buffer = bytearray()

    def receive(self, data: Buffer) -> None:
        """Takes in bytes of the peer; they are copied."""
        self._buffer += data

    @abstractmethod
    def receive_bodies(self, kind: type[Message], data: Buffer) -> list[bytes]:
        """Takes in bytes of the peer, and takes the bodies of all messages of a kind that come next in a row.

        For bulk: they are not looked at.  :meth:`next_message` goes on with whatever follows them.
        """

    @abstractmethod
    def next_message(self) -> Received | None:
        """The next message or hello; None for "need more".

        :raises FrameTooLong: the frame is longer than allowed; known from its header.
        :raises MalformedFrame: the frame breaks the rules.
        :raises MalformedMessage: the body does.
        :raises UnknownMessage: its type is in no table.
        """

    def unread(self) -> bytes:
        """Takes everything after the last message; the decoder is empty then."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _joined(self, data: Buffer) -> bytes:
        """What is held, and what came now behind it."""
        return bytes(self._buffer + data) if self._buffer else bytes(data)


class V1Decoder(Decoder):
    """Version 1.  A ``null`` in place of a body is no message: skipped, as frp does.

    :param null_first: whether the first body may be ``null``; frp closes a connection whose opening
        message is one.
    """

    __slots__ = ("_null_allowed",)

    def __init__(self, messages: MessageTable = CORE_MESSAGES, *, null_first: bool = False) -> None:
        super().__init__(messages)
        self._null_allowed = null_first

    def receive_bodies(self, kind: type[Message], data: Buffer) -> list[bytes]:
        content, unpack, expected = self._joined(data), _V1_HEADER.unpack_from, kind.type_byte
        bodies: list[bytes] = []
        at, body, available = 0, _V1_HEADER.size, len(content)
        while body <= available:
            type_byte, length = unpack(content, at)
            end = body + length
            if type_byte != expected or not 0 <= length <= MAX_BODY or end > available:
                break
            bodies.append(content[body:end])
            at, body = end, end + _V1_HEADER.size
        self._buffer = bytearray(content[at:])
        self._null_allowed = self._null_allowed or bool(bodies)
        return bodies

    def next_message(self) -> Message | None:
        buffer = self._buffer
        while buffer:
            kind = buffer[0]
            if kind not in self.messages.by_type_byte:
                raise UnknownMessage(f"no message has the type byte {kind:#04x}")
            if len(buffer) < _V1_HEADER.size:
                return None
            _, length = _V1_HEADER.unpack_from(buffer)
            if not 0 <= length <= MAX_BODY:
                raise FrameTooLong(f"a message announces {length} bytes, {MAX_BODY} are allowed")
            end = _V1_HEADER.size + length
            if len(buffer) < end:
                return None
            message_type = self.messages.by_type_byte[kind]
            message = None
            if message_type is not None:
                message = message_type.from_json(buffer[_V1_HEADER.size : end])
                if message is None and not self._null_allowed:
                    raise MalformedFrame("the first message is null")
            del buffer[:end]
            self._null_allowed = True
            if message is not None:
                return message
        return None


class V2Decoder(Decoder):
    """Version 2, after the magic.  A ``null`` in place of a body is an empty message, as for frp."""

    __slots__ = ()

    def receive_bodies(self, kind: type[Message], data: Buffer) -> list[bytes]:
        content, unpack, expected = self._joined(data), _MESSAGE_HEADER.unpack_from, kind.number
        bodies: list[bytes] = []
        at, body, available = 0, _MESSAGE_HEADER.size, len(content)
        while body <= available:
            frame_type, flags, length, number = unpack(content, at)
            end = body - _NUMBER.size + length
            if number != expected or frame_type != _MESSAGE or flags:
                break
            if not _NUMBER.size <= length <= MAX_PAYLOAD or end > available:
                break
            bodies.append(content[body:end])
            at, body = end, end + _MESSAGE_HEADER.size
        self._buffer = bytearray(content[at:])
        return bodies

    def next_message(self) -> Received | None:
        buffer = self._buffer
        while len(buffer) >= _V2_HEADER.size:
            kind, flags, length = _V2_HEADER.unpack_from(buffer)
            if flags:
                raise MalformedFrame(f"a frame has the flags {flags:#06x}, none are defined")
            if length > MAX_PAYLOAD:
                raise FrameTooLong(f"a frame announces {length} bytes, {MAX_PAYLOAD} are allowed")
            if kind != _MESSAGE and kind not in _HELLOS:
                raise MalformedFrame(f"no frame has the type {kind}")
            end = _V2_HEADER.size + length
            if len(buffer) < end:
                return None
            received: Received | None
            if kind == _MESSAGE:
                received = self._decode(buffer[_V2_HEADER.size : end])
            else:
                received = HelloFrame(_HELLOS[kind], bytes(buffer[_V2_HEADER.size : end]))
            del buffer[:end]
            if received is not None:
                return received
        return None

    def _decode(self, payload: bytearray) -> Message | None:
        if len(payload) < _NUMBER.size:
            raise MalformedFrame("a message has no number")
        (number,) = _NUMBER.unpack_from(payload)
        if number not in self.messages.by_number:
            if self.messages.skips_free and number in FREE_NUMBERS:
                return None
            raise UnknownMessage(f"no message has the number {number}")
        message_type = self.messages.by_number[number]
        if message_type is None:
            return None
        return message_type.from_json(memoryview(payload)[_NUMBER.size :]) or message_type()


def encode_v1(message: Message) -> bytes:
    """A frame of version 1.

    :raises MessageTooLong: the body is longer than a peer accepts.
    :raises LocalProtocolError: version 1 does not have this message.
    """
    return _frame_v1(type(message), message.to_json())


def encode_v2(message: Message) -> bytes:
    """A frame of version 2.

    :raises MessageTooLong: the payload is longer than a peer accepts.
    """
    return _frame_v2(type(message), message.to_json())


def encode_hello(hello: HelloFrame) -> bytes:
    """A hello's frame of version 2.

    :raises MessageTooLong: the payload is longer than a peer accepts.
    """
    length = len(hello.payload)
    if length > MAX_PAYLOAD:
        raise MessageTooLong(f"a hello has {length} bytes, {MAX_PAYLOAD} are allowed")
    return _V2_HEADER.pack(_HELLO_TYPES[hello.sender], 0, length) + hello.payload


def _frame_v1(kind: type[Message], body: bytes) -> bytes:
    if kind.type_byte is None:
        raise LocalProtocolError(f"version 1 has no {kind.__name__}")
    length = len(body)
    if length > MAX_BODY:
        raise MessageTooLong(f"{kind.__name__} has {length} bytes, {MAX_BODY} are allowed")
    return _V1_HEADER.pack(kind.type_byte, length) + body


def _frame_v2(kind: type[Message], body: bytes) -> bytes:
    length = _NUMBER.size + len(body)
    if length > MAX_PAYLOAD:
        raise MessageTooLong(f"{kind.__name__} has {length} bytes, {MAX_PAYLOAD} are allowed")
    return _MESSAGE_HEADER.pack(_MESSAGE, 0, length, kind.number) + body


@frozen
class Framing:
    """One version of the wire, for those who speak whichever was chosen."""

    version: int
    encode: Callable[[Message], bytes]
    frame: Callable[[type[Message], bytes], bytes]
    """The frame of a message whose body is there already; raises what ``encode`` raises."""
    make_decoder: Callable[[MessageTable], Decoder]


V1 = Framing(1, encode_v1, _frame_v1, lambda messages: V1Decoder(messages, null_first=True))
"""Version 1; its decoders read what follows an opening."""
V2 = Framing(2, encode_v2, _frame_v2, V2Decoder)
"""Version 2."""
