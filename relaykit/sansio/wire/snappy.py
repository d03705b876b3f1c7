"""Compression of legs: snappy in its framing format, as frp uses it.

A direction is the stream identifier, then chunks: type, length (24 bits, low byte first), and for
those that hold something a masked CRC-32C of what they hold, and that, as a block or as it is.
Source: google/snappy, framing_format.txt.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cramjam
from crc32c import crc32c

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer

__all__ = ["BrokenChunk", "Compressor", "Decompressor"]

_IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"
_MAX_CONTENT = 65536
"""Most bytes that a chunk may hold."""
_MAX_CHUNK = 76494
"""Most bytes after a chunk's header that frp takes: a checksum and a block that only grew."""
_CHECKSUM = struct.Struct("<I")
_HEADER_LENGTH = 4
_COMPRESSED, _UNCOMPRESSED, _FIRST_SKIPPABLE, _IDENTIFIES = 0x00, 0x01, 0x80, 0xFF


class BrokenChunk(RemoteProtocolError):
    """The peer's bytes are not a snappy stream."""


class Compressor:
    """The direction that this end writes.  Whatever goes in comes out at once.

    Content is left uncompressed where compression saves less than one eighth.
    """

    __slots__ = ("_identified",)

    def __init__(self) -> None:
        self._identified = False

    def process(self, data: Buffer) -> Sequence[bytes]:
        """The chunks of the next bytes, after the identifier the first time; nothing for nothing."""
        view = memoryview(data)
        pieces = []
        if view and not self._identified:
            self._identified = True
            pieces.append(_IDENTIFIER)
        for start in range(0, len(view), _MAX_CONTENT):
            content = bytes(view[start : start + _MAX_CONTENT])
            kind, body = _UNCOMPRESSED, content
            block = cramjam.snappy.compress_raw(content)
            if len(block) < len(content) - len(content) // 8:
                kind, body = _COMPRESSED, bytes(block)
            length = _CHECKSUM.size + len(body)
            pieces.append(_CHECKSUM.pack(kind | length << 8) + _checksum(content))
            pieces.append(body)
        return pieces


class Decompressor:
    """The direction that this end reads.  Holds less than one chunk, so less than 75 KiB.

    A chunk gives 64 KiB at most, which may have been as little as 3 KiB: a portion of n bytes gives
    up to 22 n.  An error is final.
    """

    __slots__ = ("_buffer", "_identified")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._identified = False

    def process(self, data: Buffer) -> Sequence[bytes]:
        """What the chunks that are now complete hold.

        :raises BrokenChunk: the stream does not begin with its identifier, a chunk is too long, of a
            type that must not be skipped, or does not hold what its checksum says.
        """
        buffer = self._buffer
        buffer += data
        pieces = []
        while len(buffer) >= _HEADER_LENGTH:
            kind = buffer[0]
            length = int.from_bytes(buffer[1:_HEADER_LENGTH], "little")
            self._check(kind, length)
            end = _HEADER_LENGTH + length
            if len(buffer) < end:
                break
            body = bytes(memoryview(buffer)[_HEADER_LENGTH:end])
            if kind == _IDENTIFIES:
                self._identify(body)
            elif kind <= _UNCOMPRESSED and (content := _content(kind, body)):
                pieces.append(content)
            del buffer[:end]
        return pieces

    def _check(self, kind: int, length: int) -> None:
        if not self._identified and kind != _IDENTIFIES:
            raise BrokenChunk("the stream does not begin with its identifier")
        if length > _MAX_CHUNK:
            raise BrokenChunk(f"a chunk announces {length} bytes, {_MAX_CHUNK} are allowed")
        if kind == _IDENTIFIES and length != len(_IDENTIFIER) - _HEADER_LENGTH:
            raise BrokenChunk("a stream identifier is wrong")
        if _UNCOMPRESSED < kind < _FIRST_SKIPPABLE:
            raise BrokenChunk(f"a chunk has the type {kind:#04x}, which must not be skipped")

    def _identify(self, body: bytes) -> None:
        if body != _IDENTIFIER[_HEADER_LENGTH:]:
            raise BrokenChunk("a stream identifier is wrong")
        self._identified = True


def _content(kind: int, body: bytes) -> bytes:
    checksum, content = body[: _CHECKSUM.size], body[_CHECKSUM.size :]
    if kind == _COMPRESSED:
        content = _uncompressed(content)
    if len(content) > _MAX_CONTENT:
        raise BrokenChunk(f"a chunk holds {len(content)} bytes, {_MAX_CONTENT} are allowed")
    if _checksum(content) != checksum:
        raise BrokenChunk("a chunk does not hold what its checksum says")
    return content


def _uncompressed(block: bytes) -> bytes:
    try:
        length = cramjam.snappy.decompress_raw_len(block)
        if length > _MAX_CONTENT:
            raise BrokenChunk(f"a block announces {length} bytes, {_MAX_CONTENT} are allowed")
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        raise BrokenChunk("a block is broken") from None


def _checksum(content: bytes) -> bytes:
    """The masked CRC-32C.  Source: framing_format.txt, section 3."""
    crc = crc32c(content)
    return _CHECKSUM.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
