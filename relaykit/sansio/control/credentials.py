"""How a client proves that it may log in, and how a server checks that: frp's token method.

Sessions and openings use the two protocols :class:`Prover` and :class:`Verifier`; other methods
(access tokens, plugins) provide the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Protocol, Self

from attrs import field, frozen

from relaykit.errors import RefusalCode, RefusedError
from relaykit.sansio.wire.messages import Login, NewWorkConn, Ping
from relaykit.sansio.wire.proofs import digest, proves
from relaykit.values import Secret

__all__ = [
    "NO_PROOF",
    "Proof",
    "Prover",
    "Scope",
    "SilentProver",
    "TokenProver",
    "TokenVerifier",
    "TrustingVerifier",
    "Verifier",
]


class Scope(enum.Enum):
    """What is proven; the values of the last two are those of ``auth.additionalScopes``."""

    LOGIN = "Login"
    HEARTBEATS = "HeartBeats"
    WORK_CONNECTIONS = "NewWorkConns"


@frozen
class Proof:
    """``privilege_key`` and ``timestamp`` (seconds of the Unix era) of a message."""

    privilege_key: str = field(default="", repr=False)
    timestamp: int = 0

    @classmethod
    def of(cls, message: Login | NewWorkConn | Ping) -> Self:
        """What came with a message."""
        return cls(message.privilege_key, message.timestamp)


NO_PROOF = Proof()
"""Where a scope is not authenticated."""


class Prover(Protocol):
    """The client's half."""

    def prove(self, scope: Scope) -> Proof:
        """The proof for one message, made now."""


class Verifier(Protocol):
    """The server's half."""

    def verify(self, scope: Scope, proof: Proof) -> None:
        """Checks what came with a message.

        :raises RefusedError: it does not hold; the text is for the peer.
        """


_MISMATCHES = {
    Scope.LOGIN: "token in login doesn't match token from configuration",
    Scope.HEARTBEATS: "token in heartbeat doesn't match token from configuration",
    Scope.WORK_CONNECTIONS: "token in NewWorkConn doesn't match token from configuration",
}


class TokenProver:
    """Proves the token in every login, and in the additional scopes."""

    def __init__(self, token: Secret, unix_time: Callable[[], float], scopes: Iterable[Scope] = ()) -> None:
        self._token = token
        self._unix_time = unix_time
        self._scopes = frozenset({Scope.LOGIN, *scopes})

    def prove(self, scope: Scope) -> Proof:
        if scope not in self._scopes:
            return NO_PROOF
        timestamp = int(self._unix_time())
        return Proof(digest(self._token.to_bytes(), timestamp), timestamp)


class TokenVerifier:
    """Checks the token in every login, and in the additional scopes.

    Like frp it takes any timestamp, so a proof that was overheard can be used again: bound login is
    what prevents that.
    """

    def __init__(self, token: Secret, scopes: Iterable[Scope] = ()) -> None:
        self._token = token
        self._scopes = frozenset({Scope.LOGIN, *scopes})

    def verify(self, scope: Scope, proof: Proof) -> None:
        if scope in self._scopes and not proves(self._token.to_bytes(), proof.timestamp, proof.privilege_key):
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, _MISMATCHES[scope])


class SilentProver:
    """Proves nothing: for sessions whose login was bound, in which frp's proof is not sent at all."""

    def prove(self, scope: Scope) -> Proof:
        return NO_PROOF


class TrustingVerifier:
    """Checks nothing: the same at the server, where more than frp's proof was proven already."""

    def verify(self, scope: Scope, proof: Proof) -> None:
        """Nothing is refused."""
