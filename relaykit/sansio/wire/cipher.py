"""frp's stream cipher: AES-128 in CFB mode, on control connections of version 1 and on work legs.

It hides bytes and does not authenticate them.  Each direction is one continuous stream that begins
with its initialization vector in clear, sent with the first bytes and not before.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms

from relaykit.sansio.contract import Buffer

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # cryptography before 47 has it among the other modes
    from cryptography.hazmat.primitives.ciphers.modes import CFB

__all__ = ["IV_LENGTH", "Decryptor", "Encryptor", "derive_key"]

IV_LENGTH = 16
"""Bytes of an initialization vector."""

_SALT = b"frp"
_ITERATIONS = 64
_KEY_LENGTH = 16
_MOST_KEYS = 1024
"""Derived keys that are kept: one a token or secret key in use, each saves 20 us a leg."""


@functools.lru_cache(_MOST_KEYS)
def derive_key(secret: bytes) -> bytes:
    """The key of a token or of a proxy's secret key (PBKDF2 with HMAC-SHA-1)."""
    return hashlib.pbkdf2_hmac("sha1", secret, _SALT, _ITERATIONS, _KEY_LENGTH)


class Encryptor:
    """The direction that this end writes.

    :param iv: 16 random bytes, never used before with this key.
    """

    __slots__ = ("_context", "_iv")

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._context = Cipher(algorithms.AES(key), CFB(iv)).encryptor()
        self._iv: bytes | None = iv

    def process(self, data: Buffer) -> Sequence[bytes]:
        """The ciphertext of the next bytes, after the vector the first time; nothing for nothing."""
        if not data:
            return ()
        ciphertext = self._context.update(data)
        if self._iv is None:
            return (ciphertext,)
        iv, self._iv = self._iv, None
        return (iv, ciphertext)


class Decryptor:
    """The direction that this end reads."""

    __slots__ = ("_context", "_iv", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._iv = b""
        self._context: CipherContext | None = None

    def process(self, data: Buffer) -> Sequence[bytes]:
        """The plaintext of the next bytes; nothing while the vector is incomplete."""
        if self._context is None:
            missing = IV_LENGTH - len(self._iv)
            self._iv += bytes(data[:missing])
            if len(self._iv) < IV_LENGTH:
                return ()
            self._context = Cipher(algorithms.AES(self._key), CFB(self._iv)).decryptor()
            data = data[missing:]
        return (self._context.update(data),) if data else ()
