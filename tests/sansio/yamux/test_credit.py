from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.yamux.credit import EXTRA_CREDIT_BYTES, MAX_WINDOW_BYTES, Credit
from relaykit.sansio.yamux.outbox import Outbox
from relaykit.sansio.yamux.streams import INITIAL_WINDOW_BYTES, Stream
from relaykit.sansio.yamux.timing import Keepalive
from tests.sansio.yamux.dialogue import Frame, frames

ROUND_TRIP_S = 0.1


class CreditTests(SynchronousTestCase):
    """Tests for windows that open again, and grow."""

    def setUp(self) -> None:
        """A link whose round trip is known."""
        self.credit = Credit()
        self.keepalive = Keepalive(None, 0.0)
        self.keepalive.round_trip_s = ROUND_TRIP_S

    def read(self, stream: Stream, now: float, count: int | None = None) -> list[Frame]:
        """Lets the peer send and the application read half a window, or ``count`` bytes."""
        count = stream.window_bytes // 2 if count is None else count
        stream.receive_window -= count
        stream.consumed_bytes += count
        self.credit.ask(stream)
        return self.give(now)

    def give(self, now: float) -> list[Frame]:
        """The frames that give credit back."""
        outbox = Outbox()
        self.credit.give(outbox, self.keepalive, now)
        pieces: list[bytes] = []
        outbox.take_control(pieces)  # type: ignore[arg-type]  # it adds bytes
        return frames(b"".join(pieces))

    def test_returning(self) -> None:
        """What was read slowly is given back, and not more."""
        stream = Stream(1, 0.0)
        half = INITIAL_WINDOW_BYTES // 2
        self.assertEqual(self.read(stream, 10.0), [(1, 0, 1, half)])
        self.assertEqual(stream.receive_window, INITIAL_WINDOW_BYTES)
        self.assertFalse(self.credit)

    def test_growing(self) -> None:
        """A window of which half was read within two round trips is doubled, up to 6 MiB."""
        stream = Stream(1, 0.0)
        sizes = []
        now = 0.0
        for _ in range(7):
            now += 2 * ROUND_TRIP_S * 0.99
            self.read(stream, now)
            self.assertEqual(stream.receive_window, stream.window_bytes)
            sizes.append(stream.window_bytes // 1024)
        self.assertEqual(sizes, [512, 1024, 2048, 4096, 6144, 6144, 6144])
        self.assertEqual(MAX_WINDOW_BYTES, 6144 * 1024)

    def test_slow_reader(self) -> None:
        """A window that took longer than two round trips stays as it is; they are measured again."""
        stream = Stream(1, 0.0)
        self.read(stream, 2 * ROUND_TRIP_S + 0.01)
        self.assertEqual(stream.window_bytes, INITIAL_WINDOW_BYTES)
        self.assertTrue(self.keepalive.wanted)

    def test_round_trips_take_longer_under_load(self) -> None:
        """A window grows once the round trip has been measured under the load that it slows down."""
        stream = Stream(1, 0.0)
        now = 4 * ROUND_TRIP_S
        self.read(stream, now)
        value = self.keepalive.send(now)
        self.keepalive.answered(value, now + 3 * ROUND_TRIP_S)
        self.read(stream, now + 4 * ROUND_TRIP_S)
        self.assertEqual(stream.window_bytes, 2 * INITIAL_WINDOW_BYTES)

    def test_largest_window(self) -> None:
        """Where a window cannot grow any more no round trip is measured for it."""
        stream = Stream(1, 0.0)
        stream.window_bytes = stream.receive_window = MAX_WINDOW_BYTES
        self.read(stream, 60.0)
        self.assertFalse(self.keepalive.wanted)

    def test_unknown_round_trip(self) -> None:
        """While the round trip is unknown nothing grows, and a ping is asked for to learn it."""
        self.keepalive = Keepalive(None, 0.0)
        stream = Stream(1, 0.0)
        self.read(stream, 0.0)
        self.assertEqual(stream.window_bytes, INITIAL_WINDOW_BYTES)
        self.assertTrue(self.keepalive.wanted)

    def test_extra_credit_is_bounded(self) -> None:
        """However many streams read fast, what they get beyond the initial windows has one limit."""
        streams = [Stream(number, 0.0) for number in range(1, 101, 2)]
        for _ in range(7):
            for stream in streams:
                self.read(stream, 0.0)
        extra = sum(stream.window_bytes - INITIAL_WINDOW_BYTES for stream in streams)
        self.assertEqual(extra, self.credit.extra_bytes)
        self.assertLessEqual(extra, EXTRA_CREDIT_BYTES)
        self.assertGreater(extra, EXTRA_CREDIT_BYTES - MAX_WINDOW_BYTES)
        self.assertTrue(all(stream.receive_window == stream.window_bytes for stream in streams))

    def test_extra_credit_comes_back(self) -> None:
        """What a stream had beyond the initial window is free for others once it is gone."""
        stream = Stream(1, 0.0)
        self.read(stream, 0.0)
        self.assertEqual(self.credit.extra_bytes, INITIAL_WINDOW_BYTES)
        self.credit.forget(stream)
        self.assertEqual(self.credit.extra_bytes, 0)

    def test_no_credit_for_the_deaf(self) -> None:
        """A stream that takes no more gets no credit."""
        stream = Stream(1, 0.0)
        stream.ignoring_input = True
        self.assertEqual(self.read(stream, 0.0), [])
