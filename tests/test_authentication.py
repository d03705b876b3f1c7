from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.authentication import NothingToProve, TokenProver, TokenVerifier
from relaykit.errors import RefusalCode, RefusedError
from relaykit.sansio.control.credentials import NO_PROOF, Proof, Scope
from relaykit.values import ClientIdentity, Secret

TOKEN = Secret("12345678")
CLIENT = ClientIdentity("run")


class TokenTests(SynchronousTestCase):
    """The token is proven in every login, and where else it is configured."""

    def test_login(self) -> None:
        """A login has frp's digest of token and time."""
        proof = TokenProver(TOKEN, lambda: 1700000000.9).prove(Scope.LOGIN, False)
        self.assertEqual(proof, Proof("3d8aac6cc09d79da303be74c311e5808", 1700000000))

    def test_scopes(self) -> None:
        """The login is always proven, heartbeats and work connections where that is configured."""
        for configured in (Scope.HEARTBEATS, Scope.WORK_CONNECTIONS):
            prover, verifier = (
                TokenProver(TOKEN, lambda: 1.0, [configured]),
                TokenVerifier(TOKEN, [configured]),
            )
            self.assertEqual(prover.scopes, {Scope.LOGIN, configured})
            self.assertEqual(verifier.scopes, {Scope.LOGIN, configured})

    def test_bound(self) -> None:
        """Where the login is bound to its TLS session nothing is proven again, and nothing is asked for."""
        for scope in Scope:
            self.assertEqual(TokenProver(TOKEN, lambda: 1.0, Scope).prove(scope, True), NO_PROOF)
            TokenVerifier(TOKEN, Scope).verify(scope, Proof(bound=True), CLIENT)

    def test_verified(self) -> None:
        """A proof holds with the same token, whatever its time, and not with another."""
        for moment in (0.0, 1.0, 4e9):
            proof = TokenProver(TOKEN, lambda moment=moment: moment).prove(Scope.LOGIN, False)  # type: ignore[misc]
            TokenVerifier(TOKEN).verify(Scope.LOGIN, proof, CLIENT)
            self.assertRaises(
                RefusedError, TokenVerifier(Secret("another")).verify, Scope.LOGIN, proof, CLIENT
            )

    def test_nothing_to_prove(self) -> None:
        """Where nothing is to be proven, whatever came holds."""
        NothingToProve().verify(Scope.LOGIN, Proof("junk", 5), CLIENT)
        self.assertEqual(NothingToProve.scopes, {Scope.LOGIN})

    def test_texts(self) -> None:
        """Each scope is refused in frp's words."""
        verifier = TokenVerifier(TOKEN, (Scope.HEARTBEATS, Scope.WORK_CONNECTIONS))
        for scope, where in (
            (Scope.LOGIN, "login"),
            (Scope.HEARTBEATS, "heartbeat"),
            (Scope.WORK_CONNECTIONS, "NewWorkConn"),
        ):
            refusal = self.assertRaises(RefusedError, verifier.verify, scope, NO_PROOF, CLIENT)
            self.assertEqual(refusal.text, f"token in {where} doesn't match token from configuration")
            self.assertEqual(refusal.code, RefusalCode.BAD_CREDENTIALS)

    @given(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))
    def test_junk(self, key: str, timestamp: int) -> None:
        """No text proves the token by chance."""
        self.assertRaises(
            RefusedError, TokenVerifier(TOKEN).verify, Scope.LOGIN, Proof(key, timestamp), CLIENT
        )
