"""The inner loops of TLS: records in and out of a pyOpenSSL connection that has memory buffers.

pyOpenSSL copies each piece once more than it needs to, into memory of its own, and tells by an exception
that there is nothing left.  Half of what TLS costs here goes into that, so the calls that are made for each
record go to the same library beneath it.  Where a release of pyOpenSSL does not have it in the expected
place, its public calls do the same at their price.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL

__all__ = [
    "BUFFERS",
    "BUFFER_BYTES",
    "RECORD_BYTES",
    "BufferPool",
    "RecordBuffer",
    "read_payload",
    "take_output",
]

RECORD_BYTES: Final = 16 * 1024
"""Most payload of a record.  Source: RFC 8446 section 5.1."""

BUFFER_BYTES: Final = 18 * (RECORD_BYTES + 64)
"""Full records with their headers and tags: what was read of a socket at once, and what was left before."""

_library: Any = getattr(SSL, "_lib", None)
_memory: Any = getattr(SSL, "_ffi", None)


class RecordBuffer:
    """Memory that records are taken to; ``filled`` says how much of it is payload or output."""

    __slots__ = ("address", "filled", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(BUFFER_BYTES))
        self.address: Any = None if _memory is None else _memory.from_buffer(self.view)
        self.filled = 0


class BufferPool:
    """Buffers that are used again: as many as uses were ever nested, in practice one or two."""

    def __init__(self) -> None:
        self._unused: list[RecordBuffer] = []

    def acquire(self) -> RecordBuffer:
        """A buffer that nobody uses."""
        return self._unused.pop() if self._unused else RecordBuffer()

    def release(self, buffer: RecordBuffer) -> None:
        """Lets others use it."""
        self._unused.append(buffer)


BUFFERS: Final = BufferPool()
"""What all TLS sessions of the process use in turn."""


def _read_directly(connection: Any, buffer: RecordBuffer) -> bool:
    session, at = connection._ssl, buffer.address
    filled = 0
    while filled <= BUFFER_BYTES - RECORD_BYTES:
        count = _library.SSL_read(session, at + filled, RECORD_BYTES)
        if count <= 0:
            buffer.filled = filled
            if _library.SSL_get_error(session, count) != _library.SSL_ERROR_WANT_READ:
                connection._raise_ssl_error(session, count)
            return False
        filled += count
    buffer.filled = filled
    return True


def _read_publicly(connection: SSL.Connection, buffer: RecordBuffer) -> bool:
    buffer.filled = 0
    try:
        while buffer.filled <= BUFFER_BYTES - RECORD_BYTES:
            buffer.filled += connection.recv_into(buffer.view[buffer.filled :], RECORD_BYTES)
    except SSL.WantReadError:
        return False
    return True


def _take_directly(connection: Any, buffer: RecordBuffer) -> bool:
    buffer.filled = max(0, _library.BIO_read(connection._from_ssl, buffer.address, BUFFER_BYTES))
    return buffer.filled == BUFFER_BYTES


def _take_publicly(connection: SSL.Connection, buffer: RecordBuffer) -> bool:
    try:
        piece = connection.bio_read(BUFFER_BYTES)
    except SSL.WantReadError:
        piece = b""
    buffer.filled = len(piece)
    buffer.view[: len(piece)] = piece
    return buffer.filled == BUFFER_BYTES


def _is_reached() -> bool:
    """Whether this release of pyOpenSSL has everything where it is expected."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    return (
        all(hasattr(connection, name) for name in ("_from_ssl", "_raise_ssl_error", "_ssl"))
        and all(hasattr(_library, name) for name in ("BIO_read", "SSL_get_error", "SSL_ERROR_WANT_READ"))
        and hasattr(_library, "SSL_read")
        and hasattr(_memory, "from_buffer")
    )


_IS_REACHED = _is_reached()

read_payload = _read_directly if _IS_REACHED else _read_publicly
"""``(connection, buffer)``: fills the memory with payload; whether there may be more.

Raises what ``SSL.Connection.recv`` raises but ``WantReadError``; what was read before is there then, too.
"""

take_output = _take_directly if _IS_REACHED else _take_publicly
"""``(connection, buffer)``: fills the memory with what must go to the peer; whether there may be more."""
