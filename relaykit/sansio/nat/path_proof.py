"""How the two ends of a direct path show each other that they know a secret.

Each end sends a hello of 36 bytes, ``rkp1`` and a nonce of its own, then a proof of 32 bytes: an HMAC
over both nonces and its role, by a key made of the secret.  Nonces are fresh, so no proof is good twice;
roles differ, so none can be sent back to its maker.

This tells that the other end knows the secret.  Where a proxy type sends its secret to the relay server, the
server knows it, too; and whoever takes the peer's place can try weak secrets against a proof afterwards.
It says nothing of who is on the way: they can let both ends prove themselves and change what follows,
which is neither encrypted nor authenticated.  Payload that must be safe brings its own encryption.

Source: RFC 2104.
"""

from __future__ import annotations

import hmac

from relaykit.errors import PeerUnprovenError, RemoteProtocolError
from relaykit.sansio.nat.checks import PeerRole

__all__ = ["HELLO_BYTES", "NONCE_BYTES", "PROOF_BYTES", "Exactly", "PathProof"]

NONCE_BYTES = 32
PROOF_BYTES = 32

_MAGIC = b"rkp1"
HELLO_BYTES = len(_MAGIC) + NONCE_BYTES


class Exactly:
    """Recognizes so many bytes, by :class:`relaykit.sansio.contract.PrefixParser`."""

    def __init__(self, count: int) -> None:
        self.limit = count

    def feed(self, data: bytes) -> tuple[bytes, int] | None:
        """The bytes, once they are there."""
        return (data[: self.limit], self.limit) if len(data) >= self.limit else None


class PathProof:
    """One end's half; ``nonce`` is :data:`NONCE_BYTES` unpredictable bytes."""

    def __init__(self, secret: bytes, role: PeerRole, nonce: bytes) -> None:
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        self._key = hmac.digest(secret, b"relaykit direct path\0", "sha256")
        self._role = role
        self._nonce = nonce
        self.hello = _MAGIC + nonce
        """What is sent first."""

    def answer(self, hello: bytes) -> bytes:
        """The own proof, given the peer's hello.

        :raises RemoteProtocolError: it is none.
        """
        return self._proof(self._role, hello)

    def check(self, hello: bytes, proof: bytes) -> None:
        """Looks at the peer's proof.

        :raises PeerUnprovenError: the peer does not know the secret.
        """
        if not hmac.compare_digest(self._proof(self._role.other, hello), proof):
            raise PeerUnprovenError("the other end of the direct path does not know the secret")

    def _proof(self, role: PeerRole, hello: bytes) -> bytes:
        if len(hello) != HELLO_BYTES or not hello.startswith(_MAGIC):
            raise RemoteProtocolError("the other end of the direct path does not say hello")
        nonces = {self._role: self._nonce, self._role.other: hello[len(_MAGIC) :]}
        both = nonces[PeerRole.INITIATOR] + nonces[PeerRole.RESPONDER]
        return hmac.digest(self._key, role.value.encode() + b"\0" + both, "sha256")
