"""The server's end of a control session."""

from __future__ import annotations

import hmac

from relaykit.errors import LocalProtocolError, RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.channel import server_channel
from relaykit.sansio.control.channel_binding import BoundKeys
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.events import (
    LoginReceived,
    MessageReceived,
    PeerPinged,
    ProofReceived,
    ProxyWithdrawn,
    RegistrationRequested,
    SessionEnded,
)
from relaykit.sansio.control.extensions import BOUND, GOODBYE, IDENTITY
from relaykit.sansio.control.identity import NOT_THE_KEY, check_signature, statement
from relaykit.sansio.control.liveness import Liveness
from relaykit.sansio.control.login_proofs import NO_PROOFS, ServerProofs
from relaykit.sansio.control.server_opening import FirstMessage
from relaykit.sansio.control.session import (
    ControlRole,
    ControlSession,
    ControlState,
    ControlStep,
    SessionSettings,
)
from relaykit.sansio.control.texts import BINDING_REQUIRED, DETAILED, NOT_BOUND, UNVERIFIED, PeerTexts
from relaykit.sansio.wire.extension_messages import (
    Goodbye,
    IdentifiedLogin,
    ProvenLogin,
    ProvenLoginResp,
    Signal,
)
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
from relaykit.values import Ended

__all__ = ["MAX_EARLY", "MAX_HELD", "VERIFY_TIMEOUT_S", "ServerControl"]

MAX_EARLY = 65536
"""Bytes that a client may send before its login is answered; frp's sends none."""

MAX_HELD = 1024 * 1024
"""Bytes that a client may send while a ping is verified: a thousand proxies, which it registers meanwhile."""

VERIFY_TIMEOUT_S = 8.0
"""Seconds to decide whether a proof holds: the client waits ten for the answer to its login."""


