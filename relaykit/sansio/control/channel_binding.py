"""Bound login: both ends prove the token to each other for one TLS session, and nothing can be replayed.

The token is derived with the server's salt (M).  M, what only the two ends of the TLS session know
and both hellos make one key (K).  From K come the client's proof over its login, the server's proof over
its answer, the keys of the control connection, and the proofs of further connections.  Whoever ends TLS
in between has another TLS session with each end, so it has no proof that either end would take.

What is fixed here is part of the protocol: another cost or another label needs another extension.
Source: RFC 7914 (scrypt), RFC 5869 (HKDF), RFC 9266 (what is exported from TLS).
"""

from __future__ import annotations

import enum
import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from relaykit.sansio.wire.aead import KEY_LENGTH, Algorithm
from relaykit.sansio.wire.hello import ControlKeys

__all__ = [
    "EXPORTER_LABEL",
    "EXPORTER_LENGTH",
    "MAX_SALT_LENGTH",
    "MIN_SALT_LENGTH",
    "BoundKeys",
    "Purpose",
    "derive_token_key",
]

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
"""What is exported from TLS 1.3 to tell this session from any other.  Source: RFC 9266 section 2."""

EXPORTER_LENGTH = 32
"""Bytes of it."""

MIN_SALT_LENGTH, MAX_SALT_LENGTH = 16, 64
"""Bytes of a server's salt: below, tables made ahead could pay; above, nothing is gained."""

_COST, _BLOCK_SIZE, _PARALLEL = 2**14, 8, 1
"""scrypt's parameters: 16 MiB and a twentieth of a second for each guess at a token."""

_SCRYPT_MEMORY = 64 * 1024 * 1024
"""Bytes that scrypt may take: four times what these parameters need."""

_KEY = b"relaykit bound login"
_CLIENT, _SERVER = b"relaykit bound client proof", b"relaykit bound server proof"
_CONTROL = "relaykit bound control aead"


class Purpose(enum.Enum):
    """What a further connection of a session is for."""

    WORK = b"relaykit bound work connection"
    VISIT = b"relaykit bound visit"


def derive_token_key(token: bytes, salt: bytes) -> bytes:
    """M: the token, made expensive to guess.

    Takes a twentieth of a second and 16 MiB: call it in another thread, and keep the answer.
    """
    return hashlib.scrypt(
        token,
        salt=salt,
        n=_COST,
        r=_BLOCK_SIZE,
        p=_PARALLEL,
        maxmem=_SCRYPT_MEMORY,
        dklen=KEY_LENGTH,
    )


class BoundKeys:
    """K of one login, and what comes from it.  Both ends make the same.

    :param token_key: M, as :func:`derive_token_key` makes it.
    :param exporter: what is exported from the TLS session, :data:`EXPORTER_LENGTH` bytes.
    :param transcript: what covers both hellos.
    """

    __slots__ = ("_key",)

    def __init__(self, token_key: bytes, exporter: bytes, transcript: bytes) -> None:
        if len(exporter) != EXPORTER_LENGTH:
            raise ValueError("there is nothing that tells this TLS session from another")
        self._key = HKDF(SHA256(), KEY_LENGTH, transcript, _KEY).derive(token_key + exporter)

    def client_proof(self, login: bytes) -> bytes:
        """The client's, over the body of its login."""
        return self._mac(_CLIENT, login)

    def server_proof(self, client_proof: bytes, answer: bytes) -> bytes:
        """The server's, over the body of its answer to the login with that proof."""
        return self._mac(_SERVER, client_proof + answer)

    def control_keys(self, algorithm: Algorithm) -> ControlKeys:
        """What seals the control connection."""

        def derive(direction: str) -> bytes:
            purpose = f"{_CONTROL} {algorithm.value} {direction}".encode("ascii")
            return HKDFExpand(SHA256(), KEY_LENGTH, purpose).derive(self._key)

        return ControlKeys(algorithm, derive("client-to-server"), derive("server-to-client"))

    def connection_proof(self, purpose: Purpose, exporter: bytes, run_id: str) -> bytes:
        """That a further connection, with a TLS session of its own, belongs to the session."""
        return self._mac(purpose.value, exporter + run_id.encode())

    def _mac(self, label: bytes, covered: bytes) -> bytes:
        return hmac.digest(self._key, label + b"\0" + covered, "sha256")
