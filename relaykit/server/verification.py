"""Asking what the proofs of clients are worth, and what the policies make of it, at once or later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RefusedError
from relaykit.interfaces import ILegReceiver, IVerifier
from relaykit.policy_requests import HeartbeatRequest, WorkConnectionRequest
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.server_control import VERIFY_TIMEOUT_S
from relaykit.sansio.control.texts import FAILED, UNVERIFIED

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.driver import LegDriver
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.control.events import ProofReceived, SessionEvent
    from relaykit.sansio.control.server_control import ServerControl
    from relaykit.server.policies import ServerPolicies
    from relaykit.values import ClientIdentity, Ended

__all__ = ["SessionVerifier", "Verification", "refusal_text", "verify_connection"]

_log = Logger()

_ASKED: Mapping[Scope, type[HeartbeatRequest | WorkConnectionRequest]] = {
    Scope.HEARTBEATS: HeartbeatRequest,
    Scope.WORK_CONNECTIONS: WorkConnectionRequest,
}
"""What policies are asked when something of a session has come."""


@implementer(IVerifier)
@frozen
class SessionVerifier:
    """What decides about further messages of a client: the server's verifier, then its policies.

    :param metas: of the client, as its login was allowed.
    """

    _verifier: IVerifier
    _policies: ServerPolicies
    _metas: Mapping[str, str] = field(factory=dict, repr=False)

    @property
    def scopes(self) -> frozenset[Scope]:
        asked = (scope for scope, kind in _ASKED.items() if self._policies.decides(kind))
        return self._verifier.scopes.union(asked)

    def verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> Deferred[None] | None:
        kind = _ASKED.get(scope)
        if kind is not None and self._policies.decides(kind):
            return Deferred.fromCoroutine(self._verify_and_ask(scope, proof, client))
        return self._verify(scope, proof, client)

    def _verify(self, scope: Scope, proof: Proof, client: ClientIdentity) -> Deferred[None] | None:
        # What a policy was to be asked about may be asked for when the policy is no more.
        return self._verifier.verify(scope, proof, client) if scope in self._verifier.scopes else None

    async def _verify_and_ask(self, scope: Scope, proof: Proof, client: ClientIdentity) -> None:
        await maybeDeferred(self._verify, scope, proof, client)
        await self._policies.ask(_ASKED[scope](client=client, metas=self._metas))


class Verification:
    """Has what one client proves on its control connection verified, one proof at a time."""

    __slots__ = ("_answer", "_core", "_driver", "_verifier")

    def __init__(self, verifier: IVerifier, core: ServerControl, driver: LegDriver[SessionEvent]) -> None:
        self._verifier = verifier
        self._core = core
        self._driver = driver
        self._answer: Deferred[None] | None = None

    def ask(self, asked: ProofReceived, client: ClientIdentity) -> None:
        """Asks, and tells the core the answer; how long that may take is for the core to say."""
        self.cancel()
        verify = cast("Callable[..., Deferred[None]]", self._verifier.verify)
        answer = self._answer = maybeDeferred(verify, asked.scope, asked.proof, client)
        answer.addCallback(self._accepted, asked).addErrback(self._refused, asked)

    def cancel(self) -> None:
        """The connection has ended, or the answer is not waited for any more."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    def _accepted(self, _: None, asked: ProofReceived) -> None:
        self._core.accept_proof(asked, self._driver.now)
        self._driver.step()

    def _refused(self, failure: Failure, asked: ProofReceived) -> None:
        if not failure.check(CancelledError):
            self._core.refuse_proof(asked, refusal_text(failure), self._driver.now)
            self._driver.step()


def verify_connection(leg: IStreamLeg, answer: Deferred[None], clock: IReactorTime) -> Deferred[None]:
    """Waits for a verifier's answer about a further connection, on which nothing may arrive meanwhile.

    Fails as the verifier's Deferred does, with TimeoutError, and with CancelledError where the connection
    has ended.
    """
    leg.attach(_Unverified(leg, answer.cancel))
    return answer.addTimeout(VERIFY_TIMEOUT_S, clock)


def refusal_text(failure: Failure) -> str:
    """What a client is told whose proof did not hold, or about which nobody could decide."""
    error = failure.value
    if isinstance(error, RefusedError):
        return error.text
    if isinstance(error, TimeoutError):
        return UNVERIFIED
    _log.failure("a defect while a proof was verified", failure)
    return FAILED


@implementer(ILegReceiver)
class _Unverified:
    """Watches a connection until it is known whose it is."""

    def __init__(self, leg: IStreamLeg, on_end: Callable[[], None]) -> None:
        self._leg = leg
        self._on_end = on_end

    def data_received(self, data: Buffer) -> None:
        self._leg.abort()

    def end_received(self) -> None:
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        self._on_end()
