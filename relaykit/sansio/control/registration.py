"""What a client does to have its proxies registered: asks, asks again, takes back."""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from relaykit.errors import LocalProtocolError

__all__ = [
    "ANSWER_TIMEOUT_S",
    "HANDOVER_S",
    "RETRY_S",
    "SOON_S",
    "TRANSITIONS",
    "RegistrationAccepted",
    "RegistrationDue",
    "RegistrationEvent",
    "RegistrationRefused",
    "RegistrationState",
    "RegistrationStep",
    "Registrations",
    "WithdrawalDue",
]

ANSWER_TIMEOUT_S = 20.0
"""Seconds without an answer after which the proxy is registered once more, as frp does."""

RETRY_S = 30.0
"""Seconds after a refusal until the next attempt, as frp does."""

HANDOVER_S = 5.0
"""Seconds from the start of a session that takes the place of another one, in which frp's server may still
hold the names of that one: it ends a session beside what it answers to others."""

SOON_S = 0.5
"""Seconds after a refusal until the next attempt meanwhile."""

UNANSWERED_KEPT = 8
"""Requests for one name whose answers are still told apart; it bounds what silence costs."""


class RegistrationState(enum.Enum):
    """Where one proxy stands."""

    OFFLINE = "offline"
    """There is no session."""
    WAITING = "waiting"
    """The server was asked and has not answered."""
    RUNNING = "running"
    """Users are let in."""
    REFUSED = "refused"
    """The server said no; it will be asked again."""


class RegistrationStep(enum.Enum):
    """What can happen to one proxy."""

    SESSION_STARTED = "session started"
    SESSION_ENDED = "session ended"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    TIMER = "timer"


_State = RegistrationState
_Step = RegistrationStep

TRANSITIONS: Mapping[tuple[RegistrationState, RegistrationStep], RegistrationState] = {
    (_State.OFFLINE, _Step.SESSION_STARTED): _State.WAITING,
    (_State.WAITING, _Step.ACCEPTED): _State.RUNNING,
    (_State.WAITING, _Step.REFUSED): _State.REFUSED,
    (_State.REFUSED, _Step.ACCEPTED): _State.RUNNING,
    (_State.WAITING, _Step.TIMER): _State.WAITING,
    (_State.REFUSED, _Step.TIMER): _State.WAITING,
    (_State.WAITING, _Step.SESSION_ENDED): _State.OFFLINE,
    (_State.RUNNING, _Step.SESSION_ENDED): _State.OFFLINE,
    (_State.REFUSED, _Step.SESSION_ENDED): _State.OFFLINE,
}
"""The life of one proxy; what is not in the table does not happen, or is ignored as too late."""


@frozen
class RegistrationDue:
    """Ask the server to register this proxy."""

    name: str


@frozen
class WithdrawalDue:
    """Tell the server that this proxy is taken back."""

    name: str


@frozen
class RegistrationAccepted:
    """The server lets users in; ``address`` is what they dial, empty if nothing is public."""

    name: str
    address: str


@frozen
class RegistrationRefused:
    """The server said no; the proxy is tried again after :data:`RETRY_S`, or :data:`SOON_S`."""

    name: str
    reason: str


RegistrationEvent: TypeAlias = RegistrationDue | WithdrawalDue | RegistrationAccepted | RegistrationRefused


@define
class _Proxy:
    generation: int
    since: float
    state: RegistrationState = RegistrationState.OFFLINE
    at: float | None = None

    def move(self, state: RegistrationState, now: float) -> None:
        """Where it stands from now on."""
        if state is not self.state:
            self.state, self.since = state, now


