"""The client's end of a control session."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from relaykit.errors import LocalProtocolError, RemoteProtocolError
from relaykit.escaping import told
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.channel import client_channel
from relaykit.sansio.control.channel_binding import BoundKeys
from relaykit.sansio.control.credentials import Proof, Scope
from relaykit.sansio.control.events import (
    BindingFailed,
    KeyNeeded,
    LoggedIn,
    LoginRefused,
    MessageReceived,
    ProofNeeded,
    ProxyRefused,
    ProxyRegistered,
    SessionEnded,
    WorkRequested,
)
from relaykit.sansio.control.extensions import BOUND, EXTENSIONS, IDENTITY, Agreement, ExtensionOffer
from relaykit.sansio.control.identity import statement
from relaykit.sansio.control.liveness import PROBE_TIMEOUT_S, Liveness
from relaykit.sansio.control.login_proofs import NOTHING_PROVEN, BindingFailure, BoundLogin, ClientProofs
from relaykit.sansio.control.server_opening import OPENING_MESSAGES
from relaykit.sansio.control.session import (
    ControlRole,
    ControlSession,
    ControlState,
    ControlStep,
    SessionSettings,
)
from relaykit.sansio.wire.extension_messages import (
    Goodbye,
    IdentifiedLogin,
    ProvenLogin,
    ProvenLoginResp,
    Signal,
)
from relaykit.sansio.wire.framing import MAGIC, V1, Framing, HelloFrame, encode_hello
from relaykit.sansio.wire.hello import RANDOM_LENGTH, Bootstrap
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

__all__ = ["LOGIN_TIMEOUT_S", "UNTOLD", "ClientControl"]

LOGIN_TIMEOUT_S = 10.0
"""Seconds that a client waits for the answer to its login; frp's figure."""

UNTOLD = Bootstrap()
"""For a client that does not tell how its connection was made."""

_BEFORE_LOGIN = frozenset(
    {ControlState.HELLO_SENT, ControlState.LOGIN_AHEAD, ControlState.AGREED, ControlState.LOGGING_IN}
)
_ANSWERS = OPENING_MESSAGES.extended(ProvenLoginResp)

LoginT = TypeVar("LoginT", bound=Login)


