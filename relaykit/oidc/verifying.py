"""The server's half: checks tokens by the keys of their provider."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import CredentialError, RefusalCode, RefusedError
from relaykit.interfaces import IVerifier
from relaykit.oidc.asking import Asking
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.oidc.answers import Keys, discovery_url, keys_url, parse_keys
from relaykit.sansio.oidc.tokens import KeyAge, TokenRefused, TokenRules, UnknownKey
from relaykit.values import ClientIdentity

__all__ = ["MOST_SUBJECTS", "OidcVerifier", "ProviderKeys"]

MOST_SUBJECTS = 65_536
"""Subjects of logins that are remembered; the one that was not heard of for longest is forgotten first."""

_log = Logger()


class ProviderKeys:
    """The keys of a provider: had at the start, asked for again in time, and when a token has a new one."""

    def __init__(self, asking: Asking, issuer: str, clock: Any) -> None:
        self._asking = asking
        self._issuer = issuer
        self._clock = clock
        self._age = KeyAge()
        self._keys = Keys()
        self._failure = ""
        self._request: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def held(self) -> Keys | None:
        """Those that may be used; None for none."""
        return self._keys if self._age.holds(self._clock.seconds()) else None

    @property
    def is_due(self) -> bool:
        """Whether to :meth:`refresh` whatever is known."""
        return self._request is None and self._age.is_due(self._clock.seconds())

    @property
    def may_change(self) -> bool:
        """Whether it is of use to :meth:`refresh`: they come, or may be asked for."""
        return self._request is not None or self._age.may_ask(self._clock.seconds())

    def refresh(self) -> Deferred[None]:
        """Fires when the provider has been asked, whatever came of that.  Cancelling gives up waiting."""
        answer: Deferred[None] = Deferred()
        self._waiting.append(answer)
        if self._request is None:
            self._age.ask(self._clock.seconds())
            self._request = request = Deferred.fromCoroutine(self._ask())
            request.addBoth(self._asked)
        return answer

    async def _ask(self) -> None:
        try:
            document = await self._asking.get(discovery_url(self._issuer))
            body = await self._asking.get(keys_url(document, self._issuer))
            self._keys = parse_keys(body)
        except CredentialError as error:
            self._tell(str(error))
            return
        self._age.had(self._clock.seconds())
        if self._failure:
            _log.info("OpenID Connect: the keys of {issuer} are there again", issuer=self._issuer)
        self._failure = ""

    def _tell(self, why: str) -> None:
        if why != self._failure:
            _log.warn(
                "OpenID Connect: the keys of {issuer} cannot be had, and are asked for again: {why}",
                issuer=self._issuer,
                why=why,
                problem="oidc-provider",
            )
        self._failure = why

    def _asked(self, _: object) -> None:
        self._request = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)


@implementer(IVerifier)
class OidcVerifier:
    """Checks the token in every login, and in the additional scopes, where it must be about somebody who has
    logged in.  As with frp any such subject will do.

    :param unix_time: tokens carry the time of day.
    """

    def __init__(
        self,
        keys: ProviderKeys,
        rules: TokenRules,
        unix_time: Callable[[], float],
        scopes: Iterable[Scope] = (),
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._unix_time = unix_time
        self._subjects: OrderedDict[str, None] = OrderedDict()
        self.scopes = frozenset({Scope.LOGIN, *scopes})

    def verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> Deferred[None]:
        return Deferred.fromCoroutine(self._verify(scope, proof.privilege_key))

    async def _verify(self, scope: Scope, token: str) -> None:
        what = "login" if scope is Scope.LOGIN else "ping"
        try:
            subject = await self._subject_of(token)
        except TokenRefused as error:
            raise RefusedError(
                RefusalCode.BAD_CREDENTIALS, f"invalid OIDC token in {what}: {error}"
            ) from None
        if scope is not Scope.LOGIN and subject not in self._subjects:
            raise RefusedError(
                RefusalCode.BAD_CREDENTIALS,
                f"received different OIDC subject in login and ping. new subject: {subject[:200]}",
            )
        self._subjects[subject] = None
        self._subjects.move_to_end(subject)
        if len(self._subjects) > MOST_SUBJECTS:
            self._subjects.popitem(last=False)

    async def _subject_of(self, token: str) -> str:
        if self._keys.held is None:
            if self._keys.may_change:
                await self._keys.refresh()
        elif self._keys.is_due:
            # What there is holds; nobody waits for the newer ones.
            self._keys.refresh()
        try:
            return self._subject_by(token)
        except UnknownKey:
            if not self._keys.may_change:
                raise
            await self._keys.refresh()
            return self._subject_by(token)

    def _subject_by(self, token: str) -> str:
        keys = self._keys.held
        if keys is None:
            raise TokenRefused("the server cannot get the keys of the provider now; its log says why")
        return self._rules.subject_of(token, keys, self._unix_time())
