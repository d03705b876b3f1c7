from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusalCode, RefusedError
from relaykit.sansio.control.credentials import (
    NO_PROOF,
    Proof,
    Scope,
    SilentProver,
    TokenProver,
    TokenVerifier,
    TrustingVerifier,
)
from relaykit.sansio.wire.messages import Ping
from relaykit.values import Secret

TOKEN = Secret("12345678")


class TokenTests(SynchronousTestCase):
    """The token is proven in every login, and where else it is configured."""

    def test_login(self) -> None:
        """A login has frp's digest of token and time."""
        proof = TokenProver(TOKEN, lambda: 1700000000.9).prove(Scope.LOGIN)
        self.assertEqual(proof, Proof("3d8aac6cc09d79da303be74c311e5808", 1700000000))

    def test_scopes(self) -> None:
        """Heartbeats and work connections have a proof only where that is configured."""
        for configured in (Scope.HEARTBEATS, Scope.WORK_CONNECTIONS):
            prover = TokenProver(TOKEN, lambda: 1.0, [configured])
            for scope in (Scope.HEARTBEATS, Scope.WORK_CONNECTIONS):
                self.assertEqual(prover.prove(scope) != NO_PROOF, scope is configured)

    def test_verified(self) -> None:
        """A proof holds with the same token, whatever its time, and not with another."""
        for moment in (0.0, 1.0, 4e9):
            proof = TokenProver(TOKEN, lambda moment=moment: moment).prove(Scope.LOGIN)  # type: ignore[misc]
            TokenVerifier(TOKEN).verify(Scope.LOGIN, proof)
            self.assertRaises(RefusedError, TokenVerifier(Secret("another")).verify, Scope.LOGIN, proof)

    def test_texts(self) -> None:
        """Each scope is refused in frp's words."""
        verifier = TokenVerifier(TOKEN, (Scope.HEARTBEATS, Scope.WORK_CONNECTIONS))
        for scope, where in (
            (Scope.LOGIN, "login"),
            (Scope.HEARTBEATS, "heartbeat"),
            (Scope.WORK_CONNECTIONS, "NewWorkConn"),
        ):
            refusal = self.assertRaises(RefusedError, verifier.verify, scope, NO_PROOF)
            self.assertEqual(refusal.text, f"token in {where} doesn't match token from configuration")
            self.assertEqual(refusal.code, RefusalCode.BAD_CREDENTIALS)

    def test_what_is_not_configured_is_not_verified(self) -> None:
        """Without additional scopes other messages need no proof, and a wrong one is fine."""
        verifier = TokenVerifier(TOKEN)
        for proof in (NO_PROOF, Proof("wrong", 1)):
            verifier.verify(Scope.HEARTBEATS, proof)
            verifier.verify(Scope.WORK_CONNECTIONS, proof)

    @given(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))
    def test_junk(self, key: str, timestamp: int) -> None:
        """No text proves the token by chance."""
        self.assertRaises(RefusedError, TokenVerifier(TOKEN).verify, Scope.LOGIN, Proof(key, timestamp))

    def test_of_a_message(self) -> None:
        """A proof is taken from the message that it came with, and does not show in logs."""
        proof = Proof.of(Ping(privilege_key="abc", timestamp=5))
        self.assertEqual(proof, Proof("abc", 5))
        self.assertNotIn("abc", repr(proof))


class BoundTests(SynchronousTestCase):
    """Where a bound login has proven more, frp's proof plays no part."""

    def test_nothing_proven(self) -> None:
        """The client proves nothing in any scope, and the server takes that."""
        for scope in Scope:
            self.assertEqual(SilentProver().prove(scope), NO_PROOF)
            TrustingVerifier().verify(scope, NO_PROOF)
