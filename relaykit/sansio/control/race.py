"""One attempt at a session by several ways: which is opened when, and by which one logs in.

The ways are opened one shortly after the other, as RFC 8305 has it for addresses, and the next one at once
where one failed.  By the first that is open the client logs in, and by no other meanwhile: the server sees
one login.  If that fails, another way is used, until one has led to a session or none is left.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection, Hashable, Iterable
from typing import Generic, TypeVar

from attrs import frozen

__all__ = [
    "HEAD_START_S",
    "LAST_PATIENCE_S",
    "LOGIN_HEAD_START_S",
    "LOGIN_PATIENCE_S",
    "Race",
    "RaceEvent",
    "RaceStep",
]

HEAD_START_S = 0.25
"""Seconds by which a way is ahead of the next one.  Source: RFC 8305 section 5."""

LOGIN_HEAD_START_S = 1.0
"""The same for one that is open: a login takes some round trips, and mostly succeeds."""

LOGIN_PATIENCE_S = 4.0
"""Seconds for a login while another way is open: who answers HTTPS or nothing at all may just be silent."""

LAST_PATIENCE_S = 2.0
"""Seconds for a way on which nobody is told that there is no server, once all others have failed: a server
that only starts anew refuses the others meanwhile, and is to be asked again soon."""

WayT = TypeVar("WayT", bound=Hashable)


class RaceStep(enum.Enum):
    """What the driver is told to do with a way."""

    OPEN = "open"
    """Begin to open it; tell :meth:`Race.opened` or :meth:`Race.failed`."""
    USE = "use"
    """Log in by it; tell :meth:`Race.won` or :meth:`Race.failed`."""
    GIVE_UP = "give up"
    """It takes too long, and is closed."""
    CLOSE = "close"
    """It is not needed: end the opening, or close what is open."""


@frozen
class RaceEvent(Generic[WayT]):
    """What is to be done, and with which way."""

    step: RaceStep
    way: WayT


class Race(Generic[WayT]):
    """Tell it what happens, take :meth:`events` after every call; ``now`` is of a monotonic clock.

    :param unanswered: ways on which nobody is told that there is no server.
    :ivar is_over: whether one has won, or none is left.
    """

    def __init__(self, ways: Iterable[WayT], now: float, unanswered: Collection[WayT] = ()) -> None:
        self.is_over = False
        self._left = deque(ways)
        self._opening: list[WayT] = []
        self._open: deque[WayT] = deque()
        self._used: WayT | None = None
        self._give_up_at = 0.0
        self._unanswered = unanswered
        self._last_at: float | None = None
        self._next_at = now
        self._events: list[RaceEvent[WayT]] = []
        self._go_on(now)

    def opened(self, way: WayT, now: float) -> None:
        """A way is open."""
        self._opening.remove(way)
        self._open.append(way)
        self._go_on(now)

    def failed(self, way: WayT, now: float, *, again: bool = False) -> None:
        """A way could not be opened, or a login by it failed; ``again`` if it is worth another attempt."""
        self._remove(way)
        if again:
            self._left.appendleft(way)
        if self._used is None:
            self._next_at = now
        self._go_on(now)

    def won(self, now: float) -> None:
        """The login succeeded: all other ways are closed."""
        self.is_over = True
        self._close((*self._opening, *self._open))

    def stop(self) -> None:
        """It is given up: all ways are closed."""
        self.is_over = True
        self._close((*self._opening, *self._open, *(() if self._used is None else (self._used,))))

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        if self.is_over:
            return None
        times = [self._next_at] if self._left else []
        if self._used is not None and self._open:
            times.append(self._give_up_at)
        if self._last_at is not None:
            times.append(self._last_at)
        return min(times, default=None)

    def wake(self, now: float) -> None:
        """Lets time pass; early and repeated calls are harmless."""
        if self.is_over:
            return
        used = self._used
        if used is not None and self._open and now >= self._give_up_at:
            self._used = None
            self._events.append(RaceEvent(RaceStep.GIVE_UP, used))
        if self._last_at is not None and now >= self._last_at:
            self._events += [RaceEvent(RaceStep.GIVE_UP, way) for way in self._opening]
            self._opening.clear()
        self._go_on(now)

    def events(self) -> list[RaceEvent[WayT]]:
        """Takes what is to be done since the last call."""
        events, self._events = self._events, []
        return events

    def _remove(self, way: WayT) -> None:
        if way == self._used:
            self._used = None
        elif way in self._open:
            self._open.remove(way)
        elif way in self._opening:
            self._opening.remove(way)

    def _go_on(self, now: float) -> None:
        if self.is_over:
            return
        if self._used is None and self._open:
            self._used = self._open.popleft()
            self._give_up_at = now + LOGIN_PATIENCE_S
            self._next_at = max(self._next_at, now + LOGIN_HEAD_START_S)
            self._events.append(RaceEvent(RaceStep.USE, self._used))
        if self._left and now >= self._next_at:
            way = self._left.popleft()
            self._opening.append(way)
            self._next_at = now + HEAD_START_S
            self._events.append(RaceEvent(RaceStep.OPEN, way))
        if not self._only_unanswered:
            self._last_at = None
        elif self._last_at is None:
            self._last_at = now + LAST_PATIENCE_S
        if self._used is None and not (self._left or self._opening or self._open):
            self.is_over = True

    @property
    def _only_unanswered(self) -> bool:
        """Whether all others have failed."""
        if self._used is not None or self._left or self._open:
            return False
        return bool(self._opening) and all(way in self._unanswered for way in self._opening)

    def _close(self, ways: Iterable[WayT]) -> None:
        self._events += [RaceEvent(RaceStep.CLOSE, way) for way in ways]
        self._left.clear()
        self._opening.clear()
        self._open.clear()
