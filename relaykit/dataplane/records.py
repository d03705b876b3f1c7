"""The inner loops of TLS: records in and out of a pyOpenSSL connection that has memory buffers.

pyOpenSSL copies each piece once more than it needs to, into memory of its own, and tells by an exception
that there is nothing left.  Half of what TLS costs here goes into that, so the calls that are made for each
record go to the same library beneath it.  Where a release of pyOpenSSL does not have it in the expected
place, its public calls do the same at their price.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL

__all__ = ["RECORD_BYTES", "SCRATCH_BYTES", "Scratch", "borrow", "give_back", "read_payload", "take_output"]

RECORD_BYTES: Final = 16 * 1024
"""Most payload of a record.  Source: RFC 8446 section 5.1."""

SCRATCH_BYTES: Final = 18 * (RECORD_BYTES + 64)
"""Full records with their headers and tags: what was read of a socket at once, and what was left before."""

_library: Any = getattr(SSL, "_lib", None)
_memory: Any = getattr(SSL, "_ffi", None)


class Scratch:
    """Memory that records are taken to; ``filled`` says how much of it is payload or output."""

    __slots__ = ("address", "filled", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(SCRATCH_BYTES))
        self.address: Any = None if _memory is None else _memory.from_buffer(self.view)
        self.filled = 0


_unused: list[Scratch] = []


def borrow() -> Scratch:
    """Memory that nobody uses: there is as much of it as uses were ever nested, in practice one or two."""
    return _unused.pop() if _unused else Scratch()


def give_back(scratch: Scratch) -> None:
    """Lets others use it."""
    _unused.append(scratch)


def _read_directly(connection: Any, scratch: Scratch) -> bool:
    session, at = connection._ssl, scratch.address
    filled = 0
    while filled <= SCRATCH_BYTES - RECORD_BYTES:
        count = _library.SSL_read(session, at + filled, RECORD_BYTES)
        if count <= 0:
            scratch.filled = filled
            if _library.SSL_get_error(session, count) != _library.SSL_ERROR_WANT_READ:
                connection._raise_ssl_error(session, count)
            return False
        filled += count
    scratch.filled = filled
    return True


def _read_publicly(connection: SSL.Connection, scratch: Scratch) -> bool:
    scratch.filled = 0
    try:
        while scratch.filled <= SCRATCH_BYTES - RECORD_BYTES:
            scratch.filled += connection.recv_into(scratch.view[scratch.filled :], RECORD_BYTES)
    except SSL.WantReadError:
        return False
    return True


def _take_directly(connection: Any, scratch: Scratch) -> bool:
    scratch.filled = max(0, _library.BIO_read(connection._from_ssl, scratch.address, SCRATCH_BYTES))
    return scratch.filled == SCRATCH_BYTES


def _take_publicly(connection: SSL.Connection, scratch: Scratch) -> bool:
    try:
        piece = connection.bio_read(SCRATCH_BYTES)
    except SSL.WantReadError:
        piece = b""
    scratch.filled = len(piece)
    scratch.view[: len(piece)] = piece
    return scratch.filled == SCRATCH_BYTES


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
"""``(connection, scratch)``: fills the memory with payload; whether there may be more.

Raises what ``SSL.Connection.recv`` raises but ``WantReadError``; what was read before is there then, too.
"""

take_output = _take_directly if _IS_REACHED else _take_publicly
"""``(connection, scratch)``: fills the memory with what must go to the peer; whether there may be more."""
