"""frp's proof of knowing a secret: a digest of the secret and a time.

It can be replayed by whoever saw it, and nobody checks the time: it is no more than frp's
compatibility asks for, and is worth as much as the TLS around it.
"""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["digest", "proves"]


def digest(secret: bytes, timestamp: int) -> str:
    """The proof of a secret (a token, a proxy's secret key) for a time in seconds of the Unix era."""
    return hashlib.md5(secret + str(timestamp).encode("ascii"), usedforsecurity=False).hexdigest()


def proves(secret: bytes, timestamp: int, proof: str) -> bool:
    """Whether a proof that came with a time is one of this secret.  Takes constant time."""
    expected = digest(secret, timestamp).encode("ascii")
    return hmac.compare_digest(expected, proof.encode("utf-8", "surrogatepass"))
