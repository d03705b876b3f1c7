"""The server's pool of one client's work connections: when to ask for one, and who gets which."""

from __future__ import annotations

import enum
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Hashable
from operator import attrgetter
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from relaykit.errors import LocalProtocolError

__all__ = [
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
"""Work connections that a client is asked for at once; for the others it is asked as those come.  Without mux
they are among the pending ones until they have said whose they are, where three such clients of one address
must have room: :data:`relaykit.server.admission.MAX_PENDING_OF_KNOWN`.  A client that is a second away, TLS
included, has one for each of thousands of users in time all the same."""

USER_TIMEOUT_S = 10.0
"""Seconds that a user waits unless the configuration (``userConnTimeout``) says otherwise."""

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
    it never asks for more spare ones than it could keep.  At most :data:`MOST_ASKED` are under way at a time.
    After every call take :meth:`events`.

    Who must wait is served in the order of arrival, at most ``user_timeout_s`` after arriving; an
    assignment that had to be retried loses neither its place nor time.
    """

    def __init__(self, pool_count: int, now: float, user_timeout_s: float = USER_TIMEOUT_S) -> None:
        pool_count = max(0, pool_count)
        self.capacity = pool_count + POOL_HEADROOM
        self._user_timeout_s = user_timeout_s
        self._idle: OrderedDict[LegT, None] = OrderedDict()
        self._waiting: list[_Wait[UserT]] = []
        self._waits: dict[UserT, _Wait[UserT]] = {}
        self._asked: deque[float] = deque()
        self._number = 0
        self._latest = now
        self._closed = False
        self._to_ask = 0
        self._events: list[PoolEvent[UserT, LegT]] = []
        self._ask(pool_count, now)

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
        self._latest = max(self._latest, now)
        self._serve(_Wait(self._number, self._latest + self._user_timeout_s, user, 1), now)

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
        elif now >= failed.deadline:
            self._events.append(Unserved(failed.user, WhyUnserved.TIMEOUT))
        elif failed.attempt > self.capacity:
            self._events.append(Unserved(failed.user, WhyUnserved.DEFECTIVE))
        else:
            self._serve(_Wait(failed.number, failed.deadline, failed.user, failed.attempt + 1), now)

    def add(self, leg: LegT, now: float) -> None:
        """The client opened a work connection; the pool owns it until it is assigned or discarded."""
        if self._closed:
            self._events.append(Discarded(leg, surplus=False))
            return
        if self._asked:
            self._asked.popleft()
            self._to_ask = min(self._to_ask, len(self._asked))
        if self._waiting:
            wait = self._waiting.pop(0)
            del self._waits[wait.user]
            self._assign(wait, leg, now)
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
        return self._waiting[0].deadline if self._waiting else None

    def wake(self, now: float) -> None:
        """Ends the wait of users whose time is up."""
        expired = 0
        while expired < len(self._waiting) and self._waiting[expired].deadline <= now:
            user = self._waiting[expired].user
            del self._waits[user]
            self._events.append(Unserved(user, WhyUnserved.TIMEOUT))
            expired += 1
        del self._waiting[:expired]
        self._write_off(now)

    def events(self) -> list[PoolEvent[UserT, LegT]]:
        """Takes what was decided since the last call."""
        events, self._events = self._events, []
        under_way = len(self._asked) - self._to_ask
        count = min(self._to_ask, MOST_ASKED - under_way)
        if count > 0:
            events.append(Asked(count))
            self._to_ask -= count
        return events

    def _serve(self, wait: _Wait[UserT], now: float) -> None:
        if self._idle:
            leg, _ = self._idle.popitem(last=False)
            self._assign(wait, leg, now)
        elif len(self._waiting) >= MAX_WAITING_USERS:
            self._events.append(Unserved(wait.user, WhyUnserved.CROWDED))
        else:
            insort(self._waiting, wait, key=_number)
            self._waits[wait.user] = wait
            self._write_off(now)
            self._ask(1, now)

    def _assign(self, wait: _Wait[UserT], leg: LegT, now: float) -> None:
        self._events.append(Assigned(wait.user, leg, wait.deadline, wait.attempt, wait.number))
        self._write_off(now)
        spare = len(self._idle) + len(self._asked) - len(self._waiting)
        if spare < self.capacity:
            self._ask(1, now)

    def _ask(self, count: int, now: float) -> None:
        self._to_ask += count
        self._asked.extend([now] * count)

    def _write_off(self, now: float) -> None:
        """Expects nothing any more from what was asked for longer ago than a user waits."""
        while self._asked and now - self._asked[0] >= self._user_timeout_s:
            self._asked.popleft()
        self._to_ask = min(self._to_ask, len(self._asked))