class ClientControl(ControlSession):
    """Begins by sending its hello, and its login as soon as there is a proof for it.

    :class:`~relaykit.sansio.control.events.ProofNeeded` is to be answered with :meth:`proof_made`.  Then
    comes :class:`~relaykit.sansio.control.events.LoggedIn` or
    :class:`~relaykit.sansio.control.events.LoginRefused`, or the end of the session.  Where the server
    agrees to a bound login :class:`~relaykit.sansio.control.events.KeyNeeded` comes first, to be answered
    with :meth:`key_derived`, and :class:`~relaykit.sansio.control.events.BindingFailed` if that leads to
    nothing.

    :param bootstrap: how the connection was made, which version 2 tells the server.
    :param proofs: what this client can prove besides the token; with version 1 it counts for nothing.
    :param scopes: what is proven besides the login.
    """

    role = ControlRole.CLIENT

    def __init__(
        self,
        login: Login,
        framing: Framing,
        settings: SessionSettings,
        now: float,
        *,
        bootstrap: Bootstrap = UNTOLD,
        extensions: frozenset[str] = EXTENSIONS,
        proofs: ClientProofs = NOTHING_PROVEN,
        scopes: frozenset[Scope] = frozenset(),
    ) -> None:
        super().__init__(ControlState.AGREED if framing is V1 else ControlState.HELLO_SENT, framing, settings)
        self.peer_answered = False
        """Whether the server has sent anything: if not, it may not know this version of the wire."""
        self.bound: BoundKeys | None = None
        """What proves further connections of the session; None where the login was not bound."""
        self._login = login
        self._scopes = scopes
        self._needed: ProofNeeded | None = None
        self._proofs = proofs
        self._client_proof = b""
        self._deadline = now + LOGIN_TIMEOUT_S
        self._offer: ExtensionOffer | None = None
        self._agreed: Agreement | None = None
        required = proofs.bound is BoundLogin.REQUIRE
        if required and framing is V1:
            raise LocalProtocolError("there is no bound login in version 1 of the wire")
        self._waits = framing is not V1 and (required or bool(proofs.extensions))
        if framing is not V1:
            offered = extensions | proofs.extensions
            self._offer = ExtensionOffer(bootstrap, settings.entropy(RANDOM_LENGTH), offered)
            self._decoder.messages = _ANSWERS
            self._out += [MAGIC, encode_hello(self._offer.frame)]
        if not self._waits:
            self._need(Scope.LOGIN)

    @property
    def carriers(self) -> Mapping[str, int] | None:
        """The server's ports of carriers that have some of their own; None where it has not told."""
        return None if self._agreed is None else self._agreed.carriers

    def proof_made(self, needed: ProofNeeded, proof: Proof) -> None:
        """Sends the message that needed a proof.  One that nobody waits for any more means nothing."""
        if needed is not self._needed:
            return
        self._needed = None
        if needed.scope is Scope.LOGIN:
            self._log_in(proof)
        elif self._step(ControlStep.PING):
            self._send(Ping(privilege_key=proof.privilege_key, timestamp=proof.timestamp))

    @property
    def is_identified(self) -> bool:
        """Whether the server knows this client by its key, whatever connection it comes on."""
        return IDENTITY in self.extensions and self._proofs.signer is not None

    def key_derived(self, token_key: bytes) -> None:
        """Logs in with the token's derived key, as :class:`KeyNeeded` asked for."""
        agreed = self._agreed
        if self.state is ControlState.ENDED:
            return
        if self.state is not ControlState.AGREED or agreed is None:
            raise LocalProtocolError("nobody asked for a key")
        self.bound = BoundKeys(token_key, self._proofs.exporter, agreed.transcript)
        self._need(Scope.LOGIN)

    def register(self, name: str, type: str, fields: Mapping[str, Any]) -> None:
        """Asks the server to expose a proxy; ``fields`` as :func:`relaykit.options.to_wire` gives them."""
        if self._step(ControlStep.REGISTER):
            self._send(NewProxy(proxy_name=name, proxy_type=type, options=dict(fields)))

    def withdraw(self, name: str) -> None:
        """Takes a proxy back; not answered."""
        if self._step(ControlStep.WITHDRAW):
            self._send(CloseProxy(proxy_name=name))

    def probe(self, now: float, within_s: float = PROBE_TIMEOUT_S) -> None:
        """Has the server answer a ping soon, or be lost; before and after the session nothing happens."""
        if self.state is ControlState.ESTABLISHED:
            self._liveness.probe(now, within_s)

    def receive(self, data: Buffer, now: float) -> None:
        self.peer_answered = self.peer_answered or bool(data)
        super().receive(data, now)

    def next_wakeup(self) -> float | None:
        if self.state in _BEFORE_LOGIN:
            return self._deadline
        return super().next_wakeup()

    def wake(self, now: float) -> None:
        if self.state in _BEFORE_LOGIN and now >= self._deadline:
            self._end(Ended.TIMEOUT, "the server did not answer the login")
        super().wake(now)

    def _read_plain(self, data: Buffer, now: float) -> None:
        self._decoder.receive(data)
        while self.state in _BEFORE_LOGIN:
            received = self._decoder.next_message()
            if received is None:
                return
            if isinstance(received, HelloFrame):
                self._hello_received(received)
            elif isinstance(received, LoginResp):
                self._answered(received, now)
            elif isinstance(received, ProvenLoginResp) and self.bound is not None:
                self._proven_answered(received, self.bound, now)
            else:
                raise RemoteProtocolError(f"{type(received).__name__} in answer to a login")

    def _hello_received(self, frame: HelloFrame) -> None:
        if self._offer is None or frame.sender != "server":
            raise RemoteProtocolError("a hello that nobody asked for")
        self._peer_steps(ControlStep.HELLO)
        agreed = self._agreed = self._offer.conclude(frame)
        if not self._waits:
            return
        if BOUND in agreed.extensions:
            self._events.append(KeyNeeded(agreed.salt))
        elif self._proofs.bound is BoundLogin.REQUIRE:
            self._fail(BindingFailure.NOT_AGREED)
        else:
            self._need(Scope.LOGIN)

    def _need(self, scope: Scope) -> None:
        self._needed = ProofNeeded(scope, self.bound is not None)
        self._events.append(self._needed)

    def _log_in(self, proof: Proof) -> None:
        agreed = self._agreed
        if not self._step(ControlStep.LOG_IN):
            return
        if agreed is None or not agreed.extensions & {BOUND, IDENTITY}:
            self._send(_proven(self._login, proof))
            return
        signer = self._proofs.signer if IDENTITY in agreed.extensions else None
        login = IdentifiedLogin(
            **msgspec.structs.asdict(self._login),
            identity=b"" if signer is None else signer.public_key,
            stands_by=self._proofs.stands_by,
        )
        body = _proven(login, proof).to_json()
        self._client_proof = b"" if self.bound is None else self.bound.client_proof(body)
        signature = b""
        if signer is not None:
            signature = signer.sign(statement(self._proofs.exporter, agreed.transcript, body))
        self._send(ProvenLogin(login=body, binding=self._client_proof, signature=signature))

    def _answered(self, answer: LoginResp, now: float) -> None:
        """Takes an answer that is not proven."""
        if self.bound is None:
            self._peer_steps(ControlStep.REFUSE_LOGIN if answer.error else ControlStep.ACCEPT_LOGIN)
            self._login_answered(answer, now)
        elif answer.error:
            self._fail(BindingFailure.REFUSED, told(answer.error))
        else:
            self._fail(BindingFailure.NOT_PROVEN)

    def _proven_answered(self, proven: ProvenLoginResp, bound: BoundKeys, now: float) -> None:
        expected = bound.server_proof(self._client_proof, proven.answer)
        if not hmac.compare_digest(expected, proven.binding):
            self._fail(BindingFailure.NOT_PROVEN)
            return
        answer = LoginResp.from_json(proven.answer) or LoginResp()
        self._peer_steps(ControlStep.REFUSE_LOGIN if answer.error else ControlStep.ACCEPT_LOGIN)
        self._login_answered(answer, now)

    def _fail(self, why: BindingFailure, text: str = "") -> None:
        """Ends a session whose login is not bound, though it should be."""
        self._events.append(BindingFailed(why, text))
        self._end(Ended.REFUSED, text or why.value)

    def _login_answered(self, answer: LoginResp, now: float) -> None:
        if answer.error:
            text = told(answer.error)
            self._events += [LoginRefused(text), SessionEnded(Ended.REFUSED, text)]
            return
        self._events.append(LoggedIn(answer.run_id, answer.version))
        rest = self._decoder.unread()
        settings, heartbeat = self._settings, self._settings.heartbeat
        timeout_s = None if heartbeat.interval_s is None else heartbeat.timeout_s
        self._secure(
            client_channel(settings.token, self._agreed, settings.entropy, self.bound),
            self._agreed,
            Liveness(heartbeat.interval_s, timeout_s, now),
        )
        self._read_sealed(rest, now)

    def _received(self, message: Message, now: float) -> None:
        self._liveness.heard(now)
        match message:
            case ReqWorkConn():
                self._events.append(WorkRequested())
            case NewProxyResp(error=""):
                self._events.append(ProxyRegistered(message.proxy_name, message.remote_addr))
            case NewProxyResp():
                self._events.append(ProxyRefused(message.proxy_name, told(message.error)))
            case Pong(error=""):
                self._liveness.answered(now)
            case Pong():
                self._end(Ended.REFUSED, told(message.error))
            case Goodbye():
                self._events.append(SessionEnded(_ending(message.why), told(message.text)))
            case Signal():
                self._signaled(message)
            case _:
                self._events.append(MessageReceived(message))

    def _ping(self) -> None:
        if Scope.HEARTBEATS in self._scopes:
            # One that is not there when the next ping is due is not waited for any more.
            self._need(Scope.HEARTBEATS)
        elif self._step(ControlStep.PING):
            self._send(Ping())


def _proven(login: LoginT, proof: Proof) -> LoginT:
    """A login with what proves who logs in."""
    return msgspec.structs.replace(login, privilege_key=proof.privilege_key, timestamp=proof.timestamp)


def _ending(why: str) -> Ended:
    """What a server's goodbye says; one that only a later version knows is an end like any other."""
    try:
        return Ended(why)
    except ValueError:
        return Ended.SESSION_ENDED
