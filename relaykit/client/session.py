"""One session of the client: the time from a connection to the server until its loss."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.client.paths import certificate_of
from relaykit.dataplane.tls import channel_binding
from relaykit.driver import LegDriver
from relaykit.errors import (
    BindingFailedError,
    CredentialError,
    LoginRefusedError,
    RefusalCode,
    SessionLost,
    TransportSecurityError,
)
from relaykit.interfaces import IMeasuredPath, ISecureSession
from relaykit.sansio.control import events
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.client_life import CLOSE_S
from relaykit.sansio.control.credentials import NO_PROOF, Proof, Scope
from relaykit.sansio.control.extensions import HALF_CLOSE, SIGNAL, VISITOR_USER
from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S
from relaykit.sansio.lanes.agreement import agreed_codec
from relaykit.sansio.wire.framing import MessageTooLong
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IProver, IStreamLeg, IStreamPath
    from relaykit.sansio.control.channel_binding import Purpose
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.framing import Framing
    from relaykit.sansio.wire.messages import Message
    from relaykit.token_key import TokenKey
    from relaykit.values import Address

__all__ = ["PROVE_TIMEOUT_S", "Session"]

PROVE_TIMEOUT_S = 8.0
"""Seconds to make a proof: a login is given up after ten, as is the wait for a work connection."""


class Session:
    """A login on one control connection and what follows.

    ``on_event(event)`` gets the events that are the client's business; ``token`` is needed where the
    login may be bound.  Owns the path.
    """

    log = Logger()

    def __init__(
        self,
        core: ClientControl,
        path: IStreamPath,
        leg: IStreamLeg,
        clock: IReactorTime,
        on_event: Callable[[events.SessionEvent], None],
        prover: IProver,
        token: TokenKey | None = None,
    ) -> None:
        self.path = path
        connection = path.connection_of(leg)
        self.peer: Address | None = connection.peer
        """Where the server was reached."""
        self.host: Address | None = connection.host
        """This end's address of that connection."""
        self.certificate = certificate_of(connection)
        """The server's, in DER; empty without TLS."""
        self.server_is_verified = ISecureSession.providedBy(connection) and connection.is_verified
        """Whether that certificate had to prove who the server is."""
        self.binding_failure: events.BindingFailed | None = None
        """Why the login failed, if that was because it could not be bound."""
        self._prover = prover
        self._proving: Deferred[Any] | None = None
        self._token = token
        self.clock = clock
        self.run_id = ""
        self._core = core
        self._on_event = on_event
        # The server reads nothing while its answers wait: they are read even if thousands of proxies go out.
        self._driver: LegDriver[events.SessionEvent] = LegDriver(
            core, leg, clock, self._on_core_event, reads_on=True
        )
        self._login: Deferred[str] | None = Deferred()
        self._ended: tuple[Ended, str] | None = None
        self.outlived = False
        """Whether users who came through it may stay when it ends, because another one takes its place."""
        self._legs = 0
        """Further connections of the session that are open."""
        self._left = False

    @property
    def was_silent(self) -> bool:
        """Whether the login ended because the server said nothing in time: it did not close."""
        return self._ended is not None and self._ended[0] is Ended.TIMEOUT

    @property
    def framing(self) -> Framing:
        """The version of the wire; work connections and visits use the same."""
        return self._core.framing

    @property
    def is_bound(self) -> bool:
        """Whether the login was bound to its TLS session: both ends have proved the token."""
        return self._core.bound is not None

    @property
    def is_identified(self) -> bool:
        """Whether the server knows this client by its key."""
        return self._core.is_identified

    @property
    def peer_answered(self) -> bool:
        """Whether the server has sent anything at all."""
        return self._core.peer_answered

    @property
    def carriers(self) -> Mapping[str, int] | None:
        """The server's ports of carriers that have some of their own; None where it has not told."""
        return self._core.carriers

    @property
    def half_close(self) -> bool:
        """Whether the server passes half-close through."""
        return HALF_CLOSE in self._core.extensions

    @property
    def takes_signals(self) -> bool:
        """Whether the server takes signals."""
        return SIGNAL in self._core.extensions

    def lane_codec(self, most_bytes: int) -> LaneCodec:
        """The format of a new lane; ``most_bytes`` is the largest datagram in frp's."""
        return agreed_codec(self._core.framing, self._core.extensions, most_bytes)

    @property
    def takes_visitor_users(self) -> bool:
        """Whether the server wants to know where the users of visitors come from."""
        return VISITOR_USER in self._core.extensions

    @property
    def round_trip_s(self) -> float | None:
        """The round trip to the server that was measured last, in seconds; None if there is none."""
        return self.path.round_trip_s if IMeasuredPath.providedBy(self.path) else None

    def measure_round_trip(self) -> None:
        """Asks for a new measurement, where the path can."""
        if IMeasuredPath.providedBy(self.path):
            self.path.measure_round_trip()

    async def log_in(self) -> str:
        """Logs in and answers the run id.

        :raises LoginRefusedError: the server said no.
        :raises BindingFailedError: the login should have been bound, and is not.
        :raises SessionLost: the connection ended before the answer.
        """
        login = self._login
        assert login is not None
        self._driver.when_lost().addCallback(self._lost)
        self._driver.start()
        self.run_id = await login
        return self.run_id

    def prove(self, scope: Scope) -> Proof | Deferred[Proof]:
        """What proves who this client is in a message; nothing where that is not proven.

        :raises CredentialError: there is none.  So may the Deferred fail.
        """
        if scope not in self._prover.scopes:
            return NO_PROOF
        proof: Proof | Deferred[Proof] = self._prover.prove(scope, self.is_bound)
        if isinstance(proof, Deferred):
            proof.addTimeout(PROVE_TIMEOUT_S, self.clock, _not_in_time)
        return proof

    async def open_leg(self, purpose: Purpose) -> tuple[IStreamLeg, bytes]:
        """A further connection of the session, and what proves that it is one; empty if nothing must.

        Where the session is bound and has no mux, the one that answers must have the certificate that
        the server had: it could else start work itself.

        :raises ConnectionFailed: there is no connection.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        """
        leg: IStreamLeg = await self.path.open_leg(False)
        self._legs += 1
        leg.when_gone(self._leg_gone)
        bound = self._core.bound
        if bound is None or self.path.connection_of(leg) is not leg:
            return leg, b""
        exporter = channel_binding(leg)
        if not exporter or not hmac.compare_digest(certificate_of(leg), self.certificate):
            leg.abort()
            # A server that has renewed its certificate proves itself in a new login, and nobody else can.
            self.clock.callLater(0, self.abort, Ended.RESET)
            raise TransportSecurityError(
                "who answers now has another certificate than the server of this session: its certificate "
                "was replaced, or somebody is in between; a new login will tell",
                problem="other-certificate",
            )
        return leg, bound.connection_proof(purpose, exporter, self.run_id)

    async def over(self) -> tuple[Ended, str]:
        """Waits for the end of the session; answers why, and a text for the log.

        Closes the path; where the session is outlived, once the last of its users has gone.
        """
        why = await self._driver.when_lost()
        if self.has_users:
            self._left = True
        else:
            self.path.close()
        return self._ended or (why, "")

    @property
    def has_users(self) -> bool:
        """Whether it is outlived, and users are there who came through it."""
        return self.outlived and self._legs > 0

    def hold(self, held: bool) -> None:
        """Lets the server say nothing more, or goes on listening to it."""
        self._driver.hold(held)

    async def give_up(self, names: Iterable[str]) -> None:
        """Takes these proxies back and ends the session; done once the server has let go of it."""
        if self._ended is None:
            for name in names:
                self._core.withdraw(name)
            self.close(Ended.STOPPED)
        try:
            await self._driver.when_lost().addTimeout(CLOSE_S, self.clock)
        except DeadlinePassed:
            self.abort(Ended.STOPPED)
            await self._driver.when_lost()

    def close(self, why: Ended) -> None:
        """Ends the session."""
        self._core.close(why)
        self._driver.step()
        self._driver.close(why)

    def abort(self, why: Ended) -> None:
        """Drops the session: nothing is said to the server."""
        self._driver.abort(why)

    def probe(self, within_s: float = PROBE_TIMEOUT_S) -> None:
        """Asks the server for a sign of life, because it may be out of reach; without it the session ends."""
        self._core.probe(self._driver.now, within_s)
        self._driver.step()

    def register(self, name: str, type_name: str, fields: Mapping[str, Any]) -> None:
        """Asks the server to expose a proxy."""
        self._core.register(name, type_name, fields)
        self._driver.step()

    def withdraw(self, name: str) -> None:
        """Takes a proxy back."""
        self._core.withdraw(name)
        self._driver.step()

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal to the server half of a proxy type."""
        self._core.signal(proxy_name, visitor_name, body)
        self._driver.step()

    def send_message(self, message: Message) -> None:
        """Sends a message to the server half of a proxy type."""
        self._core.send(message)
        self._driver.step()

    def understand(self, messages: Iterable[type[Message]]) -> None:
        """Has these messages of proxy types told, too, from now on."""
        self._core.understand(messages)

    def _leg_gone(self) -> None:
        self._legs -= 1
        if self._left and not self._legs:
            self.path.close()

    def _on_core_event(self, event: events.SessionEvent) -> None:
        login = self._login
        if isinstance(event, events.LoggedIn):
            self._login = None
            if login is not None:
                login.callback(event.run_id)
        elif isinstance(event, events.LoginRefused):
            self._login = None
            if login is not None:
                login.errback(LoginRefusedError(RefusalCode.OTHER, event.text))
        elif isinstance(event, events.ProofNeeded):
            self._prove(event)
        elif isinstance(event, events.SessionEnded):
            self._stop_proving()
            self._ended = self._ended or (event.why, event.text)
            # A server that gave no sign of life is not waited for.
            end = self._driver.abort if event.why is Ended.TIMEOUT else self._driver.close
            end(event.why)
        elif isinstance(event, events.KeyNeeded):
            self._derive_key(event.salt)
        elif isinstance(event, events.BindingFailed):
            self._login = None
            self.binding_failure = event
            if login is not None:
                login.errback(BindingFailedError(event.text or event.why.value))
        else:
            self._on_event(event)

    def _prove(self, needed: events.ProofNeeded) -> None:
        self._stop_proving()
        proving = self._proving = maybeDeferred(self.prove, needed.scope)
        proving.addCallback(self._proof_made, needed).addErrback(self._not_proven, needed)

    def _proof_made(self, proof: Proof, needed: events.ProofNeeded) -> None:
        self._core.proof_made(needed, proof)
        self._driver.step()

    def _not_proven(self, failure: Failure, needed: events.ProofNeeded) -> None:
        if failure.check(CancelledError):
            return
        error = failure.value
        if isinstance(error, MessageTooLong):
            error = CredentialError(f"{error}: make metadatas shorter, or have a shorter access token")
        if not isinstance(error, CredentialError):
            self.log.failure("a defect while a proof was made", failure)
            error = CredentialError("what proves who this client is failed; the log says why")
        if needed.scope is not Scope.LOGIN:
            self.log.warn(
                "[{run}] no ping is sent: {reason}",
                run=self.run_id,
                reason=str(error),
                problem="no-credential",
            )
            return
        login, self._login = self._login, None
        if login is not None:
            login.errback(error)
        self.close(Ended.REFUSED)

    def _stop_proving(self) -> None:
        proving, self._proving = self._proving, None
        if proving is not None:
            proving.cancel()

    def _derive_key(self, salt: bytes) -> None:
        assert self._token is not None, "a bound login without token"

        def on_key(key: bytes) -> None:
            self._core.key_derived(key)
            self._driver.step()

        self._token.key(salt).addCallback(on_key).addErrback(self._key_failed)

    def _key_failed(self, failure: Failure) -> None:
        self.log.failure("a defect while the token was made a key", failure)
        self._driver.abort(Ended.INTERNAL_ERROR)

    def _lost(self, why: Ended) -> None:
        self._stop_proving()
        login, self._login = self._login, None
        if login is not None:
            text = self._ended[1] if self._ended else ""
            login.errback(
                SessionLost(
                    text or f"the connection ended during the login: {why.value}",
                    problem="not-a-relay-server",
                )
            )


def _not_in_time(_: object, seconds: float) -> None:
    raise CredentialError(f"what proves who this client is was not there within {seconds:g} seconds")
