"""How the two ends of a direct path show each other that they know a secret, and that nobody is between.

Each end sends a hello of 36 bytes, ``rkp1`` and a nonce of its own, then a proof of 32 bytes: an HMAC
over both nonces, its role and the *channel*, by a key made of the secret.  Nonces are fresh, so no proof is
good twice; roles differ, so none can be sent back to its maker.

The channel is what tells the encrypted session that carries the proof from any other one, and what both of
its ends know of it: what TLS exports, or the digest of the certificate that one end showed.  Who stands in
between has another session with each end.  He can pass the proofs on, but neither end takes what the other
one made for another channel.

The secret must be one that the relay server does not know: see :mod:`relaykit.sansio.nat.path_keys`.

The initiator proves itself first, and the responder once it believes that.  So whoever calls without knowing
the secret learns nothing.  Whoever takes the place of the responder gets one proof, made of the secret and of
what it knows, and can try guesses against it for as long as it likes: that finds a weak secret, and none with
the strength of a key.

Source: RFC 2104, RFC 9266.
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
    """One end's half.

    :param nonce: :data:`NONCE_BYTES` unpredictable bytes.
    :param channel: what this session has for itself, and both of its ends know.
    :raises ValueError: nothing could be proven: the secret or the channel is empty, or the nonce too short.
    """

    def __init__(self, secret: bytes, role: PeerRole, nonce: bytes, channel: bytes) -> None:
        if not secret or not channel or len(nonce) != NONCE_BYTES:
            raise ValueError(f"a proof needs a secret, a channel, and a nonce of {NONCE_BYTES} bytes")
        self._key = hmac.digest(secret, b"relaykit direct path\0", "sha256")
        self.role = role
        self._nonce = nonce
        self._channel = channel
        self.hello = _MAGIC + nonce
        """What is sent first."""

    def answer(self, hello: bytes) -> bytes:
        """The own proof, given the peer's hello.

        :raises RemoteProtocolError: it is none.
        """
        return self._proof(self.role, hello)

    def check(self, hello: bytes, proof: bytes) -> None:
        """Looks at the peer's proof.

        :raises PeerUnprovenError: the peer does not know the secret, or is at the end of another channel.
        """
        if not hmac.compare_digest(self._proof(self.role.other, hello), proof):
            raise PeerUnprovenError(
                "the other end of the direct path does not know the secret, or somebody stands in between"
            )

    def _proof(self, role: PeerRole, hello: bytes) -> bytes:
        if len(hello) != HELLO_BYTES or not hello.startswith(_MAGIC):
            raise RemoteProtocolError("the other end of the direct path does not say hello")
        nonces = {self.role: self._nonce, self.role.other: hello[len(_MAGIC) :]}
        both = nonces[PeerRole.INITIATOR] + nonces[PeerRole.RESPONDER]
        return hmac.digest(self._key, role.value.encode() + b"\0" + both + self._channel, "sha256")
