"""How a client proves who it is, and how a server checks that: frp's token method, and nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zope.interface import implementer

from relaykit.errors import RefusalCode, RefusedError
from relaykit.interfaces import IProver, IVerifier
from relaykit.sansio.control.credentials import NO_PROOF, Proof, Scope, digest, proves
from relaykit.sansio.control.texts import WRONG_TOKEN
from relaykit.values import ClientIdentity, Secret

__all__ = ["NothingToProve", "TokenProver", "TokenVerifier"]

_MISMATCHES = {
    Scope.LOGIN: WRONG_TOKEN,
    Scope.HEARTBEATS: "token in heartbeat doesn't match token from configuration",
    Scope.WORK_CONNECTIONS: "token in NewWorkConn doesn't match token from configuration",
}


@implementer(IProver)
class TokenProver:
    """Proves the token in every login, and in the additional scopes.

    Where the login is bound to its TLS session that has proven it already, and frp's proof is not sent.
    """

    def __init__(self, token: Secret, unix_time: Callable[[], float], scopes: Iterable[Scope] = ()) -> None:
        self._token = token
        self._unix_time = unix_time
        self.scopes = frozenset({Scope.LOGIN, *scopes})

    def prove(self, scope: Scope, bound: bool) -> Proof:
        if bound:
            return NO_PROOF
        timestamp = int(self._unix_time())
        return Proof(digest(self._token.to_bytes(), timestamp), timestamp)


@implementer(IVerifier)
class TokenVerifier:
    """Checks the token in every login, and in the additional scopes; at once.

    Like frp it takes any timestamp, so a proof that was overheard can be used again: bound login is
    what prevents that.
    """

    def __init__(self, token: Secret, scopes: Iterable[Scope] = ()) -> None:
        self._token = token
        self.scopes = frozenset({Scope.LOGIN, *scopes})

    def verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> None:
        if not proof.bound and not proves(self._token.to_bytes(), proof.timestamp, proof.privilege_key):
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, _MISMATCHES[scope])


@implementer(IVerifier)
class NothingToProve:
    """Lets everybody in: for clients of whom somebody else has made sure who they are."""

    scopes = frozenset({Scope.LOGIN})

    def verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> None:
        """Whatever came with the message, it holds."""
