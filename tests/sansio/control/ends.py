"""Both ends of control sessions with everything fixed that chance or the clock would decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from relaykit.authentication import TokenProver, TokenVerifier
from relaykit.errors import RefusedError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.control.client_control import ClientControl
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.control.events import ProofNeeded, ProofReceived, SessionEvent
from relaykit.sansio.control.extensions import EXTENSIONS
from relaykit.sansio.control.server_control import ServerControl
from relaykit.sansio.control.server_opening import FirstMessage, OpeningEvent, ServerOpening
from relaykit.sansio.control.session import Heartbeat, SessionSettings
from relaykit.sansio.control.texts import DETAILED, PeerTexts
from relaykit.sansio.wire.framing import V1, V2, Framing
from relaykit.sansio.wire.messages import Login
from relaykit.testing.pair import CorePair, whole
from relaykit.values import ClientIdentity, Secret

__all__ = [
    "BOTH",
    "ENTROPY",
    "LOGIN",
    "NO_HEARTBEAT",
    "TOKEN",
    "UNIX_TIME",
    "VERSION",
    "Pair",
    "ServerEnd",
    "TokenClient",
    "TokenServer",
    "client",
    "established",
    "fixed",
    "opened",
    "sent",
    "server",
    "settings",
]

BOTH = (V1, V2)
TOKEN = Secret("12345678")
UNIX_TIME = 1700000000
VERSION = "0.70.1"
NO_HEARTBEAT = Heartbeat()


def fixed(first: int) -> Callable[[int], bytes]:
    """Entropy that always begins with this byte and counts on."""
    return lambda length: bytes((first + place) % 256 for place in range(length))


ENTROPY = fixed(0x20)
LOGIN = Login(version=VERSION, user="ann", pool_count=1)


def settings(
    *,
    token: Secret = TOKEN,
    entropy: Callable[[int], bytes] = ENTROPY,
    heartbeat: Heartbeat = NO_HEARTBEAT,
) -> SessionSettings:
    """What one end is given."""
    return SessionSettings(token=token, entropy=entropy, heartbeat=heartbeat)


class TokenClient(ClientControl):
    """A client that proves at once, as its driver does with a token."""

    def __init__(self, prover: TokenProver, *given: Any, **named: Any) -> None:
        self.prover = prover
        self._told: list[SessionEvent] = []
        super().__init__(*given, scopes=prover.scopes, **named)
        self._prove()

    def receive(self, data: Buffer, now: float) -> None:
        super().receive(data, now)
        self._prove()

    def wake(self, now: float) -> None:
        super().wake(now)
        self._prove()

    def key_derived(self, token_key: bytes) -> None:
        super().key_derived(token_key)
        self._prove()

    def events(self) -> Sequence[SessionEvent]:
        self._prove()
        told, self._told = self._told, []
        return told

    def _prove(self) -> None:
        while events := super().events():
            for event in events:
                if isinstance(event, ProofNeeded):
                    self.proof_made(event, self.prover.prove(event.scope, event.bound))
                else:
                    self._told.append(event)


class TokenServer(ServerControl):
    """A server that verifies at once, as its driver does with a token."""

    def __init__(self, verifier: TokenVerifier, *given: Any, **named: Any) -> None:
        self._verifier = verifier
        self._told: list[SessionEvent] = []
        super().__init__(*given, scopes=verifier.scopes, **named)
        self._verify(0.0)

    def receive(self, data: Buffer, now: float) -> None:
        super().receive(data, now)
        self._verify(now)

    def accept(self, run_id: str, now: float) -> None:
        super().accept(run_id, now)
        self._verify(now)

    def events(self) -> Sequence[SessionEvent]:
        self._told += super().events()
        told, self._told = self._told, []
        return told

    def _verify(self, now: float) -> None:
        while events := super().events():
            for event in events:
                if not isinstance(event, ProofReceived):
                    self._told.append(event)
                    continue
                try:
                    self._verifier.verify(event.scope, event.proof, ClientIdentity(""))
                except RefusedError as refusal:
                    self.refuse_proof(event, refusal.text, now)
                else:
                    self.accept_proof(event, now)


def client(
    framing: Framing,
    *,
    login: Login = LOGIN,
    scopes: Sequence[Scope] = (),
    extensions: frozenset[str] = EXTENSIONS,
    **given: Any,
) -> ClientControl:
    """A client at time 0, with chance of its own."""
    chosen = settings(**{"entropy": fixed(0), **given})
    prover = TokenProver(chosen.token, lambda: UNIX_TIME, scopes)
    return TokenClient(prover, login, framing, chosen, 0.0, extensions=extensions)


def sent(core: ClientControl | ServerControl | ServerOpening, now: float = 0.0) -> bytes:
    """What a core has to send, in one piece."""
    return b"".join(bytes(piece) for piece in core.to_send(now))


def opened(data: bytes, extensions: frozenset[str] = EXTENSIONS) -> FirstMessage:
    """What a server makes of an opening that is whole."""
    opening = ServerOpening(0.0, VERSION, fixed(0x20), extensions)
    opening.receive(data, 0.0)
    (event,) = opening.events()
    assert isinstance(event, FirstMessage)
    assert opening.unread() == b""
    return event


def server(
    first: FirstMessage,
    *,
    scopes: Sequence[Scope] = (),
    texts: PeerTexts = DETAILED,
    **given: Any,
) -> ServerControl:
    """The server's end of a login."""
    chosen = settings(**given)
    return TokenServer(TokenVerifier(chosen.token, scopes), first, chosen, VERSION, 0.0, texts=texts)


class ServerEnd:
    """A core of a whole control connection: the opening, then the session that it leads to."""

    def __init__(self, make_session: Callable[[FirstMessage], ServerControl]) -> None:
        self.opening = ServerOpening(0.0, VERSION, fixed(0x20))
        self.session: ServerControl | None = None
        self._make_session = make_session
        self._opening_events: list[OpeningEvent] = []

    @property
    def _core(self) -> ServerOpening | ServerControl:
        return self.session or self.opening

    @property
    def has_input(self) -> bool:
        return self._core.has_input

    def receive(self, data: Buffer, now: float) -> None:
        self._core.receive(data, now)
        if self.session is not None:
            return
        for event in self.opening.events():
            if isinstance(event, FirstMessage):
                self.session = self._make_session(event)
                self.session.receive(self.opening.unread(), now)
            else:
                self._opening_events.append(event)

    def end_received(self, now: float) -> None:
        self._core.end_received(now)

    def to_send(self, now: float) -> Sequence[Buffer]:
        return self._core.to_send(now)

    def next_wakeup(self) -> float | None:
        return self._core.next_wakeup()

    def wake(self, now: float) -> None:
        self._core.wake(now)

    def events(self) -> Sequence[Any]:
        if self.session is not None:
            return self.session.events()
        events, self._opening_events = [*self._opening_events, *self.opening.events()], []
        return events


Pair: TypeAlias = CorePair[ClientControl, ServerEnd]
"""A client (near) and a server (far)."""


def established(
    framing: Framing,
    *,
    near: Callable[..., ClientControl] = client,
    far: Callable[[FirstMessage], ServerControl] = server,
    deliver: Callable[[bytes], Any] = whole,
    latency: float = 0.0,
) -> Pair:
    """A pair after the login; its events are taken."""
    pair: Pair = CorePair(near(framing), ServerEnd(far), deliver=deliver, latency=latency)
    pair.settle()
    assert pair.far.core.session is not None
    pair.far.core.session.accept("0123456789abcdef", pair.now)
    pair.settle()
    pair.near.events.clear()
    pair.far.events.clear()
    return pair
