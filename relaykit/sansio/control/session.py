"""The control session: what client and server say to each other on one control connection.

One machine, seen from both ends.  :data:`TRANSITIONS` says which step leads where, :data:`ACTORS` whose
step it is: for that role it is a command, for the other role something that it receives.  Both ends
walk through the same states; a server's session begins where :mod:`relaykit.sansio.control.server_opening`
has taken the login.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from attrs import evolve, frozen

from relaykit.errors import LocalProtocolError, RefusalCode, RefusedError, RemoteProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.channel import Channel
from relaykit.sansio.control.events import SessionEnded, SessionEvent, SignalReceived
from relaykit.sansio.control.extensions import GOODBYE, SIGNAL, Agreement
from relaykit.sansio.control.liveness import Due, Liveness
from relaykit.sansio.control.server_opening import OPENING_MESSAGES
from relaykit.sansio.wire.extension_messages import Goodbye, Signal
from relaykit.sansio.wire.framing import Framing
from relaykit.sansio.wire.messages import (
    CORE_MESSAGES,
    CloseProxy,
    Message,
    MessageTable,
    NewProxy,
    NewProxyResp,
    Ping,
    Pong,
    ReqWorkConn,
)
from relaykit.values import Ended, Secret

__all__ = [
    "ACTORS",
    "MOST_MESSAGES",
    "SESSION_MESSAGES",
    "TRANSITIONS",
    "ControlRole",
    "ControlSession",
    "ControlState",
    "ControlStep",
    "Heartbeat",
    "SessionSettings",
]


MOST_MESSAGES: Final = 16
"""Messages that one input deals with: few enough that whoever drives the session can look at the clock."""


class ControlRole(enum.Enum):
    """Which end of the session this is."""

    CLIENT = "client"
    SERVER = "server"


class ControlState(enum.Enum):
    """How far the session is."""

    HELLO_SENT = "hello sent"
    """The client's hello is sent; the server's hello is due."""
    LOGIN_AHEAD = "login sent ahead"
    """So is the login, which had no reason to wait for the server's hello."""
    AGREED = "agreed"
    """Both hellos are known, or there are none; the login is due."""
    VERIFYING = "verifying"
    """Where the server begins: the login is known, whether its proof holds is not."""
    LOGGING_IN = "logging in"
    """The login is not answered."""
    ESTABLISHED = "established"
    """Everything is encrypted; proxies come and go."""
    ENDED = "ended"


class ControlStep(enum.Enum):
    """What one of the ends does."""

    HELLO = "send a hello"
    LOG_IN = "log in"
    ACCEPT_PROOF = "accept a proof"
    ACCEPT_LOGIN = "accept a login"
    REFUSE_LOGIN = "refuse a login"
    REGISTER = "register a proxy"
    ACCEPT_PROXY = "accept a proxy"
    REFUSE_PROXY = "refuse a proxy"
    WITHDRAW = "withdraw a proxy"
    REQUEST_WORK = "request work"
    PING = "ping"
    PONG = "pong"
    SIGNAL = "signal"
    MESSAGE = "send a message of a proxy type"
    GOODBYE = "say goodbye"
    END = "end"


_State, _Step, _Role = ControlState, ControlStep, ControlRole

ACTORS: Mapping[ControlStep, ControlRole | None] = {
    _Step.HELLO: _Role.SERVER,
    _Step.LOG_IN: _Role.CLIENT,
    _Step.ACCEPT_PROOF: _Role.SERVER,
    _Step.ACCEPT_LOGIN: _Role.SERVER,
    _Step.REFUSE_LOGIN: _Role.SERVER,
    _Step.REGISTER: _Role.CLIENT,
    _Step.ACCEPT_PROXY: _Role.SERVER,
    _Step.REFUSE_PROXY: _Role.SERVER,
    _Step.WITHDRAW: _Role.CLIENT,
    _Step.REQUEST_WORK: _Role.SERVER,
    _Step.PING: _Role.CLIENT,
    _Step.PONG: _Role.SERVER,
    _Step.SIGNAL: None,
    _Step.MESSAGE: None,
    _Step.GOODBYE: _Role.SERVER,
    _Step.END: None,
}
"""Whose step it is; None: either's."""

