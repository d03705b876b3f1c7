from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.contract import Buffer
from relaykit.sansio.yamux.frames import FIN, WINDOW_UPDATE
from relaykit.sansio.yamux.outbox import (
    FLUSH_BYTES,
    HIGH_WATER_BYTES,
    LOW_WATER_BYTES,
    PIECE_BYTES,
    Outbox,
)
from relaykit.sansio.yamux.streams import Event, Half, Stream, StreamWritable
from tests.sansio.yamux.dialogue import Frame, data, frames


def _queue(stream: Stream, *pieces: bytes) -> Stream:
    stream.queue.extend(pieces)
    stream.queued_bytes += sum(map(len, pieces))
    return stream


def _take(outbox: Outbox, budget_bytes: int = FLUSH_BYTES) -> bytes:
    pieces: list[Buffer] = []
    outbox.take_control(pieces)
    outbox.take_payload(pieces, budget_bytes, [])
    return b"".join(bytes(piece) for piece in pieces)


def _numbers(taken: list[Frame]) -> list[int]:
    return [number for _, _, number, _ in taken]


class OutboxTests(SynchronousTestCase):
    """Tests for the order of output."""

    def test_empty(self) -> None:
        """An outbox without anything in it is false and gives nothing."""
        outbox = Outbox()
        self.assertFalse(outbox)
        self.assertEqual(_take(outbox), b"")

    def test_order(self) -> None:
        """Frames without payload go first, expedited streams next, the others last."""
        outbox = Outbox()
        outbox.schedule(_queue(Stream(1, 0.0), b"usual"))
        outbox.schedule(_queue(Stream(3, 0.0, urgent=True), b"urgent"))
        outbox.add(WINDOW_UPDATE, 5, 9)
        self.assertTrue(outbox)
        self.assertEqual(frames(_take(outbox)), [(1, 0, 5, 9), (0, 0, 3, 6), (0, 0, 1, 5)])
        self.assertFalse(outbox)

    def test_turns(self) -> None:
        """Streams take turns, one piece of at most 64 KiB each."""
        outbox = Outbox()
        for number in (1, 3, 5):
            outbox.schedule(_queue(Stream(number, 0.0), bytes(2 * PIECE_BYTES)))
        taken = frames(_take(outbox, 10 * PIECE_BYTES))
        self.assertEqual(_numbers(taken), [1, 3, 5, 1, 3, 5])
        self.assertEqual({value for *_, value in taken}, {PIECE_BYTES})

    def test_budget(self) -> None:
        """No more payload than the budget is taken, and the next call goes on where this one stopped."""
        outbox = Outbox()
        for number in (1, 3):
            outbox.schedule(_queue(Stream(number, 0.0), bytes(PIECE_BYTES)))
        self.assertEqual(frames(_take(outbox, PIECE_BYTES + 10)), [(0, 0, 1, PIECE_BYTES), (0, 0, 3, 10)])
        self.assertEqual(frames(_take(outbox)), [(0, 0, 3, PIECE_BYTES - 10)])

    def test_window(self) -> None:
        """A stream sends no more than its window, and then loses its place among the others."""
        outbox = Outbox()
        stream = _queue(Stream(1, 0.0), b"abcdefgh")
        stream.send_window = 5
        outbox.schedule(stream)
        self.assertEqual(_take(outbox), data(1, b"abcde"))
        self.assertEqual((stream.send_window, stream.queued_bytes, stream.scheduled), (0, 3, False))
        self.assertFalse(outbox)

    def test_writes_share_frames(self) -> None:
        """Several writes go in one frame; a write that does not fit is cut."""
        outbox = Outbox()
        outbox.schedule(_queue(Stream(1, 0.0), b"ab", b"cd", bytes(PIECE_BYTES)))
        self.assertEqual(_take(outbox, PIECE_BYTES), data(1, b"abcd" + bytes(PIECE_BYTES - 4)))
        self.assertEqual(_take(outbox, PIECE_BYTES), data(1, bytes(4)))

    def test_longer_turns(self) -> None:
        """A turn is as long as the link wants it."""
        outbox = Outbox()
        for number in (1, 3):
            outbox.schedule(_queue(Stream(number, 0.0), bytes(2 * PIECE_BYTES)))
        pieces: list[Buffer] = []
        outbox.take_payload(pieces, 4 * PIECE_BYTES, [], turn_bytes=2 * PIECE_BYTES)
        self.assertEqual(
            frames(b"".join(map(bytes, pieces))), [(0, 0, 1, 2 * PIECE_BYTES), (0, 0, 3, 2 * PIECE_BYTES)]
        )

    def test_alone(self) -> None:
        """A stream that nobody waits behind is not cut into turns."""
        outbox = Outbox()
        outbox.schedule(_queue(Stream(1, 0.0), bytes(2 * PIECE_BYTES), b"xy"))
        self.assertEqual(_take(outbox), data(1, bytes(2 * PIECE_BYTES) + b"xy"))

    def test_many_small_writes_are_one_piece(self) -> None:
        """A thousand writes of one byte are not a thousand pieces for the socket."""
        outbox = Outbox()
        outbox.schedule(_queue(Stream(1, 0.0), *[b"x"] * 1000))
        pieces: list[Buffer] = []
        outbox.take_payload(pieces, FLUSH_BYTES, [])
        self.assertEqual(pieces, [data(1, b"x" * 1000)])

    def test_large_payload_is_not_copied(self) -> None:
        """Large writes go out as they are, behind a header of their own."""
        outbox = Outbox()
        large = bytes(PIECE_BYTES)
        outbox.schedule(_queue(Stream(1, 0.0), large))
        pieces: list[Buffer] = []
        outbox.take_payload(pieces, FLUSH_BYTES, [])
        self.assertIs(pieces[1], large)

    def test_congestion_ends(self) -> None:
        """A congested stream is told to be writable once its queue is at the low-water mark."""
        outbox = Outbox()
        stream = _queue(Stream(1, 0.0), bytes(HIGH_WATER_BYTES + PIECE_BYTES))
        stream.congested = True
        outbox.schedule(stream)
        events: list[Event] = []
        while stream.queued_bytes > LOW_WATER_BYTES:
            self.assertEqual(events, [])
            outbox.take_payload([], PIECE_BYTES, events)
        (event,) = events
        assert isinstance(event, StreamWritable)
        self.assertIs(event.stream, stream)
        self.assertFalse(stream.congested)

    def test_end_follows(self) -> None:
        """A stream whose end was asked for is answered once its payload is out, not before."""
        outbox = Outbox()
        stream = _queue(Stream(1, 0.0), b"last words")
        stream.sending = Half.ENDING
        outbox.schedule(stream)
        pieces: list[Buffer] = []
        self.assertEqual(outbox.take_payload(pieces, 4, []), [])
        self.assertEqual(outbox.take_payload(pieces, 400, []), [stream])

    def test_expediting(self) -> None:
        """A stream that is expedited while it waits overtakes the others from then on."""
        outbox = Outbox()
        early, late = (_queue(Stream(number, 0.0), b"x") for number in (1, 3))
        outbox.schedule(early)
        outbox.schedule(late)
        outbox.expedite(late)
        outbox.expedite(late)
        self.assertEqual(_numbers(frames(_take(outbox))), [3, 1])

    def test_closed_streams_are_passed_over(self) -> None:
        """A stream that was dropped while it waited for its turn sends nothing."""
        outbox = Outbox()
        stream = _queue(Stream(1, 0.0), b"x")
        outbox.schedule(stream)
        stream.closed = True
        self.assertEqual(_take(outbox), b"")

    def test_clearing(self) -> None:
        """Clearing drops payload and keeps the frames that tell why."""
        outbox = Outbox()
        outbox.schedule(_queue(Stream(1, 0.0), b"x"))
        outbox.add(WINDOW_UPDATE | FIN, 1, 0)
        outbox.clear()
        self.assertEqual(frames(_take(outbox)), [(1, FIN, 1, 0)])
