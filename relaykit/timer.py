"""Time: deadlines with one call of the reactor at a time, and what may be done in one turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred

from relaykit.sansio.fair_room import FairRoom

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.sansio.sources import Source

__all__ = ["PORTION_S", "Deadlines", "Portion", "Timer", "Waits"]

PORTION_S: Final = 0.002
"""Seconds of a turn of the reactor that what one peer has sent, or left behind, may take: the rest waits for
the next turn.  A user who comes meanwhile needs some turns, and is to be served within a few such portions of
one who does his worst; much shorter ones would be spent on the turns themselves."""

KeyT = TypeVar("KeyT")
ResultT = TypeVar("ResultT")


class Portion:
    """What one peer gets of a turn, from now on."""

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._until: float = clock.seconds() + PORTION_S

    @property
    def is_over(self) -> bool:
        """Whether others have waited long enough."""
        return self._clock.seconds() >= self._until

    def next(self) -> Deferred[None]:
        """Fires in the next turn, which has a portion of its own."""

        def begin(_: None) -> None:
            self._until = self._clock.seconds() + PORTION_S

        begun: Deferred[None] = Deferred()
        self._clock.callLater(0, begun.callback, None)
        return begun.addCallback(begin)


class Timer:
    """Calls ``on_due`` once at the time that was set last.

    Setting it costs little: a later time lets the call of the reactor that is scheduled come, to be
    scheduled for the rest then.  Times are those of ``seconds``, by default of the clock, which waits.
    """

    __slots__ = ("_call", "_called_at", "_clock", "_due", "_on_due", "_seconds")

    def __init__(
        self, clock: IReactorTime, on_due: Callable[[], object], seconds: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._on_due: Callable[[], object] | None = on_due
        self._seconds: Callable[[], float] = seconds or clock.seconds
        self._call: IDelayedCall | None = None
        self._called_at = 0.0
        self._due: float | None = None

    def set(self, due: float | None) -> None:
        """Names the time, also one that has passed; None for never."""
        if due == self._due:
            return
        self._due = due
        if self._call is not None:
            if due is not None and due >= self._called_at:
                return
            self._call.cancel()
            self._call = None
        if due is not None and self._on_due is not None:
            self._schedule(due)

    @property
    def is_set(self) -> bool:
        """Whether it is going to call."""
        return self._due is not None

    def stop(self) -> None:
        """Never calls again, and forgets whom: mostly its owner, which would be a reference cycle."""
        self._on_due = None
        self.set(None)

    def _schedule(self, due: float) -> None:
        self._called_at = due
        self._call = self._clock.callLater(max(0.0, due - self._seconds()), self._called)

    def _called(self) -> None:
        self._call = None
        due = self._due
        assert due is not None and self._on_due is not None, "a timer without a time has no call scheduled"
        if due > self._called_at:
            self._schedule(due)
        else:
            self._due = None
            self._on_due()


class Deadlines(Generic[KeyT]):
    """The deadlines of many, each by what it is of, with one call of the reactor at a time."""

    def __init__(self, clock: IReactorTime, on_due: Callable[[KeyT], object]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._due: dict[KeyT, float] = {}
        self._next: float | None = None
        self._timer = Timer(clock, self._expire)

    def __contains__(self, key: object) -> bool:
        return key in self._due

    def set(self, key: KeyT, seconds: float) -> None:
        """Calls ``on_due`` with the key after so many seconds; asked again, then and not before."""
        due = self._due[key] = self._clock.seconds() + seconds
        if self._next is None or due < self._next:
            self._next = due
            self._timer.set(due)

    def drop(self, key: KeyT) -> None:
        """Does not call for this key any more."""
        self._due.pop(key, None)
        if not self._due:
            self._next = None
            self._timer.set(None)

    def stop(self) -> None:
        """Never calls again, and forgets whom."""
        self._due.clear()
        self._timer.stop()
        self._on_due = _ignore

    def _expire(self) -> None:
        now = self._clock.seconds()
        for key in [key for key, due in self._due.items() if due <= now]:
            if self._due.pop(key, None) is not None:
                self._on_due(key)
        self._next = min(self._due.values(), default=None)
        self._timer.set(self._next)


def _ignore(key: object) -> None:
    """Takes what is due of somebody who is gone."""


class Waits:
    """Answers that must all be there within the same time; one that is too late is cancelled.

    Waiting for one costs no call of the reactor, as its own timeout would.  Where more than ``most`` are
    waited for, one is cancelled for each that comes: the oldest one of whoever has most, as in
    :mod:`relaykit.sansio.fair_room`.
    """

    def __init__(self, clock: IReactorTime, most_s: float, most: int) -> None:
        self._clock = clock
        self._most_s = most_s
        self._due: dict[Deferred[Any], float] = {}
        """Until when each must be there; in this order, because all have the same time."""
        self._room: FairRoom[Deferred[Any]] = FairRoom(most)
        self._timer = Timer(clock, self._expire)

    def __len__(self) -> int:
        return len(self._due)

    def add(self, answer: Deferred[ResultT], source: Source) -> Deferred[ResultT]:
        """Waits for this one, too; whoever adds callbacks afterwards sees its place free already."""
        if answer.called:
            return answer
        self._due[answer] = self._clock.seconds() + self._most_s
        crowded_out = self._room.enter(answer, source)
        if crowded_out is not None:
            crowded_out.cancel()
        self._set()
        return answer.addBoth(self._answered, answer)

    def cancel_all(self) -> None:
        """Waits for none any more."""
        for answer in list(self._due):
            answer.cancel()

    def _answered(self, result: ResultT, answer: Deferred[ResultT]) -> ResultT:
        del self._due[answer]
        self._room.leave(answer)
        if not self._due:
            self._timer.set(None)
        return result

    def _expire(self) -> None:
        now = self._clock.seconds()
        while self._due and next(iter(self._due.values())) <= now:
            next(iter(self._due)).cancel()
        self._set()

    def _set(self) -> None:
        self._timer.set(next(iter(self._due.values())) if self._due else None)
