from __future__ import annotations

import json
from typing import cast

from joserfc.jwk import RSAKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import CredentialError, RefusedError
from relaykit.oidc import verifying
from relaykit.oidc.asking import Asking
from relaykit.oidc.verifying import OidcVerifier, ProviderKeys
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.oidc.tokens import FRESH_S, KEPT_S, PAUSE_S, TokenRules
from relaykit.values import ClientIdentity
from tests.sansio.oidc.issuing import AUDIENCE, ISSUER, KEY, NEXT_KEY, UNIX_TIME, signed

CLIENT = ClientIdentity("run")


class Provider:
    """Stands in for the requests."""

    def __init__(self) -> None:
        self.keys: list[RSAKey] = [KEY]
        self.is_down = self.hangs = False
        self.asked = 0

    def get(self, url: str) -> Deferred[bytes]:
        """A document, at once, later or never."""
        answer: Deferred[bytes] = Deferred()
        if url.endswith("/.well-known/openid-configuration"):
            self.asked += 1
        if self.is_down:
            answer.errback(CredentialError("no answer"))
        elif url.endswith("/keys"):
            keys = [each.as_dict(private=False) for each in self.keys]
            answer.callback(json.dumps({"keys": keys}).encode())
        elif not self.hangs:
            answer.callback(json.dumps({"issuer": ISSUER, "jwks_uri": ISSUER + "/keys"}).encode())
        return answer


class VerifierTests(SynchronousTestCase):
    """Tests for checking tokens by the keys of a provider."""

    def setUp(self) -> None:
        self.clock, self.provider = Clock(), Provider()
        keys = ProviderKeys(cast("Asking", self.provider), ISSUER, self.clock)
        rules = TokenRules(issuer=ISSUER, audience=AUDIENCE)
        self.verifier = OidcVerifier(keys, rules, lambda: UNIX_TIME, [Scope.HEARTBEATS])

    def verify(self, token: str, scope: Scope = Scope.LOGIN) -> Deferred[None]:
        """Asks about a token."""
        return self.verifier.verify(scope, Proof(token), CLIENT)

    def holds(self, token: str, scope: Scope = Scope.LOGIN) -> None:
        """A token holds."""
        self.successResultOf(self.verify(token, scope))

    def refused(self, token: str, scope: Scope = Scope.LOGIN) -> str:
        """A token does not hold; what the client is told."""
        error: RefusedError = self.failureResultOf(self.verify(token, scope), RefusedError).value
        return error.text

    def test_login(self) -> None:
        """A good token lets in, another one does not, in frp's words; a bound login counts for nothing."""
        self.holds(signed())
        self.assertTrue(self.refused(signed(aud="x")).startswith("invalid OIDC token in login: "))
        self.failureResultOf(self.verifier.verify(Scope.LOGIN, Proof(bound=True), CLIENT), RefusedError)
        self.assertEqual(self.provider.asked, 1)

    def test_subjects(self) -> None:
        """Later messages must be about somebody who has logged in."""
        text = self.refused(signed(), Scope.HEARTBEATS)
        self.assertEqual(text, "received different OIDC subject in login and ping. new subject: edge")
        self.holds(signed())
        self.holds(signed(), Scope.HEARTBEATS)
        self.assertIn("in ping: ", self.refused("", Scope.HEARTBEATS))

    def test_subjects_bounded(self) -> None:
        """Of too many subjects the one that was not heard of for longest is forgotten."""
        self.patch(verifying, "MOST_SUBJECTS", 2)
        for subject in ("a", "b", "a", "c"):
            self.holds(signed(sub=subject))
        self.holds(signed(sub="a"), Scope.HEARTBEATS)
        self.refused(signed(sub="b"), Scope.HEARTBEATS)

    def test_rotation(self) -> None:
        """An unknown key has the keys asked for again, once in a while, whoever sends how many tokens."""
        self.holds(signed())
        self.provider.keys = [NEXT_KEY]
        self.refused(signed(NEXT_KEY))
        self.assertEqual(self.provider.asked, 1)
        self.clock.advance(PAUSE_S)
        self.holds(signed(NEXT_KEY))
        for _ in range(9):
            self.refused(signed())
        self.assertEqual(self.provider.asked, 2)

    def test_provider_down(self) -> None:
        """Without keys nobody gets in, and the provider is asked again; those that there are hold a day."""
        self.provider.is_down = True
        self.assertIn("the server cannot get the keys", self.refused(signed()))
        self.refused(signed())
        self.assertEqual(self.provider.asked, 1)
        self.provider.is_down = False
        self.clock.advance(PAUSE_S)
        self.holds(signed())
        self.provider.is_down = True
        self.clock.advance(FRESH_S)
        self.holds(signed())
        self.assertEqual(self.provider.asked, 3)
        self.clock.advance(KEPT_S)
        self.refused(signed())

    def test_hangs(self) -> None:
        """Who waits for keys may give up; what holds by older keys waits for no newer ones."""
        self.provider.hangs = True
        waiting = self.verify(signed())
        self.assertNoResult(waiting)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertNoResult(self.verify(signed()))
        self.assertEqual(self.provider.asked, 1)

    def test_stale(self) -> None:
        """What holds by older keys waits for no newer ones."""
        self.holds(signed())
        self.provider.hangs = True
        self.clock.advance(FRESH_S)
        self.holds(signed())
        self.assertEqual(self.provider.asked, 2)
