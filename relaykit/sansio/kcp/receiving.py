"""The receiving half of a session: puts segments in order, and notes what to acknowledge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from relaykit.sansio.kcp.segments import HEADER_BYTES, MOST_DATAGRAM_BYTES, NUMBERS, ahead

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.kcp.options import KcpOptions

__all__ = ["ENTRY_BYTES", "Receiving", "Room"]

ENTRY_BYTES: Final = 150
"""What holding a segment takes besides its data, so that many small ones cost no more than is counted."""


class Room:
    """What may be held out of order, by one session or by all that share this."""

    __slots__ = ("left_bytes",)

    def __init__(self, size: int) -> None:
        self.left_bytes = size


class Receiving:
    """What came, read or not.

    Bytes that nobody has read yet take their part of the window, so that no more are held than it has room
    for, in order or not.  What is out of order takes its part of the room besides, until :meth:`release`.
    """

    __slots__ = (
        "_acknowledge",
        "_acknowledge_early",
        "_early",
        "_most_bytes",
        "_payload_bytes",
        "_room",
        "_segments",
        "_told",
        "_unread",
        "expected",
    )

    def __init__(self, options: KcpOptions, room: Room | None = None) -> None:
        self._room = room or Room(options.receive_window * (MOST_DATAGRAM_BYTES + ENTRY_BYTES))
        self.expected = 0
        """The next number in order."""
        self._segments = self._told = options.receive_window
        self._payload_bytes = options.segment_bytes - HEADER_BYTES
        self._most_bytes = self._segments * self._payload_bytes
        """Unread bytes at which the window is shut."""
        self._unread = bytearray()
        self._early: dict[int, bytes] = {}
        self._acknowledge: tuple[int, int] | None = None
        self._acknowledge_early: dict[int, int] = {}

    @property
    def window(self) -> int:
        """Segments, counted from the next in order, that may come."""
        return max(0, self._segments - len(self._unread) // self._payload_bytes)

    @property
    def has_unread(self) -> bool:
        """Whether there is something to read."""
        return bool(self._unread)

    def push(self, number: int, stamp: int, data: Buffer) -> None:
        """Takes a segment; one that there is no room for is not acknowledged."""
        if number == self.expected and not self._early:
            # Nearly always.
            if len(self._unread) < self._most_bytes:
                self._unread += data
                self.expected = (number + 1) % NUMBERS
                self._acknowledge = number, stamp
            return
        distance = ahead(number, self.expected)
        if distance >= self.window:
            return
        if distance < 0:
            self._acknowledge = number, stamp
            return
        if distance:
            self._push_early(number, stamp, data)
            return
        self._acknowledge = number, stamp
        self._unread += data
        self.expected = (number + 1) % NUMBERS
        while (following := self._early.pop(self.expected, None)) is not None:
            self._unread += following
            self._room.left_bytes += len(following) + ENTRY_BYTES
            self._acknowledge_early.pop(self.expected, None)
            self.expected = (self.expected + 1) % NUMBERS

    def _push_early(self, number: int, stamp: int, data: Buffer) -> None:
        if number not in self._early:
            cost = len(data) + ENTRY_BYTES
            if cost > self._room.left_bytes:
                return
            self._early[number] = bytes(data)
            self._room.left_bytes -= cost
        self._acknowledge_early[number] = stamp

    def release(self) -> None:
        """Forgets what is out of order: the session is over."""
        self._room.left_bytes += sum(len(each) + ENTRY_BYTES for each in self._early.values())
        self._early.clear()

    def read(self) -> bytearray:
        """Takes all that is in order."""
        taken, self._unread = self._unread, bytearray()
        return taken

    def acknowledgements(self) -> Sequence[tuple[int, int]]:
        """Takes the numbers and stamps to send back.

        What is in order needs no more than the last one: each segment tells that all before have arrived.
        """
        early, self._acknowledge_early = self._acknowledge_early, {}
        found = list(early.items())
        if self._acknowledge is not None:
            found.append(self._acknowledge)
            self._acknowledge = None
        return found

    def must_tell(self) -> bool:
        """Whether a peer that was told of a small window must learn that there is room again."""
        half = self._segments // 2
        return self._told < half <= self.window

    def told(self) -> None:
        """The peer is told the window as it is now."""
        self._told = self.window
