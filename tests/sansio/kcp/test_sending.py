"""Tests of the sending half."""

from __future__ import annotations

from math import inf

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.options import FRP_TUNNEL
from relaykit.sansio.kcp.round_trips import FIRST_TIMEOUT_S
from relaykit.sansio.kcp.segments import NUMBERS
from relaykit.sansio.kcp.sending import FIRST_WINDOW, Sending, SentSegment

OPTIONS = evolve(FRP_TUNNEL, send_window=40, segment_bytes=34)
"""Segments of ten bytes."""


class SendingTests(SynchronousTestCase):
    """Segments out, and acknowledgements in."""

    def setUp(self) -> None:
        self.sending = Sending(OPTIONS)

    def take(self, now: float, most: int = 100) -> list[SentSegment]:
        """What is sent now."""
        return list(self.sending.take(int(now * 1000), now, most))

    def numbers(self, now: float, most: int = 100) -> list[int]:
        """The numbers of what is sent now."""
        return [each.number for each in self.take(now, most)]

    def test_cutting(self) -> None:
        """What was written in any pieces becomes full segments, and a rest."""
        for piece in (b"0123", b"", b"456789abcdef", memoryview(b"ghijklmnopqrst"), b"u"):
            self.sending.write(piece)
        self.assertEqual(self.sending.queued_bytes, 31)
        sent = [bytes(each.data) for each in self.take(0.0)]
        self.assertEqual(sent, [b"0123456789", b"abcdefghij", b"klmnopqrst", b"u"])
        self.assertEqual((self.sending.queued_bytes, self.sending.flying_bytes), (0, 31))

    def test_windows(self) -> None:
        """As many are in flight as the peer takes, and as this end wants."""
        self.sending.write(bytes(1000))
        self.assertEqual(self.numbers(0.0), list(range(FIRST_WINDOW)))
        self.assertFalse(self.sending.can_send)
        self.sending.window_told(1024, 0)
        self.assertTrue(self.sending.can_send)
        self.assertEqual(self.numbers(0.0), list(range(FIRST_WINDOW, 40)))
        self.assertTrue(self.sending.arrived_before(2))
        self.assertEqual(self.numbers(0.0), [40, 41])
        self.sending.window_told(0, 1)
        self.assertFalse(self.sending.is_shut)
        self.sending.window_told(0, 2)
        self.assertTrue(self.sending.is_shut)

    def test_most(self) -> None:
        """No more go out at once than may."""
        self.sending.write(bytes(1000))
        self.assertEqual(self.numbers(0.0, 3), [0, 1, 2])
        self.assertEqual(self.numbers(0.0, 0), [])
        self.assertEqual(self.numbers(0.0, 3), [3, 4, 5])

    def test_timeout(self) -> None:
        """What is not acknowledged is sent again, each time after half a time-out more."""
        self.sending.write(b"data")
        self.numbers(0.0)
        due = FIRST_TIMEOUT_S
        self.assertEqual(self.sending.due_at, due)
        self.assertEqual(self.numbers(due - 0.01), [])
        self.assertEqual(self.numbers(due), [0])
        self.assertAlmostEqual(self.sending.due_at, due + 1.5 * FIRST_TIMEOUT_S)
        self.assertEqual(self.numbers(self.sending.due_at), [0])
        self.assertAlmostEqual(self.sending.due_at, due + 3.5 * FIRST_TIMEOUT_S)
        self.assertTrue(self.sending.arrived([0], 200, 600))
        self.assertEqual((self.sending.due_at, self.sending.is_flying), (inf, False))
        self.assertFalse(self.sending.arrived([0], 200, 600))

    def test_many_timeouts(self) -> None:
        """More that are due than may go out at once are sent one portion after the other, before new ones."""
        self.sending.write(bytes(100))
        self.numbers(0.0, 8)
        self.assertEqual(self.numbers(1.0, 5), [0, 1, 2, 3, 4])
        self.assertLessEqual(self.sending.due_at, 1.0)
        self.assertEqual(self.numbers(1.0, 5), [5, 6, 7, 8, 9])

    def test_overtaken(self) -> None:
        """A segment that two later ones have passed is sent again at once; acknowledged ones are not."""
        self.sending.write(bytes(60))
        self.numbers(0.0)
        self.sending.arrived([1], 0, 10)
        self.assertEqual(self.numbers(0.01), [])
        self.sending.arrived([3], 0, 10)
        self.assertTrue(self.sending.can_send)
        self.assertEqual(self.numbers(0.01), [0])
        self.sending.arrived([4, 5], 0, 10)
        self.assertEqual(self.numbers(0.01), [2])

    def test_overtaken_by_older(self) -> None:
        """What was sent after them is not overtaken by acknowledgements of what was sent before."""
        self.sending.write(bytes(60))
        self.numbers(0.0)
        self.sending.arrived([1, 2], 0, 10)
        self.assertEqual(self.numbers(0.5, 1), [0])
        self.sending.arrived([3, 4], 0, 600)
        self.assertNotIn(0, self.numbers(0.5, 100)[1:])

    def test_overtaken_and_there(self) -> None:
        """What arrives after all before it is sent again is not sent again."""
        self.sending.write(bytes(60))
        self.numbers(0.0)
        self.sending.arrived([4, 5], 0, 10)
        self.sending.arrived_before(6)
        self.assertEqual(self.numbers(0.01), [])
        self.assertFalse(self.sending.can_send)

    def test_round_trip(self) -> None:
        """The time-out follows the round trip."""
        self.sending.write(bytes(20))
        self.numbers(0.0)
        self.sending.arrived([0, 1], 0, 1000)
        self.sending.write(b"more")
        (sent,) = self.take(1.0)
        self.assertGreater(sent.timeout_s, 1.0)

    def test_forged(self) -> None:
        """Words about what was never sent, or long ago, change nothing."""
        self.sending.write(bytes(50))
        self.numbers(0.0)
        for expected in (6, 1 << 31, NUMBERS - 1, 0):
            self.assertFalse(self.sending.arrived_before(expected))
        self.assertFalse(self.sending.arrived([5, NUMBERS - 1, 1 << 31], 0, 0))
        self.assertEqual(self.sending.flying_bytes, 50)

    def test_wrapping(self) -> None:
        """Numbers go on across their end."""
        self.sending._first = self.sending._next = NUMBERS - 2
        self.sending.write(bytes(40))
        self.assertEqual(self.numbers(0.0), [NUMBERS - 2, NUMBERS - 1, 0, 1])
        self.sending.arrived([NUMBERS - 1, 0], 0, 0)
        self.assertEqual(self.numbers(0.01), [NUMBERS - 2])
        self.assertTrue(self.sending.arrived_before(1))
        self.assertEqual(self.sending.flying_bytes, 10)
