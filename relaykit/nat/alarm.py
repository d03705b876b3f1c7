"""One timer that is set anew as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Alarm"]


class Alarm:
    """Calls ``ring`` at the time that was set last."""

    def __init__(self, clock: IReactorTime, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._call: IDelayedCall | None = None
        self._at: float | None = None

    def set(self, at: float | None) -> None:
        """Names the time, by the same clock; None for never."""
        if at == self._at:
            return
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._at = at
        if at is not None:
            self._call = self._clock.callLater(max(0.0, at - self._clock.seconds()), self._due)

    def _due(self) -> None:
        self._call = self._at = None
        self._ring()
