"""Points that a peer has, and gets back with time: for what is harmless now and then, and not for ever."""

from __future__ import annotations

__all__ = ["Points"]


class Points:
    """So many points at first and at most, of which so many come back each second."""

    __slots__ = ("_at", "_left", "_most", "_per_s")

    def __init__(self, most: float, per_s: float, now: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = most
        self._at = now

    def spend(self, points: float, now: float) -> bool:
        """Takes points, also those that are not there; whether there were enough."""
        self._left = self.left(now) - points
        return self._left >= 0

    def left(self, now: float) -> float:
        """How many there are by now; fewer than none where more were taken than there were."""
        self.earn(max(0.0, now - self._at) * self._per_s)
        self._at = max(self._at, now)
        return self._left

    def earn(self, points: float) -> None:
        """Gives points back, up to what there was at first."""
        self._left = min(self._left + points, self._most)
