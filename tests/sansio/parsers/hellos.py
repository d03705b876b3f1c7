"""ClientHellos, made to measure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["client_hello", "extension", "records", "server_name"]


def _vector(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width) + data


def extension(kind: int, content: bytes) -> bytes:
    """An extension.  Source: RFC 8446 section 4.2."""
    return kind.to_bytes(2) + _vector(2, content)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    """The content of the extension that names servers.  Source: RFC 6066 section 3."""
    return _vector(2, b"".join(bytes([kind]) + _vector(2, name) for name in names))


def client_hello(name: bytes = b"", *extensions: bytes, size: int = 0, trailing: bytes = b"") -> bytes:
    """The handshake message, with a server name if one is given, padded to about ``size`` bytes.

    Values that mean nothing are in it where clients put them (GREASE, RFC 8701).
    """
    own = [extension(0x0A0A, b""), *([extension(0, server_name(name))] if name else []), *extensions]
    content = b"".join(own)
    if size > len(content) + 50:
        content += extension(21, bytes(size - len(content) - 50))
    body = (
        b"\x03\x03"
        + bytes(range(32))
        + _vector(1, b"session")
        + _vector(2, b"\x1a\x1a\x13\x01\xc0\x2f")
        + _vector(1, b"\0")
        + _vector(2, content)
        + trailing
    )
    return b"\x01" + _vector(3, body)


def records(message: bytes, cuts: Sequence[int] = ()) -> bytes:
    """A handshake message in TLS records, cut at these places."""
    edges = [0, *cuts, len(message)]
    return b"".join(
        b"\x16\x03\x01" + _vector(2, message[begin:end]) for begin, end in itertools.pairwise(edges)
    )
