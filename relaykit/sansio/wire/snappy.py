"""Compression of legs: snappy in its framing format, as frp uses it.

A direction is the stream identifier, then chunks: type, length (24 bits, low octet first) and a
checksum over what the chunk holds, compressed or not.  Source: google/snappy, framing_format.txt.
"""

from __future__ import annotations

from collections.abc import Sequence

import cramjam

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer

__all__ = ["BrokenChunk", "Compressor", "Decompressor"]

_IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"
_HEADER_LENGTH = 4
_MAX_CHUNK = 76494
"""Most octets after a chunk's header that frp takes: a checksum and 64 KiB that only grew."""
_COMPRESSED, _UNCOMPRESSED, _FIRST_SKIPPABLE, _IDENTIFIES = 0x00, 0x01, 0x80, 0xFF


class BrokenChunk(RemoteProtocolError):
    """The peer's octets are not a snappy stream."""


class Compressor:
    """The direction that this end writes.

    Whatever goes in comes out at once.  A chunk holds 64 KiB at most, and is left uncompressed where
    compression saves less than one eighth.
    """

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = cramjam.snappy.Compressor()

    def process(self, data: Buffer) -> Sequence[bytes]:
        """The chunks of the next octets, after the identifier the first time; nothing for nothing."""
        if not data:
            return ()
        self._stream.compress(bytes(data))
        return (bytes(self._stream.flush()),)


class Decompressor:
    """The direction that this end reads.  Holds less than one chunk, so less than 75 KiB.

    A chunk gives 64 KiB at most, which may have been as little as 3 KiB: a portion of n octets gives
    up to 22 n.
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
            if kind <= _UNCOMPRESSED:
                pieces.append(_content(buffer[:end]))
            elif kind == _IDENTIFIES and buffer[:end] != _IDENTIFIER:
                raise BrokenChunk("a stream identifier is wrong")
            self._identified = True
            del buffer[:end]
        return pieces

    def _check(self, kind: int, length: int) -> None:
        if not self._identified and kind != _IDENTIFIES:
            raise BrokenChunk("the stream does not begin with its identifier")
        if length > _MAX_CHUNK:
            raise BrokenChunk(f"a chunk announces {length} octets, {_MAX_CHUNK} are allowed")
        if kind == _IDENTIFIES and length != len(_IDENTIFIER) - _HEADER_LENGTH:
            raise BrokenChunk("a stream identifier is wrong")
        if _UNCOMPRESSED < kind < _FIRST_SKIPPABLE:
            raise BrokenChunk(f"a chunk has the type {kind:#04x}")


def _content(chunk: bytearray) -> bytes:
    """What one chunk holds.  One at a time: the library ends a stream at a chunk that holds nothing."""
    try:
        return bytes(cramjam.snappy.decompress(bytes(_IDENTIFIER + chunk)))
    except cramjam.DecompressionError as error:
        raise BrokenChunk(f"a chunk is broken: {error}") from None
