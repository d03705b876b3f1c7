"""A deadline that can be set again and again, with one call of the reactor at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Timer"]


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
