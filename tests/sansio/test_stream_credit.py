"""Tests of the credit of streams that is told beside them."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.stream_credit import (
    EXTRA_CREDIT_BYTES,
    INITIAL_CREDIT_BYTES,
    MAX_WINDOW_BYTES,
    Rooms,
    Window,
    Windows,
)

HALF = INITIAL_CREDIT_BYTES // 2


class WindowsTests(SynchronousTestCase):
    """The end that receives."""

    def setUp(self) -> None:
        self.windows = Windows()
        self.window = Window(4, 0.0)

    def pass_through(self, window: Window, count: int, now: float) -> bytes:
        """So much arrives and is taken at once; answers the records."""
        window.received(count)
        self.windows.consumed(window, count)
        return self.windows.to_send(0.01, now)

    def test_golden(self) -> None:
        """A record is these bytes: once half of the window was taken, slowly, it is whole again."""
        self.assertEqual(self.pass_through(self.window, HALF - 1, 5.0), b"")
        self.assertEqual(
            self.pass_through(self.window, 1, 5.0), struct.pack("!QQ", 4, HALF + INITIAL_CREDIT_BYTES)
        )

    def test_withheld(self) -> None:
        """What has arrived and was not taken brings no credit."""
        self.window.received(INITIAL_CREDIT_BYTES)
        self.assertEqual(self.windows.to_send(0.01, 1.0), b"")
        self.assertFalse(self.windows.consumed(self.window, 1))
        self.assertTrue(self.windows.consumed(self.window, HALF))
        self.assertEqual(len(self.windows.to_send(0.01, 1.0)), 16)

    def test_too_much(self) -> None:
        """A peer that sends more than it may broke the rules."""
        self.window.received(INITIAL_CREDIT_BYTES)
        self.assertRaises(RemoteProtocolError, self.window.received, 1)

    def test_widened(self) -> None:
        """A window that is taken within two round trips doubles, up to a limit."""
        limits = []
        now = taken = 0.0
        while taken < 20 * MAX_WINDOW_BYTES:
            taken += HALF
            now += 0.001
            for _, limit in struct.iter_unpack("!QQ", self.pass_through(self.window, HALF, now)):
                limits.append(limit - taken)
        self.assertEqual(limits[:2], [2 * INITIAL_CREDIT_BYTES, 4 * INITIAL_CREDIT_BYTES])
        self.assertEqual(max(limits), MAX_WINDOW_BYTES)

    def test_slow(self) -> None:
        """One that is taken slowly stays as it is, and so does any before a round trip is known."""
        for round_trip_s in (0.01, None):
            window = Window(8, 0.0)
            window.received(HALF)
            self.windows.consumed(window, HALF)
            self.assertEqual(
                self.windows.to_send(round_trip_s, 1.0), struct.pack("!QQ", 8, HALF + INITIAL_CREDIT_BYTES)
            )

    def test_all_together(self) -> None:
        """All streams together have a bounded extra credit, and give it back when they are over."""
        windows = [Window(4 * number, 0.0) for number in range(40)]
        for step in range(40):
            for window in windows:
                self.pass_through(window, HALF, 0.001 * step)
        self.assertLessEqual(self.windows.extra_bytes, EXTRA_CREDIT_BYTES)
        self.assertGreater(self.windows.extra_bytes, EXTRA_CREDIT_BYTES // 2)
        for window in windows:
            self.windows.forget(window)
        self.assertEqual(self.windows.extra_bytes, 0)


class RoomsTests(SynchronousTestCase):
    """The end that sends."""

    def setUp(self) -> None:
        self.rooms = Rooms()
        self.room = self.rooms.open(4)

    def test_more_room(self) -> None:
        """A record adds to what is left, however it is cut; one about another stream means nothing."""
        self.room.sent(INITIAL_CREDIT_BYTES - 10)
        records = struct.pack("!QQQQ", 400, 5, 4, INITIAL_CREDIT_BYTES + 7)
        widened = [self.rooms.receive(bytes([byte])) for byte in records]
        self.assertEqual((widened[-1], sum(map(len, widened))), ([4], 1))
        self.assertEqual(self.room.bytes_left, 17)

    def test_taken_back(self) -> None:
        """A limit that falls breaks the rules."""
        self.assertRaises(RemoteProtocolError, self.rooms.receive, struct.pack("!QQ", 4, 1))

    def test_over(self) -> None:
        """Of a stream that is over nothing is kept."""
        self.rooms.forget(4)
        self.assertEqual(self.rooms.receive(struct.pack("!QQ", 4, 1)), [])

    @given(st.lists(st.binary(max_size=40)))
    def test_junk(self, pieces: list[bytes]) -> None:
        """Whatever a peer sends, it is taken, or breaks the rules."""
        rooms = Rooms()
        rooms.open(0)
        with contextlib.suppress(RemoteProtocolError):
            for data in pieces:
                rooms.receive(data)

    @given(st.lists(st.integers(1, HALF), max_size=60))
    def test_both_ends(self, counts: list[int]) -> None:
        """Who keeps to the room never sends more than it may."""
        windows, window = Windows(), Window(4, 0.0)
        rooms = Rooms()
        room = rooms.open(4)
        for step, wanted in enumerate(counts):
            count = min(wanted, room.bytes_left)
            room.sent(count)
            window.received(count)
            windows.consumed(window, count)
            rooms.receive(windows.to_send(0.01, 0.001 * step))
            self.assertGreater(room.bytes_left, 0)
