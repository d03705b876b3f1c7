"""What a session waits for: the answers to its pings, and the next step of its streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from relaykit.sansio.late_wakeup import grace_until

if TYPE_CHECKING:
    from relaykit.sansio.yamux.streams import Stream

__all__ = ["PING_TIMEOUT_S", "Deadlines", "Keepalive"]

PING_TIMEOUT_S: Final = 10.0
"""Silence after a ping, in seconds, that ends the session; frp's value, so both ends agree.  Where pings
are more frequent than that it is their interval, so that a dead peer is noticed within two intervals."""

_VALUES: Final = 1 << 32


class Keepalive:
    """Pings a peer, measures the round trip, and notices when nothing comes back.

    Any bytes of the peer prove that the link lives, so a late answer that stands behind other
    traffic in the kernel's buffers does not end a session which is busy.
    """

    __slots__ = (
        "_forgiven_until",
        "_interval_s",
        "_next_at",
        "_sent_at",
        "_timeout_s",
        "_value",
        "_wanted_at",
        "answered_pings",
        "heard_at",
        "round_trip_s",
        "wanted",
    )

    def __init__(self, interval_s: float | None, now: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = min(PING_TIMEOUT_S, interval_s or PING_TIMEOUT_S)
        self._forgiven_until = now
        self._next_at = now + (interval_s or 0.0)
        self._value = 0
        self._wanted_at: float | None = None
        self._sent_at: float | None = None
        self.answered_pings = 0
        self.heard_at = now
        self.wanted = False
        self.round_trip_s: float | None = None

    def want(self, now: float) -> None:
        """Asks for a ping, unless one is under way."""
        if self._wanted_at is None:
            self._wanted_at = now
            self.wanted = True

    @property
    def begun_pings(self) -> int:
        """Pings that were sent up to now."""
        return self.answered_pings + (self._sent_at is not None)

    def send(self, now: float) -> int:
        """Answers the value of the ping that goes out now."""
        self.wanted = False
        self._sent_at = now
        return self._value

    def answered(self, value: int, now: float) -> None:
        """Takes an answer; one that was not asked for is ignored."""
        if self._sent_at is None or value != self._value:
            return
        self.round_trip_s = now - self._sent_at
        self._sent_at = self._wanted_at = None
        self.answered_pings += 1
        self._value = (self._value + 1) % _VALUES
        if self._interval_s is not None:
            self._next_at = now + self._interval_s

    def wake(self, now: float) -> bool:
        """Asks for a ping when it is time; false once the peer must be taken for dead."""
        if self._interval_s is None:
            return True
        self._forgiven_until = max(self._forgiven_until, grace_until(self.next_wakeup(), now))
        if self._wanted_at is None:
            if now >= self._next_at:
                self.want(now)
            return True
        return now < self._deadline(self._wanted_at)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` has something to do; None for never."""
        if self._interval_s is None:
            return None
        return self._next_at if self._wanted_at is None else self._deadline(self._wanted_at)

    def _deadline(self, wanted_at: float) -> float:
        return max(max(wanted_at, self.heard_at) + self._timeout_s, self._forgiven_until)


class Deadlines(dict["Stream", float]):
    """Streams that all wait equally long for something, the first to run out of time first."""

    __slots__ = ("_wait_s",)

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self._wait_s = wait_s

    def begin(self, stream: Stream, now: float) -> None:
        """Begins to wait, if it does not already."""
        self.setdefault(stream, now + self._wait_s)

    def end(self, stream: Stream) -> bool:
        """Waits no longer; whether it did."""
        return self.pop(stream, None) is not None

    def first(self) -> float | None:
        """When the first of them runs out of time; None when none waits."""
        return next(iter(self.values()), None)

    def expired(self, now: float) -> Iterator[Stream]:
        """Removes those that ran out of time and answers them."""
        while self:
            stream, until = next(iter(self.items()))
            if now < until:
                return
            del self[stream]
            yield stream
