"""When local services are checked, and what the results say of their proxies."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from attrs import define, field, frozen

__all__ = [
    "EXTENT_OF_JITTER",
    "MOST_AT_ONCE",
    "TRANSITIONS",
    "BecameHealthy",
    "BecameUnhealthy",
    "CheckDue",
    "CheckFailed",
    "CheckOver",
    "CheckPace",
    "CheckStep",
    "Health",
    "HealthChecks",
    "HealthEvent",
    "HealthState",
]

MOST_AT_ONCE = 64
"""Checks that run at the same time; the others wait for their turn.  Each takes a descriptor, of which a
process may have no more than 256 on some systems, and users need most of them."""

EXTENT_OF_JITTER = 0.1
"""The part of an interval that is left to chance: checks that began together spread themselves."""


class HealthState(enum.Enum):
    """What is known of a local service."""

    UNKNOWN = "unknown"
    """No check has ended yet."""
    HEALTHY = "healthy"
    """Users may come."""
    UNHEALTHY = "unhealthy"
    """It does not serve."""


class CheckStep(enum.Enum):
    """How a check can end."""

    PASSED = "passed"
    FAILED = "failed"
    """It failed, and so few before it that this may be chance."""
    FAILED_IN_A_ROW = "failed in a row"
    """It failed, as did those before it: as many as may."""


_State, _Step = HealthState, CheckStep

TRANSITIONS: Mapping[tuple[HealthState, CheckStep], HealthState] = {
    (_State.UNKNOWN, _Step.PASSED): _State.HEALTHY,
    (_State.UNKNOWN, _Step.FAILED): _State.UNHEALTHY,
    (_State.UNKNOWN, _Step.FAILED_IN_A_ROW): _State.UNHEALTHY,
    (_State.HEALTHY, _Step.PASSED): _State.HEALTHY,
    (_State.HEALTHY, _Step.FAILED): _State.HEALTHY,
    (_State.HEALTHY, _Step.FAILED_IN_A_ROW): _State.UNHEALTHY,
    (_State.UNHEALTHY, _Step.PASSED): _State.HEALTHY,
    (_State.UNHEALTHY, _Step.FAILED): _State.UNHEALTHY,
    (_State.UNHEALTHY, _Step.FAILED_IN_A_ROW): _State.UNHEALTHY,
}
"""What each result makes of a local service; the table is complete."""


@frozen
class CheckPace:
    """How often a local service is checked: seconds between checks, seconds for one, failures in a row."""

    interval_s: float
    timeout_s: float
    max_failed: int


@frozen
class Health:
    """What is known of a local service.

    :ivar since: when it got into its state, or began to be watched.
    :ivar checked: when the last check ended; None before that.
    :ivar reason: why that one failed; empty if it passed.
    """

    state: HealthState
    since: float
    checked: float | None = None
    reason: str = ""


@frozen
class CheckDue:
    """Begin a check, and tell its result by :meth:`HealthChecks.passed` or :meth:`HealthChecks.failed`."""

    name: str


@frozen
class CheckOver:
    """Give up the check that runs; its result must not be told any more."""

    name: str


@frozen
class CheckFailed:
    """A check failed."""

    name: str
    reason: str


@frozen
class BecameHealthy:
    """Users may come from now on."""

    name: str


@frozen
class BecameUnhealthy:
    """No users may come from now on, because of the failure that was told just before."""

    name: str
    reason: str


HealthEvent: TypeAlias = CheckDue | CheckOver | CheckFailed | BecameHealthy | BecameUnhealthy


@define
class _Watched:
    pace: CheckPace
    health: Health
    failures: int = 0
    place: int = 0
    """Its latest one among those that wait."""


@define
class HealthChecks:
    """The local services of one client, by the names of their proxies.

    ``entropy`` answers numbers from 0 up to but not including 1.
    """

    _entropy: Callable[[], float]
    _watched: dict[str, _Watched] = field(factory=dict, init=False)
    _running: dict[str, float] = field(factory=dict, init=False)
    """Until when each check may run."""
    _waiting: list[tuple[float, int, str]] = field(factory=list, init=False)
    """A heap of all others: when each is due, and the place of each in the order in which they came to wait.
    Whoever is forgotten leaves a place of nobody, for no other one is to be looked at."""
    _places: int = field(default=0, init=False)
    _events: list[HealthEvent] = field(factory=list, init=False)

    def health(self, name: str) -> Health | None:
        """What is known of this one; None if it is not watched."""
        watched = self._watched.get(name)
        return None if watched is None else watched.health

    def watch(self, name: str, pace: CheckPace, now: float) -> None:
        """Checks this one at once, and again and again.  Whoever is watched already begins anew."""
        self.forget(name, now)
        self._watched[name] = _Watched(pace, Health(HealthState.UNKNOWN, now))
        self._wait(name, now)
        self._begin(now)

    def forget(self, name: str, now: float) -> None:
        """Watches this one no more.  Unknown names are ignored."""
        if self._watched.pop(name, None) is None:
            return
        if self._running.pop(name, None) is not None:
            self._events.append(CheckOver(name))
        self._begin(now)

    def forget_all(self) -> None:
        """Watches nothing any more."""
        self._events += map(CheckOver, self._running)
        self._watched.clear()
        self._running.clear()
        self._waiting.clear()

    def check_now(self, now: float) -> None:
        """There is a reason not to rely on the last results: checks are due at once."""
        self._waiting = [(min(at, now), place, name) for at, place, name in self._waiting]
        heapify(self._waiting)
        self._begin(now)

    def passed(self, name: str, now: float) -> None:
        """The check that was begun last passed; ignored if there is none."""
        self._ended(name, None, now)
        self._begin(now)

    def failed(self, name: str, reason: str, now: float) -> None:
        """The check that was begun last failed; ignored if there is none."""
        self._ended(name, reason, now)
        self._begin(now)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        times = list(self._running.values())
        if self._waiting and len(times) < MOST_AT_ONCE:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def wake(self, now: float) -> None:
        """Ends the checks that have had their time, and begins those that are due."""
        for name in [name for name, until in self._running.items() if now >= until]:
            self._events.append(CheckOver(name))
            self._ended(name, f"no answer within {self._watched[name].pace.timeout_s:g} seconds", now)
        self._begin(now)

    def events(self) -> list[HealthEvent]:
        """Takes what was decided since the last call."""
        events, self._events = self._events, []
        return events

    def _wait(self, name: str, at: float) -> None:
        self._places += 1
        self._watched[name].place = self._places
        heappush(self._waiting, (at, self._places, name))
        if len(self._waiting) > 2 * len(self._watched):
            self._waiting = [each for each in self._waiting if self._watched_at(each[1], each[2])]
            heapify(self._waiting)

    def _watched_at(self, place: int, name: str) -> _Watched | None:
        """Whose place that is; None for nobody's."""
        watched = self._watched.get(name)
        return watched if watched is not None and watched.place == place else None

    def _begin(self, now: float) -> None:
        """Begins what is due, the longest due first, as far as there is room."""
        while self._waiting:
            at, place, name = self._waiting[0]
            watched = self._watched_at(place, name)
            if watched is not None:
                if at > now or len(self._running) >= MOST_AT_ONCE:
                    return
                self._running[name] = now + watched.pace.timeout_s
                self._events.append(CheckDue(name))
            heappop(self._waiting)

    def _ended(self, name: str, reason: str | None, now: float) -> None:
        """Takes the result of a check: why it failed, or None if it passed."""
        if self._running.pop(name, None) is None:
            return
        watched = self._watched[name]
        pace, before = watched.pace, watched.health
        self._wait(name, now + pace.interval_s * (1 - EXTENT_OF_JITTER * self._entropy()))
        if reason is None:
            watched.failures = 0
            step = CheckStep.PASSED
        else:
            watched.failures += 1
            step = CheckStep.FAILED if watched.failures < pace.max_failed else CheckStep.FAILED_IN_A_ROW
            self._events.append(CheckFailed(name, reason))
        state = TRANSITIONS[before.state, step]
        since = before.since if state is before.state else now
        watched.health = Health(state, since, checked=now, reason=reason or "")
        if state is not before.state:
            self._events.append(BecameHealthy(name) if reason is None else BecameUnhealthy(name, reason))
