"""Bodies of messages, passed on as they come: validated, framed for the other end, never kept.

Each reader takes whatever of a piece belongs to its body and names what goes on: slices of the piece as far
as possible, valid as long as it is.  Source: RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Final, Protocol

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.grammar import Lines, Malformed, fault_of_line, key_of, valid_lines

__all__ = ["MOST_TRAILER_BYTES", "BodyReader", "ChunkedBody", "LengthBody", "UntilEndBody"]

MOST_CHUNK_LINE_BYTES: Final = 1024
"""Most bytes of the line before a chunk: its size, and extensions that nobody uses."""

MOST_TRAILER_BYTES: Final = 8 * 1024
"""Most bytes of the fields behind a body: they are signatures and states, of some hundred bytes."""

_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15}+)\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]*+;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
_LINE_END = re.compile(rb"\n")
_LAST_CHUNK = b"0\r\n"


class BodyReader(Protocol):
    """One body on its way."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing more belongs to it."""

    def read(self, data: Buffer, into: list[Buffer]) -> int:
        """Takes the bytes of the body at the beginning of ``data``; answers how many those are.

        :raises Malformed: it is no body; what was put ``into`` the list may go on, and nothing after it.
        """

    def end(self, into: list[Buffer]) -> bool:
        """The sender has ended its stream: whether that completes the body."""


class LengthBody:
    """A body of so many bytes."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def is_complete(self) -> bool:
        return not self._left

    def read(self, data: Buffer, into: list[Buffer]) -> int:
        size = len(data)
        if size > self._left:
            size = self._left
            data = memoryview(data)[:size]
        if size:
            into.append(data)
            self._left -= size
        return size

    def end(self, into: list[Buffer]) -> bool:
        return not self._left


class UntilEndBody:
    """A body that ends with its sender's stream; ``chunked`` for a receiver who would not see that end."""

    __slots__ = ("_chunked", "is_complete")

    def __init__(self, chunked: bool) -> None:
        self._chunked = chunked
        self.is_complete = False

    def read(self, data: Buffer, into: list[Buffer]) -> int:
        size = len(data)
        if not size or not self._chunked:
            into.append(data)
        else:
            into += (b"%x\r\n" % size, data, b"\r\n")
        return size

    def end(self, into: list[Buffer]) -> bool:
        self.is_complete = True
        if self._chunked:
            into.append(b"0\r\n\r\n")
        return True


class _Awaited(enum.Enum):
    SIZE = "the size of the first chunk, or of one whose line was cut"
    BREAK = "the line break behind a chunk, and the size of the next one"
    TRAILER = "a field behind the last chunk, or the end"
    NOTHING = "nothing: all is read"


class ChunkedBody:
    """A chunked body: its chunks go on as they are, without extensions; with its trailers.

    ``framed`` tells whether the receiver knows chunks; else only what is in them goes on.  ``drops`` tells
    of a trailer, by the key of its name, whether it must not go on.
    """

    __slots__ = ("_awaited", "_drops", "_framed", "_left", "_line", "_trailers", "_trailers_size")

    def __init__(self, framed: bool, drops: Callable[[bytes], bool]) -> None:
        self._framed = framed
        self._drops = drops
        self._awaited = _Awaited.SIZE
        self._left = 0
        self._line = b""
        self._trailers: list[bytes] = []
        self._trailers_size = 0

    @property
    def is_complete(self) -> bool:
        return self._awaited is _Awaited.NOTHING

    @property
    def trailers(self) -> Lines:
        """The fields behind the body that go on, each with its CR LF; all are there once it is complete."""
        return self._trailers

    def end(self, into: list[Buffer]) -> bool:
        return self._awaited is _Awaited.NOTHING

    def read(self, data: Buffer, into: list[Buffer]) -> int:
        view = memoryview(data)
        size = len(view)
        passed = at = 0
        while at < size and self._awaited is not _Awaited.NOTHING:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                if self._left or at == size:
                    break
            if not self._line and self._awaited is _Awaited.BREAK:
                chunk = _CHUNK.match(view, at)
                length = int(chunk[1], 16) if chunk is not None else 0
                if chunk is not None and length:
                    if not self._framed:
                        _pass(view[passed:at], into)
                        passed = chunk.end()
                    at = chunk.end()
                    self._left = length
                    continue
            _pass(view[passed:at], into)
            passed = at = self._read_line(view, at, into)
        _pass(view[passed:at], into)
        return at

    def _read_line(self, view: memoryview, start: int, into: list[Buffer]) -> int:
        """Reads on in the present line, which may have begun in an earlier piece; where it stops."""
        found = _LINE_END.search(view, start, start + MOST_CHUNK_LINE_BYTES + MOST_TRAILER_BYTES)
        end = len(view) if found is None else found.end()
        line = self._line + bytes(view[start:end])
        self._check_size(line)
        if found is None:
            self._line = line
            return end
        self._line = b""
        if self._awaited is _Awaited.TRAILER:
            self._read_trailer(line, into)
        elif self._awaited is _Awaited.BREAK:
            self._awaited = _Awaited.SIZE
            if self._framed:
                into.append(line)
        else:
            self._read_size(line, into)
        return end

    def _check_size(self, line: bytes) -> None:
        """Refuses what cannot become a line, or is too long for one, before its end is there."""
        if self._awaited is _Awaited.BREAK:
            if not b"\r\n".startswith(line):
                raise Malformed("a chunk does not end where its size says")
        elif self._awaited is _Awaited.SIZE:
            if len(line) > MOST_CHUNK_LINE_BYTES:
                raise Malformed(f"the line before a chunk has more than {MOST_CHUNK_LINE_BYTES} bytes")
        elif self._trailers_size + len(line) > MOST_TRAILER_BYTES:
            raise Malformed(f"there are more than {MOST_TRAILER_BYTES} bytes of trailers")

    def _read_size(self, line: bytes, into: list[Buffer]) -> None:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise Malformed("the size of a chunk is invalid")
        self._left = int(found[1], 16)
        if self._left:
            self._awaited = _Awaited.BREAK
            if self._framed:
                into.append(found[1] + b"\r\n")
        else:
            self._awaited = _Awaited.TRAILER

    def _read_trailer(self, line: bytes, into: list[Buffer]) -> None:
        if line == b"\r\n":
            self._awaited = _Awaited.NOTHING
            if self._framed:
                into.append(b"".join((_LAST_CHUNK, *self._trailers, line)))
            return
        if valid_lines(line) != len(line):
            raise Malformed(fault_of_line(line))
        self._trailers_size += len(line)
        if not self._drops(key_of(line.partition(b":")[0])):
            self._trailers.append(line)


def _pass(piece: memoryview, into: list[Buffer]) -> None:
    if piece:
        into.append(piece)
