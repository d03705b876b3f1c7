"""Whether the peer is still there: when to ping it, and when its silence has lasted too long."""

from __future__ import annotations

import enum

__all__ = ["LATE_S", "MERCY_S", "Due", "Liveness"]

LATE_S = 2.0
"""A wake-up that is later than this was held up on this side: a suspended machine, a stopped process."""

MERCY_S = 5.0
"""Seconds that the peer gets after such a pause: what it sent meanwhile waits to be read."""


class Due(enum.Enum):
    """What the time that has passed asks for."""

    PING = "ping"
    SILENCE = "silence"


class Liveness:
    """Keeps the two deadlines of one connection.

    ``interval_s`` is the time between two pings, None for a side that sends none; the first is due
    at once.  ``timeout_s`` is the longest time without a sign of life, None for "not checked".
    Sending plays no part: a write that is stuck delays no deadline.
    """

    def __init__(self, interval_s: float | None, timeout_s: float | None, now: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ping_at = None if interval_s is None else now
        self._silent_at = None if timeout_s is None else now + timeout_s

    def heard(self, now: float) -> None:
        """The peer gave a sign of life."""
        if self._timeout_s is not None and self._silent_at is not None:
            self._silent_at = max(self._silent_at, now + self._timeout_s)

    def next_wakeup(self) -> float | None:
        """When :meth:`due` must be asked at the latest."""
        times = [at for at in (self._ping_at, self._silent_at) if at is not None]
        return min(times, default=None)

    def due(self, now: float) -> Due | None:
        """What must be done; at most one answer for each deadline that passed.

        After :attr:`Due.SILENCE` nothing is due any more.
        """
        self._forgive(now)
        if self._silent_at is not None and now >= self._silent_at:
            self._silent_at = self._ping_at = None
            return Due.SILENCE
        if self._ping_at is not None and self._interval_s is not None and now >= self._ping_at:
            self._ping_at = now + self._interval_s
            return Due.PING
        return None

    def _forgive(self, now: float) -> None:
        expected = self.next_wakeup()
        if expected is not None and self._silent_at is not None and now - expected > LATE_S:
            self._silent_at = max(self._silent_at, now + MERCY_S)
