"""What goes out of a session, and in which order.

Frames without payload go first, then expedited streams, then the others, which take turns.  What
cannot go out yet waits in the queue of its stream, not in a queue of the link: that is what lets
urgent frames overtake.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from relaykit.sansio.yamux.frames import DATA, pack_header
from relaykit.sansio.yamux.streams import Half, Stream, StreamWritable

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.yamux.streams import Event

__all__ = ["FLUSH_BYTES", "HIGH_WATER_BYTES", "LOW_WATER_BYTES", "PIECE_BYTES", "Outbox"]

PIECE_BYTES: Final = 64 * 1024
"""Payload of one stream in its turn while several have some, unless a link is fast: larger pieces would let
the others wait, smaller ones cost more system calls."""

FLUSH_BYTES: Final = 4 * PIECE_BYTES
"""Payload that is taken at once, and a turn on a fast link: enough to fill a socket's buffer, little for an
urgent frame to wait for."""

HIGH_WATER_BYTES: Final = FLUSH_BYTES
"""Bytes queued on a stream above which whoever writes to it is paused: what goes out at once."""

LOW_WATER_BYTES: Final = PIECE_BYTES
"""Bytes queued on a congested stream at which writing goes on, before the stream runs dry."""

_JOIN_BYTES: Final = 2048
"""Payload up to which copying it behind its header is cheaper than sending two pieces."""


class Outbox:
    """Frames and payload that wait to be sent."""

    __slots__ = ("_control", "_urgent", "_usual")

    def __init__(self) -> None:
        self._control: list[bytes] = []
        self._urgent: deque[Stream] = deque()
        self._usual: deque[Stream] = deque()

    def __bool__(self) -> bool:
        return bool(self._control or self._usual or self._urgent)

    def add(self, type_flags: int, number: int, value: int) -> None:
        """Queues a frame without payload."""
        self._control.append(pack_header(type_flags, number, value))

    def schedule(self, stream: Stream) -> None:
        """Lets the stream take turns; it has payload queued and the peer's permission to send it."""
        stream.scheduled = True
        (self._urgent if stream.urgent else self._usual).append(stream)

    def expedite(self, stream: Stream) -> None:
        """Lets the stream overtake the others from now on."""
        if not stream.urgent:
            stream.urgent = True
            if stream.scheduled:
                self._usual.remove(stream)
                self._urgent.append(stream)

    def clear(self) -> None:
        """Drops all payload; frames without payload stay."""
        self._urgent.clear()
        self._usual.clear()

    def take_control(self, pieces: list[Buffer]) -> None:
        """Moves the frames without payload to ``pieces``."""
        if self._control:
            pieces.append(b"".join(self._control))
            self._control.clear()

    def take_payload(
        self, pieces: list[Buffer], budget_bytes: int, events: list[Event], turn_bytes: int = PIECE_BYTES
    ) -> list[Stream]:
        """Moves payload to ``pieces``; answers the streams whose end may follow."""
        ending: list[Stream] = []
        for turns in (self._urgent, self._usual):
            while turns and budget_bytes > 0:
                stream = turns.popleft()
                if stream.closed:
                    continue
                most = turn_bytes if turns else budget_bytes
                taken = _take_piece(stream, pieces, min(budget_bytes, stream.send_window, most))
                budget_bytes -= taken
                stream.send_window -= taken
                left = stream.queued_bytes = stream.queued_bytes - taken
                if stream.congested and left <= LOW_WATER_BYTES:
                    stream.congested = False
                    events.append(StreamWritable(stream))
                if left and stream.send_window:
                    turns.append(stream)
                    continue
                stream.scheduled = False
                if not left and stream.sending is Half.ENDING:
                    ending.append(stream)
        return ending


def _take_piece(stream: Stream, pieces: list[Buffer], room: int) -> int:
    """Moves one frame of at most ``room`` bytes of payload; answers how many it has."""
    queue = stream.queue
    data = queue[0]
    size = len(data)
    if size <= room and len(queue) == 1:
        queue.clear()
        if size <= _JOIN_BYTES:
            pieces.append(pack_header(DATA, stream.id, size) + data)
        else:
            pieces.append(pack_header(DATA, stream.id, size))
            pieces.append(data)
        return size
    return _gather_piece(stream, pieces, room)


def _gather_piece(stream: Stream, pieces: list[Buffer], room: int) -> int:
    queue = stream.queue
    body: list[Buffer] = []
    left = room
    while queue and left:
        data = queue[0]
        if len(data) <= left:
            queue.popleft()
        else:
            rest = memoryview(data)
            queue[0] = rest[left:]
            data = rest[:left]
        body.append(data)
        left -= len(data)
    size = room - left
    header = pack_header(DATA, stream.id, size)
    if size <= _JOIN_BYTES * len(body):
        pieces.append(b"".join((header, *body)))
    else:
        pieces.append(header)
        pieces.extend(body)
    return size
