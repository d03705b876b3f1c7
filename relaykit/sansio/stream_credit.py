"""Credit of streams, told beside them: how much a peer may send on each.

For streams of a protocol whose own credit cannot be withheld from one stream alone: a slow reader would hold
all of them.  Both ends of a path keep to this in addition.  Each stream begins with
``INITIAL_CREDIT_BYTES``; more is given by records on a stream of their own::

     0  stream    8 bytes: the number of the stream
     8  limit     8 bytes: bytes that may be sent on it in all, from its beginning

A limit never falls.  A record about a stream that is over means nothing.  Windows widen as in
``relaykit.sansio.yamux.credit``.
"""

from __future__ import annotations

import struct
from typing import Final

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.contract import Buffer

__all__ = [
    "EXTRA_CREDIT_BYTES",
    "INITIAL_CREDIT_BYTES",
    "MAX_WINDOW_BYTES",
    "Room",
    "Rooms",
    "Window",
    "Windows",
]

INITIAL_CREDIT_BYTES: Final = 256 * 1024
"""What may be sent on a stream before its first record."""

MAX_WINDOW_BYTES: Final = 6 * 1024 * 1024
"""Largest window of a stream: 480 Mbit/s over a round trip of 100 ms."""

EXTRA_CREDIT_BYTES: Final = 64 * 1024 * 1024
"""Credit beyond the initial windows that all streams of a path may have together: it cannot be taken back,
and streams that stop reading would otherwise fill the memory."""

_RECORD = struct.Struct("!QQ")


class Window:
    """What the peer may send on one stream, and what was taken of it."""

    __slots__ = ("_consumed", "_credited_at", "_received", "_size", "limit", "stream")

    def __init__(self, stream: int, now: float) -> None:
        self.stream = stream
        self.limit = INITIAL_CREDIT_BYTES
        """What it may send in all."""
        self._size = INITIAL_CREDIT_BYTES
        self._received = 0
        self._consumed = 0
        self._credited_at = now

    def received(self, count: int) -> None:
        """Counts what has arrived.

        :raises RemoteProtocolError: it is more than the peer may send.
        """
        self._received += count
        if self._received > self.limit:
            raise RemoteProtocolError("more was sent on a stream than may be")


class Windows:
    """The windows of all streams of a path, at the end that receives."""

    def __init__(self) -> None:
        self.extra_bytes = 0
        """Credit beyond the initial one, of all streams."""
        self._due: dict[Window, None] = {}

    def consumed(self, window: Window, count: int) -> bool:
        """Counts what was taken of a stream; whether a record is due."""
        window._consumed += count
        if window.limit - window._consumed > window._size // 2:
            return False
        self._due[window] = None
        return True

    def forget(self, window: Window) -> None:
        """Gives what a stream that is over had to the others."""
        self._due.pop(window, None)
        self.extra_bytes -= window._size - INITIAL_CREDIT_BYTES

    def to_send(self, round_trip_s: float | None, now: float) -> bytes:
        """Takes the records that are due."""
        records = []
        for window in self._due:
            self._widen(window, round_trip_s, now)
            window.limit = window._consumed + window._size
            window._credited_at = now
            records.append(_RECORD.pack(window.stream, window.limit))
        self._due.clear()
        return b"".join(records)

    def _widen(self, window: Window, round_trip_s: float | None, now: float) -> None:
        """Doubles a window half of which was taken within two round trips: the peer may wait for it."""
        growth = min(window._size, MAX_WINDOW_BYTES - window._size)
        if round_trip_s is None or now - window._credited_at > 2 * round_trip_s:
            return
        if self.extra_bytes + growth <= EXTRA_CREDIT_BYTES:
            window._size += growth
            self.extra_bytes += growth


class Room:
    """What this end may still send on one stream."""

    __slots__ = ("bytes_left", "stream")

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.bytes_left = INITIAL_CREDIT_BYTES

    def sent(self, count: int) -> None:
        """Counts what was sent."""
        self.bytes_left -= count


class Rooms:
    """The room of all streams of a path, at the end that sends."""

    def __init__(self) -> None:
        self._rooms: dict[int, tuple[Room, int]] = {}
        self._rest = b""

    def open(self, stream: int) -> Room:
        """The room of a new stream."""
        room = Room(stream)
        self._rooms[stream] = room, INITIAL_CREDIT_BYTES
        return room

    def forget(self, stream: int) -> None:
        """Lets the room of a stream go that is over."""
        self._rooms.pop(stream, None)

    def receive(self, data: Buffer) -> list[int]:
        """Takes records, cut anyhow; answers the streams that have more room now.

        :raises RemoteProtocolError: a limit fell.
        """
        data = self._rest + data
        whole = len(data) - len(data) % _RECORD.size
        self._rest = bytes(data[whole:])
        widened = []
        for stream, limit in _RECORD.iter_unpack(data[:whole]):
            found = self._rooms.get(stream)
            if found is None:
                continue
            room, before = found
            if limit < before:
                raise RemoteProtocolError("the credit of a stream was taken back")
            room.bytes_left += limit - before
            self._rooms[stream] = room, limit
            widened.append(stream)
        return widened
