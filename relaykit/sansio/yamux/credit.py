"""How much a peer may send: opens the windows of streams as they are read, and widens the slow ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relaykit.sansio.yamux.frames import WINDOW_UPDATE
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES

if TYPE_CHECKING:
    from relaykit.sansio.yamux.outbox import Outbox
    from relaykit.sansio.yamux.streams import Stream
    from relaykit.sansio.yamux.timing import Keepalive

__all__ = ["EXTRA_CREDIT_BYTES", "MAX_WINDOW_BYTES", "Credit"]

MAX_WINDOW_BYTES: Final = 6 * 1024 * 1024
"""Largest receive window of a stream, as frp's: 480 Mbit/s over a round trip of 100 ms."""

EXTRA_CREDIT_BYTES: Final = 64 * 1024 * 1024
"""Credit beyond the initial windows that all streams of a session may have together.  It cannot be
taken back, and streams that stop reading would otherwise fill the memory."""


class Credit:
    """The credit of one session's streams.

    For each stream, what the peer may still send, what lies unread, and what was read since the
    last update add up to its window.
    """

    __slots__ = ("_due", "extra_bytes")

    def __init__(self) -> None:
        self._due: list[Stream] = []
        self.extra_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._due)

    def ask(self, stream: Stream) -> None:
        """Notes a stream of whose window half was read."""
        self._due.append(stream)

    def give(self, outbox: Outbox, keepalive: Keepalive, now: float) -> None:
        """Queues the window updates that are due."""
        for stream in self._due:
            if stream.ignoring_input:
                continue
            credit = stream.consumed_bytes + self._widen(stream, keepalive, now)
            stream.consumed_bytes = 0
            stream.credited_at = now
            stream.receive_window += credit
            outbox.add(WINDOW_UPDATE, stream.id, credit)
        self._due.clear()

    def forget(self, stream: Stream) -> None:
        """Gives what a stream that is gone had to the others."""
        self.extra_bytes -= stream.window_bytes - INITIAL_WINDOW_BYTES

    def _widen(self, stream: Stream, keepalive: Keepalive, now: float) -> int:
        """Doubles a window that slows its stream down; answers by how much it grew.

        Half of it read within two round trips means that the window, not the application, may be
        what the peer waits for.
        """
        if keepalive.round_trip_s is None:
            keepalive.want(now)
            return 0
        growth = min(stream.window_bytes, MAX_WINDOW_BYTES - stream.window_bytes)
        if not growth or self.extra_bytes + growth > EXTRA_CREDIT_BYTES:
            return 0
        if now - stream.credited_at > 2 * keepalive.round_trip_s:
            # It may have been measured while the link was idle: under load a round trip takes longer.
            keepalive.want(now)
            return 0
        stream.window_bytes += growth
        self.extra_bytes += growth
        return growth
