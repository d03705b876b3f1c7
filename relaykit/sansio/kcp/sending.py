"""The sending half of a session: cuts segments, and keeps each until it is acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from relaykit.sansio.kcp.round_trips import RoundTrips
from relaykit.sansio.kcp.segments import HEADER_BYTES, NUMBERS, ahead

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.kcp.options import KcpOptions

__all__ = ["FIRST_WINDOW", "Sending", "SentSegment"]

FIRST_WINDOW: Final = 32
"""Segments that a peer takes for which nothing else is known yet: the smallest window that there is.
Source: kcp-go, kcp.go (IKCP_WND_RCV)."""


class SentSegment:
    """A segment on its way.  Times are in seconds, the stamp is in milliseconds of the session's clock."""

    __slots__ = ("data", "due_at", "number", "passed", "stamp", "timeout_s")

    def __init__(self, number: int, data: Buffer, stamp: int, now: float, timeout_s: float) -> None:
        self.number = number
        self.data = data
        self.timeout_s = timeout_s
        self.stamp = stamp
        self.due_at = now + timeout_s
        self.passed = 0
        """Acknowledgements of later segments since it was sent."""


class Sending:
    """What was written, on its way or not yet.

    In flight are as many segments as both windows allow.  One that is not acknowledged in time is sent
    again, and waits for longer then; so is one that later ones have overtaken.
    """

    __slots__ = (
        "_due_at",
        "_first",
        "_flying",
        "_next",
        "_overtaken",
        "_payload_bytes",
        "_queue",
        "_resend_after",
        "_round_trips",
        "_send_window",
        "_window",
        "lost_at",
        "queued_bytes",
    )

    def __init__(self, options: KcpOptions) -> None:
        self.queued_bytes = 0
        """Bytes that were written, and never sent."""
        self.lost_at = -inf
        """When a segment was last sent again because later ones had overtaken it: it must be lost.  One that
        only takes long may be with a peer who is busy."""
        self._queue: deque[Buffer] = deque()
        self._payload_bytes = options.segment_bytes - HEADER_BYTES
        self._send_window = options.send_window
        self._resend_after = options.resend_after
        self._round_trips = RoundTrips(options.interval_s, options.least_timeout_s)
        self._flying: dict[int, SentSegment] = {}
        self._overtaken: dict[int, SentSegment] = {}
        self._first = self._next = 0
        self._window = FIRST_WINDOW
        self._due_at = inf

    @property
    def is_flying(self) -> bool:
        """Whether something was sent and not acknowledged."""
        return bool(self._flying)

    @property
    def flying_bytes(self) -> int:
        """Bytes that were sent and not acknowledged."""
        return sum(len(each.data) for each in self._flying.values())

    @property
    def is_shut(self) -> bool:
        """Whether the peer takes nothing of what waits."""
        return not self._window and bool(self.queued_bytes)

    @property
    def can_send(self) -> bool:
        """Whether something waits that may go out."""
        return bool(self.queued_bytes and self._room > 0) or bool(self._overtaken)

    @property
    def due_at(self) -> float:
        """When a segment must be sent again, or earlier; infinite for never."""
        return self._due_at if self._flying else inf

    def write(self, data: Buffer) -> None:
        """Queues bytes, which are kept as they are."""
        if len(data):
            self._queue.append(data)
            self.queued_bytes += len(data)

    # --- what the peer says

    def window_told(self, window: int, expected: int) -> None:
        """The peer has room for so many segments from the expected one on."""
        if ahead(expected, self._first) >= 0:
            # Else it is an old word.
            self._window = window

    def arrived_before(self, expected: int) -> bool:
        """All segments before this one have arrived; whether any was not known to have."""
        count = ahead(expected, self._first)
        if not 0 < count <= ahead(self._next, self._first):
            return False
        for _ in range(count):
            self._flying.pop(self._first, None)
            self._first = (self._first + 1) % NUMBERS
        return True

    def arrived(self, numbers: Sequence[int], stamp: int, now_stamp: int) -> bool:
        """These segments, whose latest was sent at ``stamp``, have arrived; whether any was in flight."""
        trip = ahead(now_stamp, stamp)
        if trip >= 0:
            self._round_trips.measured(trip / 1000)
        flying = self._flying
        known = [number for number in numbers if flying.pop(number, None) is not None]
        self._first = next(iter(flying), self._next)
        if known and flying:
            self._overtake(known, stamp)
        return bool(known)

    def _overtake(self, numbers: Sequence[int], stamp: int) -> None:
        """Counts how often those still in flight were passed by these."""
        distances = [ahead(number, self._first) for number in numbers]
        lowest, highest = min(distances), max(distances)
        for number, segment in self._flying.items():
            distance = ahead(number, self._first)
            if distance > highest:
                return
            if ahead(segment.stamp, stamp) <= 0:
                segment.passed += len(numbers) if distance < lowest else 1
                if segment.passed >= self._resend_after:
                    self._overtaken[number] = segment

    # --- what goes out

    def take(self, stamp: int, now: float, most: int) -> Sequence[SentSegment]:
        """The segments to send now, so many at most: those to be sent again first."""
        taken = self._again(now, most)
        for segment in taken:
            segment.stamp = stamp
            segment.passed = 0
            segment.due_at = now + segment.timeout_s
            self._due_at = min(self._due_at, segment.due_at)
        waiting = -(-self.queued_bytes // self._payload_bytes)
        count = min(most - len(taken), self._room, waiting)
        if count > 0:
            taken += self._cut(count, stamp, now)
        return taken

    @property
    def _room(self) -> int:
        return min(self._send_window, self._window) - ahead(self._next, self._first)

    def _again(self, now: float, most: int) -> list[SentSegment]:
        found: list[SentSegment] = []
        while self._overtaken and len(found) < most:
            number, segment = self._overtaken.popitem()
            if number in self._flying:
                segment.timeout_s = self._round_trips.timeout_s
                # It is not due at the same time.
                segment.due_at = inf
                found.append(segment)
                self.lost_at = now
        if now >= self._due_at:
            self._due_at = inf
            found += self._overdue(now, most - len(found))
        return found

    def _overdue(self, now: float, most: int) -> list[SentSegment]:
        found: list[SentSegment] = []
        for segment in self._flying.values():
            if segment.due_at <= now and len(found) < most:
                segment.timeout_s += self._round_trips.timeout_s / 2
                found.append(segment)
            elif segment.due_at < self._due_at:
                self._due_at = segment.due_at
        return found

    def _cut(self, count: int, stamp: int, now: float) -> list[SentSegment]:
        """New segments, all but the last one full."""
        size, timeout_s, number = self._payload_bytes, self._round_trips.timeout_s, self._next
        data = self._take_bytes(count * size)
        cut = []
        for at in range(0, len(data), size):
            segment = SentSegment(number, data[at : at + size], stamp, now, timeout_s)
            self._flying[number] = segment
            number = (number + 1) % NUMBERS
            cut.append(segment)
        self._next = number
        self._due_at = min(self._due_at, now + timeout_s)
        return cut

    def _take_bytes(self, most: int) -> bytes:
        queue = self._queue
        pieces: list[Buffer] = []
        while queue and most:
            piece = queue.popleft()
            if len(piece) > most:
                view = memoryview(piece)
                queue.appendleft(view[most:])
                piece = view[:most]
            pieces.append(piece)
            most -= len(piece)
            self.queued_bytes -= len(piece)
        return b"".join(pieces)