TRANSITIONS: Mapping[tuple[ControlState, ControlStep], ControlState] = {
    (_State.HELLO_SENT, _Step.HELLO): _State.AGREED,
    (_State.HELLO_SENT, _Step.LOG_IN): _State.LOGIN_AHEAD,
    (_State.HELLO_SENT, _Step.REFUSE_LOGIN): _State.ENDED,
    (_State.HELLO_SENT, _Step.END): _State.ENDED,
    (_State.LOGIN_AHEAD, _Step.HELLO): _State.LOGGING_IN,
    (_State.LOGIN_AHEAD, _Step.REFUSE_LOGIN): _State.ENDED,
    (_State.LOGIN_AHEAD, _Step.END): _State.ENDED,
    (_State.AGREED, _Step.LOG_IN): _State.LOGGING_IN,
    (_State.AGREED, _Step.REFUSE_LOGIN): _State.ENDED,
    (_State.AGREED, _Step.END): _State.ENDED,
    (_State.VERIFYING, _Step.ACCEPT_PROOF): _State.LOGGING_IN,
    (_State.VERIFYING, _Step.REFUSE_LOGIN): _State.ENDED,
    (_State.VERIFYING, _Step.END): _State.ENDED,
    (_State.LOGGING_IN, _Step.ACCEPT_LOGIN): _State.ESTABLISHED,
    (_State.LOGGING_IN, _Step.REFUSE_LOGIN): _State.ENDED,
    (_State.LOGGING_IN, _Step.END): _State.ENDED,
    (_State.ESTABLISHED, _Step.REGISTER): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.ACCEPT_PROXY): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.REFUSE_PROXY): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.WITHDRAW): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.REQUEST_WORK): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.PING): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.PONG): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.SIGNAL): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.MESSAGE): _State.ESTABLISHED,
    (_State.ESTABLISHED, _Step.GOODBYE): _State.ENDED,
    (_State.ESTABLISHED, _Step.END): _State.ENDED,
}
"""Every step that is possible.  Another one of this end is its defect; another one of the peer breaks
the rules."""


_STEPS: Mapping[type[Message], ControlStep] = {
    NewProxy: ControlStep.REGISTER,
    CloseProxy: ControlStep.WITHDRAW,
    ReqWorkConn: ControlStep.REQUEST_WORK,
    Ping: ControlStep.PING,
    Pong: ControlStep.PONG,
    Signal: ControlStep.SIGNAL,
    Goodbye: ControlStep.GOODBYE,
}


def _step_of(message: Message) -> ControlStep | None:
    """Which step a message is; None for those that begin or answer connections, which frp ignores here."""
    if isinstance(message, NewProxyResp):
        return ControlStep.REFUSE_PROXY if message.error else ControlStep.ACCEPT_PROXY
    return _STEPS.get(type(message))


@frozen(kw_only=True)
class Heartbeat:
    """How often a client pings and how long silence may last, in seconds; None: not at all."""

    interval_s: float | None = None
    timeout_s: float | None = None


@frozen(kw_only=True)
class SessionSettings:
    """What both ends of a session need.

    ``token`` is what encryption keys are made from.  ``entropy`` answers this many random bytes.
    """

    token: Secret
    entropy: Callable[[int], bytes]
    heartbeat: Heartbeat = Heartbeat()


_OWN_MESSAGES: Mapping[str, type[Message]] = {SIGNAL: Signal, GOODBYE: Goodbye}
"""relaykit's own messages of an established session, by the extension that makes them legal."""

SESSION_MESSAGES = CORE_MESSAGES.extended(*_OWN_MESSAGES.values())
"""All that the core of an established session may act on."""


@functools.lru_cache(maxsize=16)
def _understood(extensions: frozenset[str], of_types: frozenset[type[Message]]) -> MessageTable:
    """What is understood where both ends have these extensions; sessions that are alike share it."""
    own = [message for extension, message in _OWN_MESSAGES.items() if extension in extensions]
    return evolve(CORE_MESSAGES.extended(*own, *of_types), skips_free=True)


