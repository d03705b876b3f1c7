"""The server's pool of one client's work connections: when to ask for one, and who gets which."""

from __future__ import annotations

import enum
import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Hashable
from operator import attrgetter
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from relaykit.errors import LocalProtocolError

__all__ = [
    "CROWD_TIMEOUTS",
    "MAX_WAITING_USERS",
    "MOST_ASKED",
    "POOL_HEADROOM",
    "USER_TIMEOUT_S",
    "Asked",
    "Assigned",
    "Discarded",
    "PoolEvent",
    "Unserved",
    "WhyUnserved",
    "WorkPool",
]

POOL_HEADROOM = 10
"""Idle work connections that are kept beyond the pool count; the capacity is frp's."""

MAX_WAITING_USERS = 4096
"""Users of one client that wait at once; each holds a paused leg, which costs a descriptor."""

MOST_ASKED = 512
"""Work connections that a client is asked for at once; for the others it is asked as those come.  A client
that is a second away, TLS included, has one for each of thousands of users in time all the same.  Without mux
it is asked for fewer where they have less room: :func:`relaykit.server.admission.most_asked`."""

USER_TIMEOUT_S = 10.0
"""Seconds that a user waits unless the configuration (``userConnTimeout``) says otherwise."""

LEAST_EXPECTED_S = 1.0
"""Seconds that what a client was asked for is expected at least, however short its users wait."""

CROWD_TIMEOUTS = 6
"""A user waits so many times as long at most, while work connections of the client come and serve others.
Thousands who come at once to a client without mux cost its machine and the server's some seconds of the
processor each, most for TLS, and half a minute on busy ones: they are served one after the other, and not
sent away after having waited."""

UserT = TypeVar("UserT", bound=Hashable)
LegT = TypeVar("LegT", bound=Hashable)


class WhyUnserved(enum.Enum):
    """Why a user gets no work connection."""

    TIMEOUT = "timeout"
    """The client offered none in time."""
    CROWDED = "crowded"
    """Too many users wait already."""
    DEFECTIVE = "defective"
    """One work connection after the other broke before it could be used."""
    SESSION_ENDED = "session-ended"
    """The client is gone."""


@frozen
class Asked:
    """Ask the client for this many work connections."""

    count: int


@frozen
class Assigned(Generic[UserT, LegT]):
    """This user gets this work connection: send StartWorkConn on it.

    Where that cannot be sent, hand the event to :meth:`WorkPool.retry`.
    """

    user: UserT
    leg: LegT
    deadline: float
    attempt: int
    number: int


@frozen
class Unserved(Generic[UserT]):
    """This user gets none."""

    user: UserT
    why: WhyUnserved


@frozen
class Discarded(Generic[LegT]):
    """This work connection is not needed; close it.

    ``surplus``: it came although the pool was full, and the client is told so.
    """

    leg: LegT
    surplus: bool


PoolEvent: TypeAlias = Asked | Assigned[UserT, LegT] | Unserved[UserT] | Discarded[LegT]


@frozen
class _Wait(Generic[UserT]):
    """A user in the queue, which is ordered by ``number``; deadlines grow with it."""

    number: int
    deadline: float
    user: UserT
    attempt: int


_number = attrgetter("number")


