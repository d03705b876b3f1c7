"""Streams of a QUIC connection as legs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from zope.interface import implementer

from relaykit.carriers.quic.adapter import PIECE_COST_BYTES
from relaykit.dataplane.legs import StreamLeg
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IAccompaniedLeg, IMuxedLeg
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.carriers.quic.path import QuicPath
    from relaykit.interfaces import ISizedDatagramLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.stream_credit import Room, Window

__all__ = ["HIGH_WATER_BYTES", "QuicStreamLeg"]

HIGH_WATER_BYTES: Final = 1024 * 1024
"""Output of a stream that waits, with the leg and in the library, at which its producer is paused: what goes
out in some milliseconds.  Four times as much was slower."""

LOW_WATER_BYTES: Final = HIGH_WATER_BYTES // 2
"""What is left of that when it goes on."""

CLOSED: Final = 0
"""Code by which a peer is asked to send no more on a stream that was closed in order.  Source: frp."""

BROKEN_OFF: Final = 1
"""Code of a stream that was aborted, or whose counterpart is lost."""


@implementer(IAccompaniedLeg, IMuxedLeg)
class QuicStreamLeg(StreamLeg):
    """A stream of a QUIC connection.

    Its two directions end each by itself, and it is lost once both have.  Closing it asks the peer to send
    no more, which the peer's library does by a reset.
    """

    __slots__ = (
        "_fin_sent",
        "_finishing",
        "_input_over",
        "_path",
        "_prefix",
        "_queue",
        "_queued",
        "_unsent",
        "_why",
        "number",
        "room",
        "window",
    )

    def __init__(
        self,
        path: QuicPath,
        number: int,
        window: Window | None = None,
        room: Room | None = None,
        prefix: bytes = b"",
    ) -> None:
        """Of a stream; ``window`` and ``room`` are its credit that is told beside it, where there is any.

        ``prefix`` is what must come first, and is no payload: one byte, or none.
        """
        super().__init__(path.peer, path.host)
        self.number = number
        self.window = window
        self.room = room
        self._path = path
        self._prefix = prefix
        self._queue: deque[Buffer] = deque()
        self._queued = 0
        self._unsent = 0
        """What the library had not sent when it was last asked."""
        self._finishing = False
        self._fin_sent = False
        self._input_over = False
        self._why = Ended.FINISHED

    def __repr__(self) -> str:
        return f"<QuicStreamLeg {self.number} of {self._path!r}>"

    @property
    def turns(self) -> ITurns:
        return self._path.turns

    @property
    def beside(self) -> ISizedDatagramLeg | None:
        """The datagrams that belong to it, between a client and a server of our own."""
        return self._path.beside(self.number)

    @property
    def held_bytes(self) -> int:
        """What has arrived and was not taken."""
        return sum(map(len, self._held))

    # --- the leg --------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._finishing or not len(data):
            return
        self._queue.append(data if type(data) is bytes else bytes(data))
        self._queued += len(data)
        if self._queued + self._unsent >= HIGH_WATER_BYTES:
            self._output_full()
        self._path.output_waits(self)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._path.output_waits(self)

    def close(self) -> None:
        self._close(CLOSED)

    def break_off(self) -> None:
        self._close(BROKEN_OFF)
        self._path.break_soon(self)

    def abort(self) -> None:
        self._silence()
        self._drop(Ended.CANCELLED)

    def accept(self) -> None:
        """Nothing to do: QUIC itself bounds how many streams a peer may have."""

    def expedite(self) -> None:
        """Nothing to do: the streams of a connection take turns, packet by packet."""

    # --- for the path ---------------------------------------------------------------------------

    def on_data(self, data: bytes, fin: bool) -> None:
        """Takes what arrived, and its end.

        :raises RemoteProtocolError: it is more than may be, or begins with something else than it must.
        """
        if data and self.window is not None:
            self.window.received(len(data))
        if data and self._prefix:
            if not data.startswith(self._prefix):
                raise RemoteProtocolError("a stream does not begin as it must")
            self._prefix, data = b"", data[1:]
            self._path.taken(self, 1)
        if data:
            if self._arrived(data):
                self._path.taken(self, len(data))
            else:
                self._path.held(len(data))
        if fin:
            self._input_over = True
            self._ended()
            self._end_if_over()

    def on_reset(self) -> None:
        """The peer has ended its direction at once; after :meth:`close` because it was asked to."""
        self._input_over = True
        if self._silent:
            self._end_if_over()
        else:
            self._drop(Ended.RESET)

    def on_stopped(self, code: int) -> None:
        """The peer takes no more; what it has sent still counts."""
        if not self._fin_sent and code != CLOSED:
            self._why = Ended.RESET
        self._drop_output()
        self._end_if_over()

    @property
    def is_ready(self) -> bool:
        """Whether there is output to hand down that the peer gave credit for, or its end."""
        if self._queue:
            return self.room is None or self.room.bytes_left > 0
        return self._finishing and not self._fin_sent

    def fill(self, most_bytes: int) -> int:
        """Hands down so much output, or what the peer gave credit for; answers what it costs of the room."""
        connection, size = self._path.connection, most_bytes
        if self.room is not None:
            size = min(size, self.room.bytes_left)
        before = self._queued
        for piece in self._take_queue(size):
            self._fin_sent = self._finishing and not self._queue
            connection.write(self.number, piece, self._fin_sent)
        taken = before - self._queued
        if self.room is not None:
            self.room.sent(taken)
        if self._finishing and not self._queue and not self._fin_sent:
            self._fin_sent = True
            connection.write(self.number, b"", True)
        return taken + PIECE_COST_BYTES

    def settle(self) -> bool:
        """Lets the producer go on if little waits; whether any output still does."""
        self._unsent = self._path.connection.unsent(self.number)
        if self.waiting_bytes <= LOW_WATER_BYTES:
            self._output_drained()
        self._end_if_over()
        # The producer may have written more meanwhile.
        return self.waiting_bytes > 0 or (self._finishing and not self._fin_sent)

    def give_up(self, reason: Ended) -> None:
        """Resets both directions, and drops what was not taken."""
        self._silence()
        self._drop(reason)

    def lose(self, reason: Ended) -> None:
        """Is gone, as the path has noted."""
        self._finishing = self._fin_sent = True
        self._drop_queue()
        self._lost(reason)

    @property
    def waiting_bytes(self) -> int:
        """Output that was not sent when this was last looked at."""
        return self._queued + self._unsent

    # --- inside ---------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        """Nothing to do: the connection is always read, and what one stream may send is bounded."""

    def _released(self, count: int) -> None:
        self._path.held(-count)
        self._path.taken(self, count)

    def _close(self, code: int) -> None:
        self._silence()
        if self._loss is not None:
            return
        self.finish_writing()
        if self._path.is_over:
            # It is told in a moment.
            return
        if not self._input_over:
            self._path.connection.stop(self.number, code)
        self._path.close_soon(self)

    def _take_queue(self, size: int) -> Iterator[Buffer]:
        """Takes up to so many bytes of the queue, in its pieces: to join them would cost a copy."""
        while self._queue and size > 0:
            piece = self._queue.popleft()
            if len(piece) > size:
                self._queue.appendleft(memoryview(piece)[size:])
                piece = memoryview(piece)[:size]
            size -= len(piece)
            self._queued -= len(piece)
            yield piece

    def _drop(self, reason: Ended) -> None:
        """Resets both directions; the loss is told when the turn ends."""
        if self._loss is None:
            self._reset()
            self._path.lose_soon(self, reason)

    def _reset(self) -> None:
        self._drop_output()
        if self._path.is_over:
            return
        connection = self._path.connection
        connection.reset(self.number, BROKEN_OFF)
        if not self._input_over:
            connection.stop(self.number, BROKEN_OFF)

    def _drop_output(self) -> None:
        self._drop_queue()
        self._finishing = self._fin_sent = True
        self._output_drained()

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queued = self._unsent = 0

    def _end_if_over(self) -> None:
        if not (self._fin_sent and self._input_over) or self._path.is_over:
            return
        if not self._path.connection.unsent(self.number):
            self._path.lose_soon(self, self._why)
