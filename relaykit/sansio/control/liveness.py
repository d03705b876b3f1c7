"""Whether the peer is still there: when to ping it, and when its silence has lasted too long."""

from __future__ import annotations

import enum

from relaykit.sansio.late_wakeup import grace_until

__all__ = ["PROBE_TIMEOUT_S", "SILENT_INTERVALS", "UNREACHABLE_TIMEOUT_S", "Due", "Liveness"]

SILENT_INTERVALS = 2.0
"""Intervals between pings after which a silent peer is lost, where no time is configured: it may die right
after it has answered one, and the next is due an interval later and has an interval to be answered."""

PROBE_TIMEOUT_S = 5.0
"""Seconds to answer a ping that is sent because there is reason to doubt: the network has changed, or the
machine was suspended.  Two losses on a slow mobile link take four."""


UNREACHABLE_TIMEOUT_S = 1.0
"""The same where this end's address is gone and there is another way: no answer arrives unless the address
comes back, as it does at once where a daemon only renews it."""


class Due(enum.Enum):
    """What the time that has passed asks for."""

    PING = "ping"
    SILENCE = "silence"


class Liveness:
    """Keeps the deadlines of one connection.

    ``interval_s`` is the time between two pings, None for a side that sends none; the first is due
    at once.  ``timeout_s`` is the longest time without a sign of life, None for "not checked".
    Sending plays no part: a write that is stuck delays no deadline.
    """

    def __init__(self, interval_s: float | None, timeout_s: float | None, now: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ping_at = None if interval_s is None else now
        self._silent_at = None if timeout_s is None else now + timeout_s
        self._answer_by: float | None = None

    def heard(self, now: float) -> None:
        """The peer gave a sign of life."""
        if self._timeout_s is not None and self._silent_at is not None:
            self._silent_at = max(self._silent_at, now + self._timeout_s)

    def answered(self, now: float) -> None:
        """The peer answered a ping, which settles a doubt: other bytes may have been on their way."""
        self._answer_by = None
        self.heard(now)

    def probe(self, now: float, within_s: float = PROBE_TIMEOUT_S) -> None:
        """There is reason to doubt that the peer can be reached: a ping is due, and soon its answer."""
        self._ping_at = now
        answer_by = now + within_s
        self._answer_by = answer_by if self._answer_by is None else min(self._answer_by, answer_by)

    def next_wakeup(self) -> float | None:
        """When :meth:`due` must be asked at the latest."""
        times = [at for at in (self._ping_at, self._silent_at, self._answer_by) if at is not None]
        return min(times, default=None)

    def due(self, now: float) -> Due | None:
        """What must be done; at most one answer for each deadline that passed.

        After :attr:`Due.SILENCE` nothing is due any more.
        """
        self._forgive(now)
        if any(at is not None and now >= at for at in (self._silent_at, self._answer_by)):
            self._silent_at = self._answer_by = self._ping_at = None
            return Due.SILENCE
        if self._ping_at is not None and now >= self._ping_at:
            self._ping_at = None if self._interval_s is None else now + self._interval_s
            return Due.PING
        return None

    def _forgive(self, now: float) -> None:
        forgiven = grace_until(self.next_wakeup(), now)
        if forgiven > now:
            if self._silent_at is not None:
                self._silent_at = max(self._silent_at, forgiven)
            if self._answer_by is not None:
                self._answer_by = max(self._answer_by, forgiven)
