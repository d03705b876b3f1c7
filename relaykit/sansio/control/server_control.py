"""The server's end of a control session."""

from __future__ import annotations

import hmac

from relaykit.errors import LocalProtocolError, RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.binding import BoundKeys
from relaykit.sansio.control.channel import server_channel
from relaykit.sansio.control.credentials import Proof, Scope, TrustingVerifier, Verifier
from relaykit.sansio.control.events import (
    LoginReceived,
    PeerPinged,
    ProxyOffered,
    ProxyWithdrawn,
    SessionEnded,
)
from relaykit.sansio.control.greeting import BOUND, FAREWELL, IDENTITY
from relaykit.sansio.control.identity import NOT_THE_KEY, check_signature, statement
from relaykit.sansio.control.liveness import Liveness
from relaykit.sansio.control.opening import FirstMessage
from relaykit.sansio.control.proving import NO_PROOFS, ServerProofs
from relaykit.sansio.control.session import ControlSession, Role, SessionSettings, State, Step
from relaykit.sansio.control.texts import BINDING_REQUIRED, DETAILED, NOT_BOUND, PeerTexts
from relaykit.sansio.wire.farewells import Farewell
from relaykit.sansio.wire.gojson import MalformedMessage
from relaykit.sansio.wire.messages import (
    CloseProxy,
    Login,
    LoginResp,
    Message,
    NewProxy,
    NewProxyResp,
    Ping,
    Pong,
    ReqWorkConn,
)
from relaykit.sansio.wire.proven import IdentifiedLogin, ProvenLogin, ProvenLoginResp
from relaykit.values import Ended

__all__ = ["MAX_EARLY", "ServerControl"]

MAX_EARLY = 65536
"""Bytes that a client may send before its login is answered; frp's sends none."""