class WorkPool(Generic[UserT, LegT]):
    """Decides for one session; users and legs are whatever hashable objects the caller names them by.

    ``pool_count`` connections are asked for at the beginning.  A user gets the idle connection
    that came first, or waits for the next one that comes.  One more is asked for with every user
    who has to wait and with every assignment, so that the pool settles where users find a spare one;
    it never asks for more spare ones than it could keep.  At most ``most_asked`` are under way at a time.
    After every call take :meth:`events`.

    Who must wait is served in the order of arrival, at most ``user_timeout_s`` after arriving or after a work
    connection came, and within :data:`CROWD_TIMEOUTS` times as long; an assignment that had to be retried
    loses neither its place nor time.
    """

    def __init__(
        self,
        pool_count: int,
        now: float,
        user_timeout_s: float = USER_TIMEOUT_S,
        most_asked: int = MOST_ASKED,
    ) -> None:
        pool_count = max(0, pool_count)
        self.capacity = pool_count + POOL_HEADROOM
        self._user_timeout_s = user_timeout_s
        self._most_asked = most_asked
        self._idle: OrderedDict[LegT, None] = OrderedDict()
        self._waiting: list[_Wait[UserT]] = []
        self._waits: dict[UserT, _Wait[UserT]] = {}
        self._asked: deque[float] = deque()
        """When each of those that are under way was asked for."""
        self._to_ask = pool_count
        self._number = 0
        self._latest = now
        self._came_at = -math.inf
        self._closed = False
        self._events: list[PoolEvent[UserT, LegT]] = []

    @property
    def idle(self) -> int:
        """How many work connections are ready."""
        return len(self._idle)

    @property
    def idle_legs(self) -> tuple[LegT, ...]:
        """The work connections that are ready, in the order in which they came."""
        return tuple(self._idle)

    @property
    def waiting(self) -> int:
        """How many users wait."""
        return len(self._waiting)

    def want(self, user: UserT, now: float) -> None:
        """A user needs a work connection."""
        if user in self._waits:
            raise LocalProtocolError(f"{user!r} waits already")
        if self._closed:
            self._events.append(Unserved(user, WhyUnserved.SESSION_ENDED))
            return
        self._number += 1
        self._pass(now)
        self._serve(_Wait(self._number, self._latest + self._user_timeout_s, user, 1))

    def cancel(self, user: UserT) -> None:
        """The user does not wait any more.  Unknown users are ignored."""
        wait = self._waits.pop(user, None)
        if wait is not None:
            del self._waiting[bisect_left(self._waiting, wait.number, key=_number)]

    def retry(self, failed: Assigned[UserT, LegT], now: float) -> None:
        """The assigned connection broke before the user could be started on it: try another.

        That is done once more than there can be idle ones that died unnoticed.
        """
        if self._closed:
            self._events.append(Unserved(failed.user, WhyUnserved.SESSION_ENDED))
        elif now >= self._until(failed.deadline):
            self._events.append(Unserved(failed.user, WhyUnserved.TIMEOUT))
        elif failed.attempt > self.capacity:
            self._events.append(Unserved(failed.user, WhyUnserved.DEFECTIVE))
        else:
            self._pass(now)
            self._serve(_Wait(failed.number, failed.deadline, failed.user, failed.attempt + 1))

    def add(self, leg: LegT, now: float) -> None:
        """The client opened a work connection; the pool owns it until it is assigned or discarded."""
        if self._closed:
            self._events.append(Discarded(leg, surplus=False))
            return
        self._pass(now)
        self._came_at = self._latest
        if self._asked:
            self._asked.popleft()
        if self._waiting:
            wait = self._waiting.pop(0)
            del self._waits[wait.user]
            self._assign(wait, leg)
        elif len(self._idle) < self.capacity:
            self._idle[leg] = None
        else:
            self._events.append(Discarded(leg, surplus=True))

    def lost(self, leg: LegT) -> None:
        """An idle work connection is gone.  Unknown ones are ignored."""
        self._idle.pop(leg, None)

    def close(self) -> None:
        """The session ends: all users go unserved, all idle connections are discarded."""
        self._closed = True
        self._to_ask = 0
        for wait in self._waiting:
            self._events.append(Unserved(wait.user, WhyUnserved.SESSION_ENDED))
        for leg in self._idle:
            self._events.append(Discarded(leg, surplus=False))
        self._waiting.clear()
        self._waits.clear()
        self._idle.clear()

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return self._until(self._waiting[0].deadline) if self._waiting else None

    def wake(self, now: float) -> None:
        """Ends the wait of users whose time is up."""
        expired = 0
        while expired < len(self._waiting) and self._until(self._waiting[expired].deadline) <= now:
            user = self._waiting[expired].user
            del self._waits[user]
            self._events.append(Unserved(user, WhyUnserved.TIMEOUT))
            expired += 1
        del self._waiting[:expired]
        self._pass(now)

    def events(self) -> list[PoolEvent[UserT, LegT]]:
        """Takes what was decided since the last call."""
        events, self._events = self._events, []
        # Who still waits although what was asked for has not come needs another one.
        spare = len(self._idle) + len(self._asked) - len(self._waiting)
        self._to_ask = max(0, -spare, min(self._to_ask, self.capacity - spare))
        count = min(self._to_ask, self._most_asked - len(self._asked))
        if count > 0:
            events.append(Asked(count))
            self._to_ask -= count
            self._asked.extend([self._latest] * count)
        return events

    def _until(self, deadline: float) -> float:
        """Until when somebody waits who has this deadline: longer while work connections come."""
        timeout_s = self._user_timeout_s
        return min(max(deadline, self._came_at + timeout_s), deadline + (CROWD_TIMEOUTS - 1) * timeout_s)

    def _serve(self, wait: _Wait[UserT]) -> None:
        if self._idle:
            leg, _ = self._idle.popitem(last=False)
            self._assign(wait, leg)
        elif len(self._waiting) >= MAX_WAITING_USERS:
            self._events.append(Unserved(wait.user, WhyUnserved.CROWDED))
        else:
            insort(self._waiting, wait, key=_number)
            self._waits[wait.user] = wait
            self._to_ask += 1

    def _assign(self, wait: _Wait[UserT], leg: LegT) -> None:
        self._events.append(Assigned(wait.user, leg, wait.deadline, wait.attempt, wait.number))
        self._to_ask += 1

    def _pass(self, now: float) -> None:
        """Time has passed: expects nothing any more of what was asked for longer ago than a user waits."""
        self._latest = max(self._latest, now)
        while self._asked and self._latest >= self._expected_until(self._asked[0]):
            self._asked.popleft()

    def _expected_until(self, asked_at: float) -> float:
        """Until when what was asked for then may come: in a crowd it is only slow, as long as others come."""
        until = asked_at + max(self._user_timeout_s, LEAST_EXPECTED_S)
        return max(until, self._until(until)) if self._waiting else until
