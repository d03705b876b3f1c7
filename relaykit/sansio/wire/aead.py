"""The records that carry a control connection of version 2: sealed, numbered, in order.

A direction is its nonce in clear, once, before the first record; then records of a length (32 bits)
and a ciphertext with its tag.  Record i uses nonce + i and covers the nonce and its own length.  Where
records begin and end means nothing: the plaintext is a stream.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.sansio.contract import Buffer

__all__ = ["KEY_LENGTH", "MAX_RECORD", "Algorithm", "BrokenRecord", "Opener", "Sealer"]

KEY_LENGTH = 32
"""Bytes of a key, whatever the algorithm."""
MAX_RECORD = 65536
"""Most bytes of plaintext in a record."""

_TAG_LENGTH = 16
_LENGTH = struct.Struct(">I")
_MOST_GCM_RECORDS = 2**32
"""Records under one key of AES-GCM, after which it must not be used any more."""
_HCHACHA_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_HCHACHA_PREFIX = 16
_MASK = 0xFFFFFFFF


class Algorithm(enum.Enum):
    """What seals records, by its name on the wire."""

    AES_256_GCM = "aes-256-gcm"
    XCHACHA20_POLY1305 = "xchacha20-poly1305"

    @property
    def nonce_length(self) -> int:
        """Bytes of a nonce."""
        return _NONCE_LENGTHS[self]


class BrokenRecord(RemoteProtocolError):
    """A record has an illegal length or does not authenticate."""


class Sealer:
    """The direction that this end writes.

    :param nonce: as many random bytes as the algorithm asks for, never used before with this key.
    """

    __slots__ = ("_cipher", "_nonces", "_prefix")

    def __init__(self, algorithm: Algorithm, key: bytes, nonce: bytes) -> None:
        self._cipher = _CIPHERS[algorithm](key)
        self._nonces = _Nonces(algorithm, nonce)
        self._prefix = nonce

    def process(self, data: Buffer) -> Sequence[bytes]:
        """The records of the next bytes, after the nonce the first time; nothing for nothing.

        :raises LocalProtocolError: the key has sealed as many records as it may.
        """
        view = memoryview(data)
        pieces = []
        for start in range(0, len(view), MAX_RECORD):
            plaintext = view[start : start + MAX_RECORD]
            length = _LENGTH.pack(len(plaintext) + _TAG_LENGTH)
            try:
                nonce = self._nonces.take()
            except OverflowError:
                raise LocalProtocolError("the key has sealed as many records as it may") from None
            sealed = self._cipher.encrypt(nonce, plaintext, self._nonces.first + length)
            pieces.append(self._prefix + length + sealed)
            self._prefix = b""
        return pieces


class Opener:
    """The direction that this end reads.  Holds less than one record.  An error is final."""

    __slots__ = ("_algorithm", "_buffer", "_cipher", "_nonces")

    def __init__(self, algorithm: Algorithm, key: bytes) -> None:
        self._algorithm = algorithm
        self._cipher = _CIPHERS[algorithm](key)
        self._nonces: _Nonces | None = None
        self._buffer = bytearray()

    def process(self, data: Buffer) -> Sequence[bytes]:
        """What the records that are now complete hold.

        :raises BrokenRecord: a record has an illegal length, does not authenticate, or is one more
            than its key may seal.
        """
        buffer = self._buffer
        buffer += data
        if self._nonces is None:
            if len(buffer) < self._algorithm.nonce_length:
                return ()
            self._nonces = _Nonces(self._algorithm, bytes(buffer[: self._algorithm.nonce_length]))
            del buffer[: self._algorithm.nonce_length]
        pieces = []
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if not _TAG_LENGTH <= length <= MAX_RECORD + _TAG_LENGTH:
                raise BrokenRecord(f"a record announces {length} bytes")
            end = _LENGTH.size + length
            if len(buffer) < end:
                break
            plaintext = self._open(
                self._nonces, bytes(buffer[: _LENGTH.size]), bytes(buffer[_LENGTH.size : end])
            )
            del buffer[:end]
            if plaintext:
                pieces.append(plaintext)
        return pieces

    def _open(self, nonces: _Nonces, length: bytes, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(nonces.take(), sealed, nonces.first + length)
        except InvalidTag:
            raise BrokenRecord("a record does not authenticate") from None
        except OverflowError:
            raise BrokenRecord("the key has sealed as many records as it may") from None


class _Nonces:
    """The nonces of one direction, in order.  They never come round again."""

    __slots__ = ("_last", "_next", "first")

    def __init__(self, algorithm: Algorithm, first: bytes) -> None:
        self.first = first
        self._next = int.from_bytes(first, "big")
        self._last = 2 ** (8 * len(first)) - 1
        if algorithm is Algorithm.AES_256_GCM:
            self._last = min(self._last, self._next + _MOST_GCM_RECORDS - 1)

    def take(self) -> bytes:
        """The next nonce.

        :raises OverflowError: there is none left.
        """
        if self._next > self._last:
            raise OverflowError
        nonce = self._next.to_bytes(len(self.first), "big")
        self._next += 1
        return nonce


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes) -> bytes: ...

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes) -> bytes: ...


class _XChaCha20Poly1305:
    """ChaCha20-Poly1305 with 24 bytes of nonce.  Source: draft-irtf-cfrg-xchacha-03.

    The key that the first 16 bytes of the nonce give is kept, for they are those of the record before.
    """

    __slots__ = ("_cipher", "_key", "_prefix")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._prefix = b""
        self._cipher: ChaCha20Poly1305 | None = None

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes) -> bytes:
        return self._inner(nonce).encrypt(bytes(4) + nonce[_HCHACHA_PREFIX:], data, associated_data)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes) -> bytes:
        return self._inner(nonce).decrypt(bytes(4) + nonce[_HCHACHA_PREFIX:], data, associated_data)

    def _inner(self, nonce: bytes) -> ChaCha20Poly1305:
        prefix = nonce[:_HCHACHA_PREFIX]
        if self._cipher is None or prefix != self._prefix:
            self._cipher = ChaCha20Poly1305(_hchacha20(self._key, prefix))
            self._prefix = prefix
        return self._cipher


def _hchacha20(key: bytes, prefix: bytes) -> bytes:
    """A key from a key and 16 bytes of nonce.  Source: draft-irtf-cfrg-xchacha-03, 2.2."""
    state = [*_HCHACHA_CONSTANTS, *struct.unpack("<8I", key), *struct.unpack("<4I", prefix)]
    for _ in range(10):
        for column in range(4):
            _quarter_round(state, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter_round(state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def _quarter_round(state: list[int], a: int, b: int, c: int, d: int) -> None:
    """Source: RFC 8439, 2.1."""
    for target, source, rotated, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[target] = (state[target] + state[source]) & _MASK
        mixed = state[rotated] ^ state[target]
        state[rotated] = (mixed << bits | mixed >> (32 - bits)) & _MASK


_CIPHERS: dict[Algorithm, Callable[[bytes], _Cipher]] = {
    Algorithm.AES_256_GCM: AESGCM,
    Algorithm.XCHACHA20_POLY1305: _XChaCha20Poly1305,
}
_NONCE_LENGTHS = {Algorithm.AES_256_GCM: 12, Algorithm.XCHACHA20_POLY1305: 24}
