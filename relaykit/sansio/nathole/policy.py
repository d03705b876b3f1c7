"""When a visitor punches a hole, which all its users share, and when a user waits for it no longer.

A hole is punched when a user comes, or with ``keep_open`` as soon as there is a session.  Users wait for it
as long as frp lets them; one who has another way to go takes that much sooner, and at once where no attempt
can come in time.  A hole that answers nothing is given up, so that it is made again for those who come next.

Source: frp's ``client/visitor/xtcp.go``.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TypeAlias

from attrs import frozen

from relaykit.sansio.rates import RateLimit

__all__ = [
    "ATTEMPT_EVERY_S",
    "MOST_WAITING",
    "PING_S",
    "UNANSWERED_PINGS",
    "USER_WAIT_S",
    "PolicyAction",
    "PolicyEvent",
    "TunnelPolicy",
    "UserServed",
    "UserTurnedAway",
    "WhyTurnedAway",
]

USER_WAIT_S = 20.0
"""Longest wait of a user who has no other way; frp's figure."""

ATTEMPT_EVERY_S = 10.0
"""Seconds from one attempt to the next, however many users come; frp's figure."""

MOST_WAITING = 1024
"""Users of one visitor that wait for its hole at once; each holds a connection meanwhile."""

PING_S = 5.0
"""Seconds between two pings of a hole: less than the shortest time after which NATs forget, and seldom enough
for a telephone."""

UNANSWERED_PINGS = 2
"""Pings in a row without an answer after which a hole is given up; the last one has its time, too."""

_HOUR_S = 3600.0


class PolicyAction(enum.Enum):
    """What has to be done."""

    ATTEMPT = "attempt"
    """Punch a hole; :meth:`TunnelPolicy.opened` or :meth:`TunnelPolicy.failed` tells how that ended."""
    PING = "ping"
    """Ask over the hole; :meth:`TunnelPolicy.answered` tells of the answer."""
    GIVE_UP = "give up"
    """Close the hole: it answers nothing."""


class WhyTurnedAway(enum.Enum):
    """Why a user got nothing."""

    TOO_LATE = "there was no direct path in time"
    NOT_IN_TIME = "no direct path can be there in time"
    REFUSED = "the server refuses a direct path"
    TOO_MANY = "too many users wait for a direct path"


@frozen
class UserServed:
    """A user gets a stream of the hole."""

    user: int


@frozen
class UserTurnedAway:
    """A user takes another way, or is let go."""

    user: int
    why: WhyTurnedAway


PolicyEvent: TypeAlias = PolicyAction | UserServed | UserTurnedAway


