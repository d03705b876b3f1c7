"""The client's end of a control session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.channel import client_channel
from relaykit.sansio.control.credentials import Prover, Scope
from relaykit.sansio.control.events import (
    LoggedIn,
    LoginRefused,
    ProxyRefused,
    ProxyRegistered,
    SessionEnded,
    WorkRequested,
)
from relaykit.sansio.control.greeting import EXTENSIONS, Agreement, ClientGreeting
from relaykit.sansio.control.liveness import Liveness
from relaykit.sansio.control.session import ControlSession, Role, SessionSettings, State, Step
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

__all__ = ["LOGIN_TIMEOUT_S", "UNTOLD", "ClientSession"]

LOGIN_TIMEOUT_S = 10.0
"""Seconds that a client waits for the answer to its login; frp's figure."""

UNTOLD = Bootstrap()
"""For a client that does not tell how its connection was made."""


class ClientSession(ControlSession):
    """Begins by sending its login, to which it adds the proof.

    The first event is :class:`~relaykit.sansio.control.events.LoggedIn` or
    :class:`~relaykit.sansio.control.events.LoginRefused`, or the end of the session.

    :param bootstrap: how the connection was made, which version 2 tells the server.
    """

    role = Role.CLIENT

    def __init__(
        self,
        login: Login,
        framing: Framing,
        settings: SessionSettings,
        prover: Prover,
        now: float,
        *,
        bootstrap: Bootstrap = UNTOLD,
        extensions: frozenset[str] = EXTENSIONS,
    ) -> None:
        super().__init__(State.LOGGING_IN if framing is V1 else State.GREETING, framing, settings)
        self.peer_answered = False
        """Whether the server has sent anything: if not, it may not know this version of the wire."""
        self._prover = prover
        self._deadline = now + LOGIN_TIMEOUT_S
        self._greeting: ClientGreeting | None = None
        self._agreed: Agreement | None = None
        if framing is not V1:
            self._greeting = ClientGreeting(bootstrap, settings.entropy(RANDOM_LENGTH), extensions)
            self._out += [MAGIC, encode_hello(self._greeting.frame)]
        proof = prover.prove(Scope.LOGIN)
        self._send(
            msgspec.structs.replace(login, privilege_key=proof.privilege_key, timestamp=proof.timestamp)
        )

    def register(self, name: str, type: str, fields: Mapping[str, Any]) -> None:
        """Asks the server to expose a proxy; ``fields`` as :func:`relaykit.options.to_wire` gives them."""
        if self._step(Step.REGISTER):
            self._send(NewProxy(proxy_name=name, proxy_type=type, options=dict(fields)))

    def withdraw(self, name: str) -> None:
        """Takes a proxy back; not answered."""
        if self._step(Step.WITHDRAW):
            self._send(CloseProxy(proxy_name=name))

    def receive(self, data: Buffer, now: float) -> None:
        self.peer_answered = self.peer_answered or bool(data)
        super().receive(data, now)

    def next_wakeup(self) -> float | None:
        if self.state in (State.GREETING, State.LOGGING_IN):
            return self._deadline
        return super().next_wakeup()

    def wake(self, now: float) -> None:
        if self.state in (State.GREETING, State.LOGGING_IN) and now >= self._deadline:
            self._end(Ended.TIMEOUT, "the server did not answer the login")
        super().wake(now)

    def _read_plain(self, data: Buffer, now: float) -> None:
        self._decoder.receive(data)
        while self.state in (State.GREETING, State.LOGGING_IN):
            received = self._decoder.next_message()
            if received is None:
                return
            if isinstance(received, HelloFrame):
                self._greeted(received)
            elif isinstance(received, LoginResp):
                self._peer_steps(Step.REFUSE if received.error else Step.ADMIT)
                self._login_answered(received, now)
            else:
                raise RemoteProtocolError(f"{type(received).__name__} in answer to a login")

    def _greeted(self, frame: HelloFrame) -> None:
        if self._greeting is None or frame.sender != "server":
            raise RemoteProtocolError("a hello that nobody asked for")
        self._peer_steps(Step.GREET)
        self._agreed = self._greeting.conclude(frame)

    def _login_answered(self, answer: LoginResp, now: float) -> None:
        if answer.error:
            self._events += [LoginRefused(answer.error), SessionEnded(Ended.REFUSED, answer.error)]
            return
        self._events.append(LoggedIn(answer.run_id, answer.version))
        rest = self._decoder.unread()
        settings, heartbeat = self._settings, self._settings.heartbeat
        timeout_s = None if heartbeat.interval_s is None else heartbeat.timeout_s
        self._secure(
            client_channel(settings.token, self._agreed, settings.entropy),
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
                self._events.append(ProxyRefused(message.proxy_name, message.error))
            case Pong(error=""):
                pass
            case Pong():
                self._end(Ended.REFUSED, message.error)
            case _:
                self._received_by_both(message)

    def _ping(self) -> None:
        if self._step(Step.PING):
            proof = self._prover.prove(Scope.HEARTBEATS)
            self._send(Ping(privilege_key=proof.privilege_key, timestamp=proof.timestamp))
