"""Tests of the receiving half."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.kcp.options import FRP_TUNNEL
from relaykit.sansio.kcp.receiving import ENTRY_BYTES, Receiving, Room
from relaykit.sansio.kcp.segments import NUMBERS

OPTIONS = evolve(FRP_TUNNEL, receive_window=8, segment_bytes=34)
"""Room for eight segments of ten bytes."""


class ReceivingTests(SynchronousTestCase):
    """Segments in and out of order."""

    def setUp(self) -> None:
        self.receiving = Receiving(OPTIONS)

    def test_in_order(self) -> None:
        """What is in order is there at once, and one acknowledgement is enough for all of it."""
        for number in range(3):
            self.receiving.push(number, 100 + number, b"%d" % number)
        self.assertTrue(self.receiving.has_unread)
        self.assertEqual(self.receiving.read(), b"012")
        self.assertEqual(self.receiving.acknowledgements(), [(2, 102)])
        self.assertEqual(self.receiving.acknowledgements(), [])
        self.assertEqual(self.receiving.expected, 3)

    def test_gap(self) -> None:
        """What is behind a gap is acknowledged by itself, and waits until the gap is filled."""
        for number in (2, 1):
            self.receiving.push(number, number, b"%d" % number)
        self.assertEqual(self.receiving.read(), b"")
        self.assertEqual(self.receiving.acknowledgements(), [(2, 2), (1, 1)])
        self.receiving.push(3, 3, b"3")
        self.receiving.push(0, 9, b"0")
        self.assertEqual(self.receiving.read(), b"0123")
        self.assertEqual(self.receiving.acknowledgements(), [(0, 9)])

    def test_again(self) -> None:
        """What comes again is acknowledged again, as its acknowledgement may be lost, and not read again."""
        for number in (0, 0, 2, 2):
            self.receiving.push(number, number, b"%d" % number)
        self.receiving.push(0, 7, b"0")
        self.assertEqual(self.receiving.read(), b"0")
        self.assertEqual(self.receiving.acknowledgements(), [(2, 2), (0, 7)])

    def test_window(self) -> None:
        """Nothing beyond the window is taken or acknowledged; what is not read makes it smaller."""
        self.receiving.push(8, 1, b"beyond")
        self.assertEqual(self.receiving.acknowledgements(), [])
        for number in range(8):
            self.receiving.push(number, number, bytes(10))
        self.assertEqual(self.receiving.window, 0)
        self.receiving.acknowledgements()
        self.receiving.push(8, 1, b"no room")
        self.assertEqual(self.receiving.acknowledgements(), [])
        self.assertEqual(len(self.receiving.read()), 80)
        self.receiving.push(8, 1, b"room")
        self.assertEqual(self.receiving.read(), b"room")

    def test_bounded(self) -> None:
        """Unread and out of order, no more is held than the window has room for."""
        for number in (0, 1, 2, 3, *range(5, 5 * 8)):
            self.receiving.push(number, 0, bytes(10))
        held = len(self.receiving._unread) + sum(map(len, self.receiving._early.values()))
        self.assertEqual(held, 70)
        self.assertEqual(len(self.receiving.acknowledgements()), 4)

    def test_shared_room(self) -> None:
        """What is out of order takes of the room that sessions share; without any it is taken for lost."""
        room = Room(2 * (10 + ENTRY_BYTES) + 5)
        whole = room.left_bytes
        receivings = [Receiving(OPTIONS, room) for _ in range(2)]
        for each in receivings:
            each.push(1, 0, bytes(10))
            each.push(2, 0, bytes(10))
            each.push(1, 0, bytes(10))
        self.assertEqual(room.left_bytes, 5)
        self.assertEqual([len(each.acknowledgements()) for each in receivings], [2, 0])
        receivings[0].push(0, 0, bytes(10))
        self.assertEqual((len(receivings[0].read()), room.left_bytes), (30, whole))
        receivings[1].push(5, 0, bytes(10))
        receivings[1].release()
        self.assertEqual(room.left_bytes, whole)

    def test_told(self) -> None:
        """A peer that was told of little room must learn of more, and another one need not."""
        self.assertFalse(self.receiving.must_tell())
        for number in range(6):
            self.receiving.push(number, 0, bytes(10))
        self.receiving.told()
        self.assertFalse(self.receiving.must_tell())
        self.receiving.read()
        self.assertTrue(self.receiving.must_tell())
        self.receiving.told()
        self.assertFalse(self.receiving.must_tell())

    @given(st.lists(st.integers(0, 11), max_size=60), st.sampled_from([0, NUMBERS - 5]))
    def test_any_order(self, order: list[int], first: int) -> None:
        """In whatever order segments come, and how often, what is read is the stream without a gap."""
        receiving = Receiving(OPTIONS)
        receiving.expected = first
        got = b""
        for place in order:
            receiving.push((first + place) % NUMBERS, 0, b"%c" % place)
            got += receiving.read()
        self.assertEqual(got, bytes(range(len(got))))
