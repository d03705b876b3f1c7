"""The exporter of TLS 1.3, where a library tells its secrets and has none.

Source: RFC 8446 7.1 and 7.5, RFC 5869.
"""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["expand_label", "export"]


def expand_label(algorithm: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label, with a hash by its name in :mod:`hashlib`."""
    full = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
    block, made = b"", b""
    while len(made) < length:
        block = hmac.digest(secret, block + info + bytes([len(made) // _size(algorithm) + 1]), algorithm)
        made += block
    return made[:length]


def export(algorithm: str, exporter_secret: bytes, label: bytes, length: int) -> bytes:
    """What both ends of a TLS session get for a label, with an empty context.

    ``exporter_secret`` is the session's exporter_master_secret.
    """
    nothing = hashlib.new(algorithm).digest()
    secret = expand_label(algorithm, exporter_secret, label, nothing, _size(algorithm))
    return expand_label(algorithm, secret, b"exporter", nothing, length)


def _size(algorithm: str) -> int:
    return hashlib.new(algorithm).digest_size