class ServerControl(ControlSession):
    """Begins with a login that :class:`~relaykit.sansio.control.server_opening.ServerOpening` has read.

    The first event is :class:`~relaykit.sansio.control.events.ProofReceived`, to be answered with
    :meth:`accept_proof` or :meth:`refuse_proof` within :data:`VERIFY_TIMEOUT_S`; until then nothing else of
    the connection is dealt with.  Then comes :class:`~relaykit.sansio.control.events.LoginReceived`, to be
    answered with :meth:`accept` or :meth:`refuse`.  Where it is known at once that the client must not get
    in, the session has ended, and the client is told why.

    :param proofs: what this end has for logins that carry more than frp's proof.
    :param scopes: what is verified besides the login.
    """

    role = ControlRole.SERVER

    def __init__(
        self,
        first: FirstMessage,
        settings: SessionSettings,
        version: str,
        now: float,
        *,
        texts: PeerTexts = DETAILED,
        proofs: ServerProofs = NO_PROOFS,
        scopes: frozenset[Scope] = frozenset(),
    ) -> None:
        super().__init__(ControlState.VERIFYING, first.framing, settings)
        self._out += [first.unsent] if first.unsent else []
        self._hello = first.hello
        self._version = version
        self._texts = texts
        self._scopes = scopes
        self._asked: ProofReceived | None = None
        self._decide_by = now + VERIFY_TIMEOUT_S
        self._held = bytearray()
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
            self._ask(Scope.LOGIN, self.login, now)

    @property
    def stands_by(self) -> bool:
        """Whether the client takes nothing from another one with its identity that is alive."""
        return isinstance(self.login, IdentifiedLogin) and self.login.stands_by

    def accept_proof(self, asked: ProofReceived, now: float) -> None:
        """What came with a message holds.  An answer that is late means nothing."""
        if asked is not self._asked or self.state is ControlState.ENDED:
            return
        self._asked = None
        if asked.scope is Scope.LOGIN:
            self._step(ControlStep.ACCEPT_PROOF)
            self._events.append(LoginReceived(self.login))
        else:
            self._answer_ping(now)
            self._release(now)

    def refuse_proof(self, asked: ProofReceived, text: str, now: float) -> None:
        """It does not, and the client is told this text."""
        if asked is not self._asked or self.state is ControlState.ENDED:
            return
        self._asked = None
        if asked.scope is Scope.LOGIN:
            self.refuse(text)
        else:
            self._send(Pong(error=self._texts.ping(text)))
            self._release(now)

    def next_wakeup(self) -> float | None:
        due = super().next_wakeup()
        if self._asked is None or self.state is ControlState.ENDED:
            return due
        return self._decide_by if due is None else min(due, self._decide_by)

    def wake(self, now: float) -> None:
        if self._asked is not None and now >= self._decide_by:
            self.refuse_proof(self._asked, UNVERIFIED, now)
        super().wake(now)

    def accept(self, run_id: str, now: float) -> None:
        """Lets the client in, under this run id."""
        if not self._step(ControlStep.ACCEPT_LOGIN):
            return
        self._answer_login(LoginResp(version=self._version, run_id=run_id))
        settings = self._settings
        self._secure(
            server_channel(settings.token, self._hello, settings.entropy, self.bound),
            self._hello,
            Liveness(None, settings.heartbeat.timeout_s, now),
        )
        self._release(now)

    def refuse(self, text: str) -> None:
        """Tells the client why it may not log in, and ends the session."""
        if self._step(ControlStep.REFUSE_LOGIN):
            self._answer_login(LoginResp(version=self._version, error=self._texts.login(text)))
            self._events.append(SessionEnded(Ended.REFUSED, text))

    def close(self, why: Ended = Ended.STOPPED, text: str = "") -> None:
        """Ends the session; a client that can is told why, every other sees the connection closed."""
        if (
            self.state is ControlState.ESTABLISHED
            and GOODBYE in self.extensions
            and self._step(ControlStep.GOODBYE)
        ):
            self._send(Goodbye(why=why.value, text=text))
            self._events.append(SessionEnded(why, text))
        super().close(why, text)

    def registered(self, name: str, address: str) -> None:
        """Tells the client that its proxy is open to users, and where; empty if nothing is public."""
        if self._step(ControlStep.ACCEPT_PROXY):
            self._send(NewProxyResp(proxy_name=name, remote_addr=address))

    def refuse_proxy(self, name: str, text: str) -> None:
        """Tells the client that its proxy is not open to users, and why."""
        if self._step(ControlStep.REFUSE_PROXY):
            self._send(NewProxyResp(proxy_name=name, error=self._texts.proxy(name, text)))

    def request_work(self, count: int = 1) -> None:
        """Asks the client for work connections."""
        for _ in range(count):
            if self._step(ControlStep.REQUEST_WORK):
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

    def _check_proven(self, message: ProvenLogin, agreed: frozenset[str], proofs: ServerProofs) -> None:
        assert self._hello is not None, "a proven login without hello"
        transcript = self._hello.transcript
        if BOUND in agreed:
            bound = BoundKeys(proofs.token_key, proofs.exporter, transcript)
            expected = bound.client_proof(message.login)
            if not hmac.compare_digest(expected, message.binding):
                raise RefusedError(RefusalCode.BAD_CREDENTIALS, NOT_BOUND)
            self.bound, self._client_proof = bound, expected
        elif proofs.required:
            raise RefusedError(RefusalCode.BAD_CREDENTIALS, BINDING_REQUIRED)
        try:
            login = IdentifiedLogin.from_json(message.login) or IdentifiedLogin()
        except MalformedMessage as error:
            raise RefusedError(RefusalCode.OTHER, str(error)) from error
        self.login = login
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

    def _ask(self, scope: Scope, message: Login | Ping, now: float) -> None:
        self._asked = ProofReceived(scope, Proof.of(message, bound=self.bound is not None))
        self._decide_by = now + VERIFY_TIMEOUT_S
        self._events.append(self._asked)

    def _read_plain(self, data: Buffer, now: float) -> None:
        """Keeps what comes before the login is answered: it is encrypted."""
        self._hold(data, MAX_EARLY)

    def _read_sealed(self, data: Buffer, now: float) -> None:
        if self._asked is None:
            super()._read_sealed(data, now)
        else:
            self._hold(data, MAX_HELD)

    def _hold(self, data: Buffer, most: int) -> None:
        self._held += data
        if len(self._held) > most:
            raise RemoteProtocolError(f"more than {most} bytes before an answer")

    def _release(self, now: float) -> None:
        """Reads on: first what was decrypted already, then what was held."""
        try:
            super()._read_sealed(b"", now)
            if self._asked is None:
                held, self._held = self._held, bytearray()
                super()._read_sealed(held, now)
        except RemoteProtocolError as error:
            self._end(Ended.PROTOCOL_ERROR, str(error))

    @property
    def _reading(self) -> bool:
        return super()._reading and self._asked is None

    def _received(self, message: Message, now: float) -> None:
        match message:
            case Ping():
                if Scope.HEARTBEATS in self._scopes:
                    self._ask(Scope.HEARTBEATS, message, now)
                else:
                    self._answer_ping(now)
                return
            case NewProxy():
                self._events.append(
                    RegistrationRequested(message.proxy_name, message.proxy_type, message.options)
                )
            case CloseProxy():
                self._events.append(ProxyWithdrawn(message.proxy_name))
            case Signal():
                self._signaled(message)
            case _:
                self._events.append(MessageReceived(message))
        self._liveness.heard(now)

    def _answer_ping(self, now: float) -> None:
        self._liveness.heard(now)
        self._send(Pong())
        self._events.append(PeerPinged())
