"""What proves who sends a message, as it travels, and frp's own way of proving to know a secret."""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Mapping

from attrs import field, frozen

from relaykit.sansio.wire.messages import Login, NewWorkConn, Ping

__all__ = ["NO_PROOF", "Proof", "Scope", "digest", "proves"]


class Scope(enum.Enum):
    """What is proven; the values of the last two are those of ``auth.additionalScopes``."""

    LOGIN = "Login"
    HEARTBEATS = "HeartBeats"
    WORK_CONNECTIONS = "NewWorkConns"


@frozen
class Proof:
    """What came with a message: ``privilege_key``, and ``timestamp`` in seconds of the Unix era.

    ``metas`` are those of a login.  ``bound`` tells that the peer has proven the token otherwise, because the
    login is bound to its TLS session.
    """

    privilege_key: str = field(default="", repr=False)
    timestamp: int = 0
    metas: Mapping[str, str] = field(factory=dict, repr=False, kw_only=True)
    bound: bool = field(default=False, kw_only=True)

    @classmethod
    def of(cls, message: Login | NewWorkConn | Ping, *, bound: bool = False) -> Proof:
        """What came with a message."""
        metas = message.metas if isinstance(message, Login) else {}
        return cls(message.privilege_key, message.timestamp, metas=metas, bound=bound)


NO_PROOF = Proof()
"""Where nothing is to be proven."""


def digest(secret: bytes, timestamp: int) -> str:
    """Frp's proof of a secret (a token, a proxy's secret key) for a time in seconds of the Unix era.

    It can be replayed by whoever saw it, and nobody checks the time: it is no more than frp's
    compatibility asks for, and is worth as much as the TLS around it.
    """
    return hashlib.md5(secret + str(timestamp).encode("ascii"), usedforsecurity=False).hexdigest()


def proves(secret: bytes, timestamp: int, proof: str) -> bool:
    """Whether a proof that came with a time is one of this secret.  Takes constant time."""
    expected = digest(secret, timestamp).encode("ascii")
    return hmac.compare_digest(expected, proof.encode("utf-8", "surrogatepass"))
