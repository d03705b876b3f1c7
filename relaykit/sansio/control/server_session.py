"""The server's end of a control session."""

from __future__ import annotations

from relaykit.errors import LocalProtocolError, Refused, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.channel import server_channel
from relaykit.sansio.control.credentials import Proof, Scope, Verifier
from relaykit.sansio.control.events import (
    LoginReceived,
    PeerPinged,
    ProxyOffered,
    ProxyWithdrawn,
    SessionEnded,
)
from relaykit.sansio.control.liveness import Liveness
from relaykit.sansio.control.opening import FirstMessage
from relaykit.sansio.control.session import ControlSession, Role, SessionSettings, State, Step
from relaykit.sansio.control.texts import DETAILED, PeerTexts
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

__all__ = ["MAX_EARLY", "ServerSession"]

MAX_EARLY = 65536
"""Octets that a client may send before its login is answered; frp's sends none."""


class ServerSession(ControlSession):
    """Begins with a login that :class:`~relaykit.sansio.control.opening.ServerOpening` has read.

    The first event is :class:`~relaykit.sansio.control.events.LoginReceived`, to be answered with
    :meth:`accept` or :meth:`refuse`; or, where the proof does not hold, the end of the session, of
    which the client is told.
    """

    role = Role.SERVER

    def __init__(
        self,
        first: FirstMessage,
        settings: SessionSettings,
        verifier: Verifier,
        version: str,
        texts: PeerTexts = DETAILED,
    ) -> None:
        super().__init__(State.LOGGING_IN, first.framing, settings)
        if not isinstance(first.message, Login):
            raise LocalProtocolError(f"{type(first.message).__name__} begins no session")
        self.login = first.message
        self._out += [first.unsent] if first.unsent else []
        self._hello = first.hello
        self._verifier = verifier
        self._version = version
        self._texts = texts
        self._early = bytearray()
        try:
            verifier.verify(Scope.LOGIN, Proof.of(self.login))
        except Refused as refusal:
            self.refuse(refusal.text)
        else:
            self._events.append(LoginReceived(self.login))

    def accept(self, run_id: str, now: float) -> None:
        """Lets the client in, under this run id."""
        if not self._step(Step.ADMIT):
            return
        self._send(LoginResp(version=self._version, run_id=run_id))
        settings = self._settings
        self._secure(
            server_channel(settings.token, self._hello, settings.entropy),
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
            self._send(LoginResp(version=self._version, error=self._texts.login(text)))
            self._events.append(SessionEnded(Ended.REFUSED, text))

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

    def _read_plain(self, data: Buffer, now: float) -> None:
        """Keeps what comes before the login is answered: it is encrypted."""
        self._early += data
        if len(self._early) > MAX_EARLY:
            raise RemoteProtocolError(f"more than {MAX_EARLY} octets before the login was answered")

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
        except Refused as refusal:
            self._send(Pong(error=self._texts.ping(refusal.text)))
        else:
            self._liveness.heard(now)
            self._send(Pong())
            self._events.append(PeerPinged())
