"""Who a client is, beyond knowing the token: a key of its own, proven anew on each connection.

What is signed covers the TLS session and both hellos, so that a signature is good for one login on one
connection: who overhears it, or ends TLS in between, cannot use it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relaykit.errors import RefusalCode, RefusedError

__all__ = ["NOT_THE_KEY", "Signer", "check_signature", "identity_name", "statement"]

NOT_THE_KEY = "the signature of the client's identity does not hold"
"""To a login whose signature is not one of its key for this connection."""

_LABEL = b"relaykit identity"


class Signer(Protocol):
    """A key of Ed25519 that signs and does not leave its owner."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, statement: bytes) -> bytes:
        """The signature of a statement, 64 bytes."""


def statement(exporter: bytes, transcript: bytes, login: bytes) -> bytes:
    """What a client signs.

    ``exporter`` is what only the two ends of the TLS session know, empty without TLS; ``transcript``
    covers the hellos; ``login`` is the body of the login as it travels.
    """
    return b"\0".join((_LABEL, sha256(exporter).digest(), transcript, sha256(login).digest()))


def check_signature(public_key: bytes, statement: bytes, signature: bytes) -> None:
    """Checks that the owner of a key made a statement.

    :raises RefusedError: the owner did not, or this is no key; the text is for the peer.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        raise RefusedError(RefusalCode.BAD_CREDENTIALS, NOT_THE_KEY) from None


def identity_name(public_key: bytes) -> str:
    """What an identity is called in logs: the beginning of its digest."""
    return sha256(public_key).hexdigest()[:16] if public_key else ""
