from __future__ import annotations

import json
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import CredentialError
from relaykit.oidc.asking import Asking
from relaykit.oidc.proving import FIRST_PAUSE_S, LONGEST_PAUSE_S, GrantedTokens, OidcProver, ReadTokens
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.oidc.answers import TokenRequest
from relaykit.values import Secret


class Provider:
    """Stands in for the requests: they are answered by the test."""

    def __init__(self) -> None:
        self.asked: list[Deferred[tuple[int, bytes]]] = []
        self.forms: list[tuple[bytes, str]] = []

    def post(self, url: str, form: bytes, authorization: str = "") -> Deferred[tuple[int, bytes]]:
        """One more request."""
        self.forms.append((form, authorization))
        answer: Deferred[tuple[int, bytes]] = Deferred()
        self.asked.append(answer)
        return answer

    def grant(self, token: str = "t", **further: object) -> None:
        """Answers the last request with a token."""
        self.answer(200, access_token=token, **further)

    def answer(self, status: int, **fields: object) -> None:
        """Answers the last request."""
        self.asked[-1].callback((status, json.dumps(fields).encode()))

    def fail(self) -> None:
        """The last request gets no answer."""
        self.asked[-1].errback(CredentialError("no answer"))


class GrantedTests(SynchronousTestCase):
    """Tests for tokens that a provider is asked for."""

    def setUp(self) -> None:
        self.clock, self.provider = Clock(), Provider()
        request = TokenRequest(client_id="edge", client_secret=Secret("sesame"))
        asking = cast("Asking", self.provider)
        self.tokens = GrantedTokens(asking, "http://h/token", request, self.clock)

    def test_kept(self) -> None:
        """A token is asked for once, however many want one, and again before it ends."""
        first, second = self.tokens.token(), self.tokens.token()
        first.addErrback(lambda _: None)
        first.cancel()
        self.provider.grant(expires_in=400)
        self.assertEqual(self.successResultOf(second), Secret("t"))
        self.clock.advance(339)
        self.assertEqual(self.successResultOf(self.tokens.token()), Secret("t"))
        self.assertEqual(len(self.provider.asked), 1)
        self.clock.advance(1)
        renewed = self.tokens.token()
        self.provider.grant("u", expires_in=400)
        self.assertEqual(self.successResultOf(renewed), Secret("u"))

    def test_without_end(self) -> None:
        """Where the provider does not say how long a token is good, each message gets a new one."""
        for number in (1, 2):
            answer = self.tokens.token()
            self.provider.grant()
            self.successResultOf(answer)
            self.assertEqual(len(self.provider.asked), number)

    def test_provider_down(self) -> None:
        """A token that has not ended yet is used while there is no newer one; then the error is told."""
        answer = self.tokens.token()
        self.provider.grant(expires_in=400)
        self.successResultOf(answer)
        self.clock.advance(350)
        answer = self.tokens.token()
        self.provider.fail()
        self.assertEqual(self.successResultOf(answer), Secret("t"))
        self.assertEqual(self.successResultOf(self.tokens.token()), Secret("t"))
        self.clock.advance(50)
        answer = self.tokens.token()
        self.provider.fail()
        error = self.failureResultOf(answer, CredentialError).value
        self.assertEqual(str(error), "couldn't generate OIDC token for login: no answer")

    def test_pauses(self) -> None:
        """After a failure nobody is asked for a while, a longer one each time; a success ends that."""
        pause = FIRST_PAUSE_S
        for number in range(1, 9):
            answer = self.tokens.token()
            self.provider.fail()
            self.failureResultOf(answer, CredentialError)
            self.failureResultOf(self.tokens.token(), CredentialError)
            self.assertEqual(len(self.provider.asked), number)
            self.clock.advance(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        answer = self.tokens.token()
        self.provider.grant(expires_in=4)
        self.successResultOf(answer)
        self.clock.advance(4)
        answer = self.tokens.token()
        self.provider.fail()
        self.failureResultOf(answer, CredentialError)
        self.clock.advance(FIRST_PAUSE_S)
        self.tokens.token()
        self.assertEqual(len(self.provider.asked), 11)

    def test_secret_in_form(self) -> None:
        """A provider that does not take HTTP Basic gets the secret in the form, later at once."""
        answer = self.tokens.token()
        self.provider.answer(401, error="invalid_client")
        self.provider.grant()
        self.successResultOf(answer)
        self.tokens.token()
        secret = [(b"client_secret=sesame" in form, bool(header)) for form, header in self.provider.forms]
        self.assertEqual(secret, [(False, True), (True, False), (True, False)])

    def test_wrong_secret(self) -> None:
        """A secret that is wrong either way is told of in the words of the first answer."""
        answer = self.tokens.token()
        self.provider.answer(401, error="invalid_client")
        self.provider.answer(400, error="invalid_request")
        text = str(self.failureResultOf(answer, CredentialError).value)
        self.assertIn("look at auth.oidc.clientID and auth.oidc.clientSecret", text)
        self.assertNotIn("sesame", text)


class _Threads:
    """A reactor whose threads hand over at once."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


class ProverTests(SynchronousTestCase):
    """Tests for what goes along with messages."""

    def test_proofs(self) -> None:
        """The token goes along in each scope, with the time in logins only, bound or not."""
        clock, provider = Clock(), Provider()
        request = TokenRequest(client_id="edge", client_secret=Secret("sesame"))
        tokens = GrantedTokens(cast("Asking", provider), "http://h/token", request, clock)
        prover = OidcProver(tokens, lambda: 7.5, [Scope.HEARTBEATS])
        self.assertEqual(prover.scopes, {Scope.LOGIN, Scope.HEARTBEATS})
        answer = prover.prove(Scope.LOGIN, True)
        provider.grant(expires_in=60)
        login = self.successResultOf(answer)
        self.assertEqual((login.privilege_key, login.timestamp), ("t", 7))
        self.assertNotIn("'t'", repr(login))
        ping = self.successResultOf(prover.prove(Scope.HEARTBEATS, False))
        self.assertEqual((ping.privilege_key, ping.timestamp), ("t", 0))


class ReadTests(SynchronousTestCase):
    """Tests for tokens that something else gets."""

    def test_defect(self) -> None:
        """The outcome of one reading is that of all who wait, and a failure says what was done."""
        calls: list[Deferred[Secret]] = []

        def read() -> Deferred[Secret]:
            calls.append(Deferred())
            return calls[-1]

        from relaykit.oidc import proving

        self.patch(proving, "call_in_thread", lambda reactor, function: function())
        tokens = ReadTokens.by(_Threads(), read)  # type: ignore[arg-type]  # what it makes is what it answers
        first, second = tokens.token(), tokens.token()
        calls.pop().callback(Secret("t"))
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        third = tokens.token()
        calls.pop().errback(CredentialError("no file"))
        error = self.failureResultOf(third, CredentialError).value
        self.assertEqual(str(error), "couldn't acquire OIDC token for login: no file")