class TunnelPolicy:
    """The policy of one visitor; a core by :class:`relaykit.sansio.contract.Core`.

    Users are numbers of the caller's choice.

    :param keep_open: the hole is punched without users, and again once it is lost.
    :param retries_an_hour: how often it is punched for that reason.
    :param retry_interval_s: how long each such attempt waits after the last one.
    :param wait_s: how long a user waits.
    """

    def __init__(
        self,
        *,
        keep_open: bool = False,
        retries_an_hour: int = 8,
        retry_interval_s: float = 90.0,
        wait_s: float = USER_WAIT_S,
    ) -> None:
        self._wait_s = wait_s
        self._retry_interval_s = retry_interval_s
        self._retry_pause_s = _HOUR_S / retries_an_hour
        self._retries = RateLimit(retries_an_hour, retries_an_hour / _HOUR_S, 1)
        self._keep_open = keep_open
        self._retry_due = float("-inf")
        self._online = False
        self._attempting = False
        self._is_wanted = False
        self._attempted_at = float("-inf")
        self._waiting: dict[int, float] = {}
        """Until when each user waits."""
        self._ping_due: float | None = None
        """When the hole is pinged next; None while there is none."""
        self._unanswered = 0
        self._events: list[PolicyEvent] = []

    @property
    def waiting(self) -> int:
        """How many users wait."""
        return len(self._waiting)

    # --- what happens

    def session_started(self, now: float) -> None:
        """There is a server that brings the two ends together."""
        self._online = True
        self.wake(now)

    def session_ended(self) -> None:
        """There is none; a hole that is open lives on, and so does an attempt until it is told of."""
        self._online = False

    def user_came(self, user: int, now: float) -> None:
        """A user wants to be served."""
        if self._ping_due is not None:
            self._events.append(UserServed(user))
            return
        if len(self._waiting) >= MOST_WAITING:
            self._turn_away(user, WhyTurnedAway.TOO_MANY)
            return
        self._is_wanted = True
        self._waiting[user] = now + self._wait_s
        self.wake(now)
        self._turn_away_hopeless()

    def user_left(self, user: int) -> None:
        """A user waits no longer; unknown ones are ignored."""
        self._waiting.pop(user, None)

    def opened(self, now: float) -> None:
        """The attempt succeeded: there is a hole."""
        self._attempting = self._is_wanted = False
        self._ping_due, self._unanswered = now + PING_S, 0
        self._events.extend(map(UserServed, self._waiting))
        self._waiting.clear()

    def failed(self, now: float, *, refused: bool = False) -> None:
        """The attempt failed; another one soon is of no use where the server ``refused``."""
        self._attempting = False
        self._retry_later(now)
        if refused:
            for user in tuple(self._waiting):
                self._turn_away(user, WhyTurnedAway.REFUSED)
        self._is_wanted = bool(self._waiting)
        self.wake(now)
        self._turn_away_hopeless()

    def lost(self, now: float) -> None:
        """The hole is gone."""
        self._ping_due = None
        self._retry_later(now)
        self.wake(now)

    def answered(self) -> None:
        """The peer answered over the hole."""
        self._unanswered = 0

    # --- what comes of it

    def next_wakeup(self) -> float | None:
        """When a user, an attempt or a ping is due."""
        times = [*self._waiting.values()]
        times.extend(each for each in (self._attempt_due, self._ping_due) if each is not None)
        return min(times, default=None)

    def wake(self, now: float) -> None:
        """Turns away who has waited long enough, begins attempts, pings."""
        for user, until in tuple(self._waiting.items()):
            if now >= until:
                self._turn_away(user, WhyTurnedAway.TOO_LATE)
        if self._ping_due is not None and now >= self._ping_due:
            self._ping(now)
        due = self._attempt_due
        if due is not None and now >= due:
            self._attempt(now)

    def events(self) -> Sequence[PolicyEvent]:
        """Takes what is to be done since the last call."""
        taken, self._events = self._events, []
        return taken

    # --- inside

    @property
    def _attempt_due(self) -> float | None:
        """When an attempt may begin that somebody wants."""
        if not self._online or self._attempting or self._ping_due is not None:
            return None
        times = []
        if self._is_wanted:
            times.append(self._attempted_at + ATTEMPT_EVERY_S)
        if self._keep_open:
            times.append(self._retry_due)
        return min(times, default=None)

    def _attempt(self, now: float) -> None:
        is_retry = not self._is_wanted or now < self._attempted_at + ATTEMPT_EVERY_S
        if is_retry and not self._retries.admits(("",), now):
            self._retry_due = now + self._retry_pause_s
            return
        self._attempting, self._attempted_at = True, now
        self._events.append(PolicyAction.ATTEMPT)

    def _retry_later(self, now: float) -> None:
        self._retry_due = max(now, self._attempted_at + self._retry_interval_s)

    def _ping(self, now: float) -> None:
        if self._unanswered >= UNANSWERED_PINGS:
            self._events.append(PolicyAction.GIVE_UP)
            self.lost(now)
            return
        self._unanswered += 1
        self._ping_due = now + PING_S
        self._events.append(PolicyAction.PING)

    def _turn_away_hopeless(self) -> None:
        """Lets go who cannot be served in time, whatever comes."""
        if self._attempting or not self._online:
            return
        begins = self._attempt_due
        for user, until in tuple(self._waiting.items()):
            if begins is None or begins >= until:
                self._turn_away(user, WhyTurnedAway.NOT_IN_TIME)

    def _turn_away(self, user: int, why: WhyTurnedAway) -> None:
        self._waiting.pop(user, None)
        self._events.append(UserTurnedAway(user, why))