@define
class Registrations:
    """The proxies of one client across its sessions, by the name that the server knows them by.

    Tell it of sessions, of answers and of time, and take :meth:`events` after every call.
    """

    _proxies: dict[str, _Proxy] = field(factory=dict, init=False)
    _unanswered: dict[str, deque[int]] = field(factory=dict, init=False)
    _generation: int = field(default=0, init=False)
    _online: bool = field(default=False, init=False)
    _handed_over_at: float = field(default=0.0, init=False)
    _events: list[RegistrationEvent] = field(factory=list, init=False)
    _wakeups: list[tuple[float, str]] = field(factory=list, init=False)
    """A heap of when each was to be asked again; those that hold no more go as they come to its top."""

    def __iter__(self) -> Iterator[tuple[str, RegistrationState]]:
        return iter([(name, proxy.state) for name, proxy in self._proxies.items()])

    def state(self, name: str) -> RegistrationState | None:
        """Where this proxy stands; None if it is unknown."""
        proxy = self._proxies.get(name)
        return None if proxy is None else proxy.state

    def since(self, name: str) -> float | None:
        """When it got there; None if it is unknown."""
        proxy = self._proxies.get(name)
        return None if proxy is None else proxy.since

    def next_try(self, name: str) -> float | None:
        """When the server is asked again for one that it refused; None for any other."""
        proxy = self._proxies.get(name)
        return proxy.at if proxy is not None and proxy.state is RegistrationState.REFUSED else None

    def add(self, name: str, now: float) -> None:
        """This proxy is to be registered, in this session and all later ones."""
        if name not in self._proxies:
            self._generation += 1
            self._proxies[name] = _Proxy(self._generation, now)
            if self._online:
                self._step(name, RegistrationStep.SESSION_STARTED, now)

    def withdraw(self, name: str) -> None:
        """This proxy is to be registered no more.  Unknown names are ignored."""
        proxy = self._proxies.pop(name, None)
        if proxy is not None and (
            proxy.state is RegistrationState.RUNNING or proxy.generation in self._unanswered.get(name, ())
        ):
            self._events.append(WithdrawalDue(name))

    def session_started(self, now: float, *, replaces: bool = False) -> None:
        """The client is logged in; ``replaces`` if its former session was given up for that."""
        if self._online:
            raise LocalProtocolError("the session has started already")
        self._online = True
        self._handed_over_at = now + HANDOVER_S if replaces else now
        for name in self._proxies:
            self._step(name, RegistrationStep.SESSION_STARTED, now)

    def session_ended(self, now: float) -> None:
        """The session is gone, and with it every registration."""
        self._online = False
        self._unanswered.clear()
        for proxy in self._proxies.values():
            proxy.move(TRANSITIONS.get((proxy.state, RegistrationStep.SESSION_ENDED), proxy.state), now)
            proxy.at = None

    def accepted(self, name: str, address: str, now: float) -> None:
        """The server registered a proxy."""
        if self._answered(name, RegistrationStep.ACCEPTED, now):
            self._events.append(RegistrationAccepted(name, address))

    def refused(self, name: str, reason: str, now: float) -> None:
        """The server refused a proxy."""
        if self._answered(name, RegistrationStep.REFUSED, now):
            self._events.append(RegistrationRefused(name, reason))

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        wakeups = self._wakeups
        while wakeups:
            at, name = wakeups[0]
            proxy = self._proxies.get(name)
            if proxy is not None and proxy.at == at:
                return at
            heapq.heappop(wakeups)
        return None

    def wake(self, now: float) -> None:
        """Asks again where it is time."""
        for name, proxy in self._proxies.items():
            if proxy.at is not None and now >= proxy.at:
                self._step(name, RegistrationStep.TIMER, now)

    def events(self) -> list[RegistrationEvent]:
        """Takes what was decided since the last call."""
        events, self._events = self._events, []
        return events

    def _answered(self, name: str, step: RegistrationStep, now: float) -> bool:
        """Takes an answer, if it is about the present request and not too late.

        Answers come in the order of the requests.  Where a proxy was asked for twice, a yes to
        either makes it run, and a no to the other means that it runs already.
        """
        unanswered = self._unanswered.get(name)
        generation = unanswered.popleft() if unanswered else None
        proxy = self._proxies.get(name)
        if proxy is None or proxy.generation != generation or (proxy.state, step) not in TRANSITIONS:
            return False
        self._step(name, step, now)
        return True

    def _step(self, name: str, step: RegistrationStep, now: float) -> None:
        proxy = self._proxies[name]
        proxy.move(TRANSITIONS[proxy.state, step], now)
        proxy.at = None
        if proxy.state is RegistrationState.RUNNING:
            return
        if proxy.state is RegistrationState.WAITING:
            unanswered = self._unanswered.setdefault(name, deque(maxlen=UNANSWERED_KEPT))
            unanswered.append(proxy.generation)
            self._events.append(RegistrationDue(name))
            proxy.at = now + ANSWER_TIMEOUT_S
        else:
            proxy.at = now + (SOON_S if now < self._handed_over_at else RETRY_S)
        heapq.heappush(self._wakeups, (proxy.at, name))