class ControlSession:
    """What both ends have; a :class:`relaykit.sansio.contract.StreamCore`.

    A command of an ended session does nothing: nobody is left to hear it.  One that comes too early
    raises :class:`relaykit.errors.LocalProtocolError`; so does one whose message is too long.

    :class:`~relaykit.sansio.control.events.SessionEnded` is the last event, whoever ended the session.
    Where the connection is lost without an end, the core is not told and tells nothing.
    """

    role: ClassVar[ControlRole]

    def __init__(self, state: ControlState, framing: Framing, settings: SessionSettings) -> None:
        self.framing = framing
        """The version of the wire; work connections and visits of the session use the same."""
        self.state = state
        self.extensions: frozenset[str] = frozenset()
        """What both ends agreed on in the hello; empty with version 1 and with frp."""
        self._settings = settings
        self._decoder = framing.make_decoder(OPENING_MESSAGES)
        self._of_types: frozenset[type[Message]] = frozenset()
        self._unread = False
        """Whether there may be more messages in what was received."""
        self._channel: Channel | None = None
        self._liveness = Liveness(None, None, 0.0)
        self._out: list[Buffer] = []
        self._events: list[SessionEvent] = []

    @property
    def has_input(self) -> bool:
        """Whether messages wait until others had their turn: then feed an empty portion."""
        return self._unread and self._reading

    # The five verbs.

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the peer, of which :data:`MOST_MESSAGES` messages are dealt with.

        :raises RemoteProtocolError: the peer broke the rules; the session has ended.
        """
        if self.state is ControlState.ENDED:
            return
        try:
            if self._channel is None:
                self._read_plain(data, now)
            else:
                self._read_sealed(data, now)
        except RemoteProtocolError as error:
            self._end(Ended.PROTOCOL_ERROR, str(error))
            raise

    def end_received(self, now: float) -> None:
        """Tells that the peer will send no more: the session is over."""
        self._end(Ended.FINISHED, "the peer closed the connection")

    def to_send(self, now: float) -> Sequence[Buffer]:
        """Takes what must go out, in order."""
        out, self._out = self._out, []
        return out

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return self._liveness.next_wakeup() if self.state is ControlState.ESTABLISHED else None

    def wake(self, now: float) -> None:
        """Pings, and notices that the peer is silent."""
        while self.state is ControlState.ESTABLISHED and (due := self._liveness.due(now)) is not None:
            if due is Due.PING:
                self._ping()
            else:
                self._end(Ended.TIMEOUT, "the peer gave no sign of life")

    def events(self) -> Sequence[SessionEvent]:
        """Takes what has happened since the last call."""
        events, self._events = self._events, []
        return events

    # Commands of both roles.

    def signal(self, proxy_name: str, visitor_name: str, body: Mapping[str, Any]) -> None:
        """Sends a signal of the proxy type.  ``visitor_name`` is empty for the proxy's own client.

        :raises RefusedError: NOT_AVAILABLE, where the peer takes no signals.
        """
        if self._step(ControlStep.SIGNAL):
            if SIGNAL not in self.extensions:
                raise RefusedError(RefusalCode.NOT_AVAILABLE, "the peer takes no signals")
            self._send(Signal(proxy_name=proxy_name, visitor_name=visitor_name, body=dict(body)))

    def understand(self, messages: Iterable[type[Message]]) -> None:
        """Has these messages of proxy types told, too, from the next one on; nothing is forgotten.

        Each has a type of its own: see :class:`relaykit.sansio.control.type_messages.TypeMessages`.
        """
        self._of_types |= frozenset(messages)
        if self._channel is not None:
            self._decoder.messages = _understood(self.extensions, self._of_types)

    def send(self, message: Message) -> None:
        """Sends a message of a proxy type.

        :raises LocalProtocolError: this version of the wire does not have it, or it is too long.
        """
        if self._step(ControlStep.MESSAGE):
            self._send(message)

    def close(self, why: Ended = Ended.STOPPED, text: str = "") -> None:
        """Ends the session; the peer sees the connection closed."""
        self._end(why, text)

    # For the two roles.

    def _step(self, step: ControlStep) -> bool:
        """Takes a step of this end; False where the session has ended."""
        if self.state is ControlState.ENDED:
            return False
        following = TRANSITIONS.get((self.state, step))
        if following is None or ACTORS[step] not in (self.role, None):
            raise LocalProtocolError(f"a {self.role.value} cannot {step.value} while {self.state.value}")
        self.state = following
        return True

    def _send(self, message: Message) -> None:
        frame = self.framing.encode(message)
        self._out += [frame] if self._channel is None else self._channel.outbound.process(frame)

    def _secure(self, channel: Channel, agreed: Agreement | None, liveness: Liveness) -> None:
        """Encrypts from here on, in both directions."""
        self.extensions = frozenset() if agreed is None else agreed.extensions
        self._channel = channel
        self._decoder = self.framing.make_decoder(_understood(self.extensions, self._of_types))
        self._liveness = liveness

    def _read_plain(self, data: Buffer, now: float) -> None:
        raise NotImplementedError

    def _read_sealed(self, data: Buffer, now: float) -> None:
        assert self._channel is not None
        for piece in self._channel.inbound.process(data):
            self._decoder.receive(piece)
        self._unread = True
        for _ in range(MOST_MESSAGES):
            if not self._reading:
                return
            message = self._decoder.next_message()
            if message is None:
                self._unread = False
                return
            if not isinstance(message, Message):
                raise RemoteProtocolError("a hello after the login")
            step = ControlStep.MESSAGE if type(message) in self._of_types else _step_of(message)
            if step is not None and ACTORS[step] is not self.role:
                self._peer_steps(step)
                self._received(message, now)

    @property
    def _reading(self) -> bool:
        """Whether messages are taken."""
        return self.state is ControlState.ESTABLISHED

    def _peer_steps(self, step: ControlStep) -> None:
        """Takes a step of the peer."""
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            raise RemoteProtocolError(f"the peer must not {step.value} while {self.state.value}")
        self.state = following

    def _received(self, message: Message, now: float) -> None:
        """Acts on a message of the peer that is in order."""
        raise NotImplementedError

    def _signaled(self, message: Signal) -> None:
        self._events.append(SignalReceived(message.proxy_name, message.visitor_name, message.body))

    def _ping(self) -> None:
        """A ping is due."""

    def _end(self, why: Ended, text: str = "") -> None:
        if self._step(ControlStep.END):
            self._events.append(SessionEnded(why, text))
