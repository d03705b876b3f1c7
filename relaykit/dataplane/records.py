"""The inner loops of TLS: payload and records in and out of a pyOpenSSL connection that has memory buffers.

pyOpenSSL copies each piece once more than it needs to, into memory of its own, and tells by an exception
that there is nothing left; it has no call that takes records into a buffer of the caller.  Half of what TLS
costs here goes into that, and into what it looks at in each call, so its private calls to the library beneath
it are made: in the releases that this was tried with, and only if a session by them carries what it should
when this module is imported.  Else its public calls do the same at their price.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import OpenSSL
from OpenSSL import SSL

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer

__all__ = [
    "BUFFERS",
    "BUFFER_BYTES",
    "PROVEN_RELEASES",
    "RECORD_BYTES",
    "BufferPool",
    "RecordBuffer",
    "is_proven",
    "put_input",
    "read_payload",
    "take_output",
    "write_payload",
]

RECORD_BYTES: Final = 16 * 1024
"""Most payload of a record.  Source: RFC 8446 section 5.1."""

PROVEN_RELEASES: Final = frozenset({"25", "26"})
"""The major releases of pyOpenSSL whose private calls do what is expected here."""

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


def _write_directly(connection: Any, payload: Buffer) -> None:
    session = connection._ssl
    lent = payload if type(payload) is bytes else _memory.from_buffer(payload)
    count = _library.SSL_write(session, lent, len(payload))
    if count <= 0:
        connection._raise_ssl_error(session, count)


def _write_publicly(connection: SSL.Connection, payload: Buffer) -> None:
    connection.sendall(payload)


def _put_directly(connection: Any, records: Buffer) -> None:
    count = _library.BIO_write(connection._into_ssl, _memory.from_buffer(records), len(records))
    if count <= 0:
        connection._handle_bio_errors(connection._into_ssl, count)


def _put_publicly(connection: SSL.Connection, records: Buffer) -> None:
    connection.bio_write(records)


def _move(end: SSL.Connection, other: SSL.Connection, buffer: RecordBuffer) -> None:
    """Takes the output of one end of a session to the other, by the private calls."""
    _take_directly(end, buffer)
    if buffer.filled:
        _put_directly(other, buffer.view[: buffer.filled])


def _carries() -> bool:
    """Whether a session by the private calls carries a text, says that there is no more, and tells its end.

    It goes without certificates, which would take long to make.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"AECDH-AES128-SHA:@SECLEVEL=0")
    near, far = SSL.Connection(context, None), SSL.Connection(context, None)
    near.set_connect_state()
    far.set_accept_state()
    buffer, text = RecordBuffer(), b"carried"
    for end, other in ((near, far), (far, near)) * 2:
        with contextlib.suppress(SSL.WantReadError):
            end.do_handshake()
        _move(end, other, buffer)
    _write_directly(near, memoryview(text)[:3])
    _write_directly(near, text[3:])
    _move(near, far, buffer)
    more = _read_directly(far, buffer)
    if more or bytes(buffer.view[: buffer.filled]) != text:
        return False
    near.shutdown()
    _move(near, far, buffer)
    try:
        _read_directly(far, buffer)
    except SSL.ZeroReturnError:
        return buffer.filled == 0
    return False


def is_proven(release: str = OpenSSL.__version__) -> bool:
    """Whether the private calls of this release may be made."""
    if release.partition(".")[0] not in PROVEN_RELEASES:
        return False
    try:
        return _carries()
    except Exception:
        # Whatever is not where it was expected to be: the public calls are the answer.
        return False


_IS_PROVEN = is_proven()

read_payload = _read_directly if _IS_PROVEN else _read_publicly
"""``(connection, buffer)``: fills the memory with payload; whether there may be more.

Raises what ``SSL.Connection.recv`` raises but ``WantReadError``; what was read before is there then, too.
"""

take_output = _take_directly if _IS_PROVEN else _take_publicly
"""``(connection, buffer)``: fills the memory with what must go to the peer; whether there may be more."""

write_payload = _write_directly if _IS_PROVEN else _write_publicly
"""``(connection, payload)``: makes records of all of the payload, which is not empty.

The connection's context must not allow partial writes, as pyOpenSSL's do by default.  Raises what
``SSL.Connection.sendall`` raises.
"""

put_input = _put_directly if _IS_PROVEN else _put_publicly
"""``(connection, records)``: hands over what the peer sent, which is not empty."""