class ServerControl(ControlSession):
    """Begins with a login that :class:`~relaykit.sansio.control.opening.ServerOpening` has read.

    The first event is :class:`~relaykit.sansio.control.events.LoginReceived`, to be answered with
    :meth:`accept` or :meth:`refuse`; or, where a proof does not hold, the end of the session, of
    which the client is told.

    :param proofs: what this end has for logins that carry more than frp's proof.
    """

    role = Role.SERVER

    def __init__(
        self,
        first: FirstMessage,
        settings: SessionSettings,
        verifier: Verifier,
        version: str,
        texts: PeerTexts = DETAILED,
        proofs: ServerProofs = NO_PROOFS,
    ) -> None:
        super().__init__(State.LOGGING_IN, first.framing, settings)
        self._out += [first.unsent] if first.unsent else []
        self._hello = first.hello
        self._verifier = verifier
        self._version = version
        self._texts = texts
        self._early = bytearray()
        self._client_proof = b""
        self.login = Login()
        """Who logs in; empty until its proof holds, where it is bound."""
        self.identity = b""
        """The public key that the client proved to have; empty for none."""
        self.identity_failed = False
        """Whether the client named a key and did not prove to have it: TLS may be ended in between."""
        self.bound: BoundKeys | None = None
        """What proves further connections of the session; None where the login was not bound."""
        try:
            self._check(first.message, proofs)
        except RefusedError as refusal:
            self.refuse(refusal.text)
        else:
            self._events.append(LoginReceived(self.login))

    @property
    def yields(self) -> bool:
        """Whether the client takes nothing from another one with its identity that is alive."""
        return isinstance(self.login, IdentifiedLogin) and self.login.yields

    def accept(self, run_id: str, now: float) -> None:
        """Lets the client in, under this run id."""
        if not self._step(Step.ADMIT):
            return
        self._answer_login(LoginResp(version=self._version, run_id=run_id))
        settings = self._settings
        self._secure(
            server_channel(settings.token, self._hello, settings.entropy, self.bound),
            self._hello,
            Liveness(None, settings.heartbeat.timeout_s, now),
        )
        early, self._early = self._early, bytearray()
        try:
            self._read_sealed(early, now)
        except RemoteProtocolError as error:
            self._end(Ended.PROTOCOL_ERROR, str(error))

    def refuse(self, text: str) -> None:
        """Tells the client why it may not log in, and ends the session."""
        if self._step(Step.REFUSE):
            self._answer_login(LoginResp(version=self._version, error=self._texts.login(text)))
            self._events.append(SessionEnded(Ended.REFUSED, text))

    def close(self, why: Ended = Ended.STOPPED, text: str = "") -> None:
        """Ends the session; a client that can is told why, every other sees the connection closed."""
        if self.state is State.ESTABLISHED and FAREWELL in self.extensions and self._step(Step.DISMISS):
            self._send(Farewell(why=why.value, text=text))
            self._events.append(SessionEnded(why, text))
        super().close(why, text)

    def registered(self, name: str, address: str) -> None:
        """Tells the client that its proxy is open to users, and where; empty if nothing is public."""
        if self._step(Step.CONFIRM):
            self._send(NewProxyResp(proxy_name=name, remote_addr=address))

    def refuse_proxy(self, name: str, text: str) -> None:
        """Tells the client that its proxy is not open to users, and why."""
        if self._step(Step.DECLINE):
            self._send(NewProxyResp(proxy_name=name, error=self._texts.proxy(name, text)))

    def request_work(self, count: int = 1) -> None:
        """Asks the client for work connections."""
        for _ in range(count):
            if self._step(Step.REQUEST_WORK):
                self._send(ReqWorkConn())

    def _check(self, message: Message, proofs: ServerProofs) -> None:
        """Checks what the client proves; nothing else of the login is looked at before.

        :raises RefusedError: a proof does not hold, or one is missing.
        """
        agreed = frozenset() if self._hello is None else self._hello.extensions
        if isinstance(message, ProvenLogin):
            self._check_proven(message, agreed, proofs)
        elif not isinstance(message, Login):
            raise LocalProtocolError(f"{type(message).__name__} begins no session")
        elif proofs.required:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, BINDING_REQUIRED)
        elif agreed & {BOUND, IDENTITY}:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, NOT_BOUND if BOUND in agreed else NOT_THE_KEY)
        else:
            self.login = message
            self._verifier.verify(Scope.LOGIN, Proof.of(message))

    def _check_proven(self, message: ProvenLogin, agreed: frozenset[str], proofs: ServerProofs) -> None:
        assert self._hello is not None, "a proven login without hello"
        transcript = self._hello.transcript
        if BOUND in agreed:
            bound = BoundKeys(proofs.token_key, proofs.exporter, transcript)
            expected = bound.client_proof(message.login)
            if not hmac.compare_digest(expected, message.binding):
                raise RefusedError(RefusalCode.BAD_CREDENTIALS, NOT_BOUND)
            self.bound, self._client_proof = bound, expected
            self._verifier = TrustingVerifier()
        elif proofs.required:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, BINDING_REQUIRED)
        try:
            login = IdentifiedLogin.from_json(message.login) or IdentifiedLogin()
        except MalformedMessage as error:
            raise RefusedError(RefusalCode.OTHER, str(error)) from error
        self.login = login
        self._verifier.verify(Scope.LOGIN, Proof.of(login))
        if IDENTITY in agreed:
            self._check_identity(login.identity, message, proofs.exporter, transcript)

    def _check_identity(self, key: bytes, message: ProvenLogin, exporter: bytes, transcript: bytes) -> None:
        """Takes a key as the client's identity, if its signature holds.

        Where it does not, somebody ends TLS in between; in a bound login that cannot be.  Elsewhere
        that may be on purpose, and is not worse than a client without identity.
        """
        try:
            check_signature(key, statement(exporter, transcript, message.login), message.signature)
        except RefusedError:
            if self.bound is not None:
                raise
            self.identity_failed = True
        else:
            self.identity = key

    def _answer_login(self, answer: LoginResp) -> None:
        if self.bound is None:
            self._send(answer)
            return
        body = answer.to_json()
        proof = self.bound.server_proof(self._client_proof, body)
        self._send(ProvenLoginResp(answer=body, binding=proof))

    def _read_plain(self, data: Buffer, now: float) -> None:
        """Keeps what comes before the login is answered: it is encrypted."""
        self._early += data
        if len(self._early) > MAX_EARLY:
            raise RemoteProtocolError(f"more than {MAX_EARLY} bytes before the login was answered")

    def _received(self, message: Message, now: float) -> None:
        match message:
            case Ping():
                self._pinged(message, now)
                return
            case NewProxy():
                self._events.append(ProxyOffered(message.proxy_name, message.proxy_type, message.options))
            case CloseProxy():
                self._events.append(ProxyWithdrawn(message.proxy_name))
            case _:
                self._received_by_both(message)
        self._liveness.heard(now)

    def _pinged(self, message: Ping, now: float) -> None:
        try:
            self._verifier.verify(Scope.HEARTBEATS, Proof.of(message))
        except RefusedError as refusal:
            self._send(Pong(error=self._texts.ping(refusal.text)))
        else:
            self._liveness.heard(now)
            self._send(Pong())
            self._events.append(PeerPinged())
