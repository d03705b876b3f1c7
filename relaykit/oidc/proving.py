"""The client's half: gets tokens of a provider, or from a file or a command, and proves with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relaykit.blocking import call_in_thread
from relaykit.errors import CredentialError, RelaykitError
from relaykit.interfaces import IProver
from relaykit.oidc.asking import Asking
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.oidc.answers import AnswerError, Grant, TokenRequest, parse_grant
from relaykit.values import Secret

__all__ = ["GrantedTokens", "OidcProver", "ReadTokens", "Tokens"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Seconds after a failure in which a provider is not asked again; twice as long after each, to the longest.
Users who want to be served must not become a flood of requests, nor lock the client out."""

_log = Logger()


class Tokens(Protocol):
    """Where tokens come from."""

    def token(self) -> Deferred[Secret]:
        """One that is good now.  Fails with CredentialError.  Cancelling gives up waiting."""


@implementer(IProver)
class OidcProver:
    """Proves a token of the provider in every login, and in the additional scopes.

    A bound login proves another token, and no provider has said anything then: this one goes along always.
    """

    def __init__(self, tokens: Tokens, unix_time: Callable[[], float], scopes: Iterable[Scope] = ()) -> None:
        self._tokens = tokens
        self._unix_time = unix_time
        self.scopes = frozenset({Scope.LOGIN, *scopes})

    def prove(self, scope: Scope, bound: bool) -> Deferred[Proof]:
        # Frp gives the time with logins only.
        timestamp = int(self._unix_time()) if scope is Scope.LOGIN else 0
        return self._tokens.token().addCallback(lambda token: Proof(token.reveal(), timestamp))


class _Shared:
    """One call at a time, whose outcome all get who ask meanwhile; who cancels does not end it."""

    def __init__(self, call: Callable[[], Deferred[Secret]]) -> None:
        self._call = call
        self._waiting: list[Deferred[Secret]] = []

    def __call__(self) -> Deferred[Secret]:
        answer: Deferred[Secret] = Deferred()
        self._waiting.append(answer)
        if len(self._waiting) == 1:
            self._call().addBoth(self._answered)
        return answer

    def _answered(self, outcome: Secret | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.errback(outcome) if isinstance(outcome, Failure) else each.callback(outcome)


class GrantedTokens:
    """Asks the provider, and keeps the token until shortly before it ends.

    While the provider cannot be asked, a token that has not ended yet goes on being used.

    :param clock: tells a monotonic time.
    """

    def __init__(self, asking: Asking, url: str, request: TokenRequest, clock: Any) -> None:
        self._asking = asking
        self._url = url
        self._request = request
        self._clock = clock
        self._grant: Grant | None = None
        self._failure: CredentialError | None = None
        self._pause_s = FIRST_PAUSE_S
        self._not_before = 0.0
        self._secret_in_form = False
        self._ask = _Shared(lambda: Deferred.fromCoroutine(self._asked()))

    def token(self) -> Deferred[Secret]:
        """The one that is kept, or a new one."""
        now, grant = self._clock.seconds(), self._grant
        if grant is not None and grant.renew_at is not None and now < grant.renew_at:
            return succeed(grant.token)
        if self._failure is not None and now < self._not_before:
            return self._still_good() or fail(self._failure)
        return self._ask()

    def _still_good(self) -> Deferred[Secret] | None:
        grant = self._grant
        if grant is None or grant.ends_at is None or self._clock.seconds() >= grant.ends_at:
            return None
        return succeed(grant.token)

    async def _asked(self) -> Secret:
        try:
            grant = await self._granted()
        except CredentialError as error:
            found = CredentialError(f"couldn't generate OIDC token for login: {error}")
            now = self._clock.seconds()
            self._failure, self._not_before = found, now + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            kept = self._still_good()
            if kept is None:
                raise found from error
            _log.warn("{why}; the token that there is goes on being used", why=str(found))
            return await kept
        self._grant, self._failure, self._pause_s = grant, None, FIRST_PAUSE_S
        return grant.token

    async def _granted(self) -> Grant:
        """A new one: with id and secret by HTTP Basic, else in the form, as the provider takes them."""
        try:
            return await self._granted_by(self._secret_in_form)
        except AnswerError as first:
            try:
                grant = await self._granted_by(not self._secret_in_form)
            except CredentialError:
                raise first from None
            self._secret_in_form = not self._secret_in_form
            return grant

    async def _granted_by(self, in_form: bool) -> Grant:
        form = self._request.body(with_secret=in_form)
        asked_at = self._clock.seconds()
        status, body = await self._asking.post(self._url, form, "" if in_form else self._request.basic())
        try:
            return parse_grant(status, body, asked_at)
        except AnswerError as error:
            raise AnswerError(f"auth.oidc.tokenEndpointURL: {error}") from None


@frozen
class ReadTokens:
    """Reads a token anew each time, in a thread: what writes the file renews it.

    :ivar read: blocks; raises RelaykitError.
    """

    _ask: _Shared

    @classmethod
    def by(cls, reactor: Any, read: Callable[[], Secret]) -> ReadTokens:
        """Those that a function reads."""

        def failed(failure: Failure) -> Secret:
            failure.trap(RelaykitError)
            raise CredentialError(
                f"couldn't acquire OIDC token for login: {failure.value}"
            ) from failure.value

        return cls(_Shared(lambda: call_in_thread(reactor, read).addErrback(failed)))

    def token(self) -> Deferred[Secret]:
        """The one that is there now."""
        return self._ask()
