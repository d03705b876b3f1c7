"""Sending many datagrams by one call."""

from __future__ import annotations

import errno
import socket
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.segments import MOST_SEGMENTS, SegmentingSender
from tests.dataplane.fakes import FakeDatagramSocket, os_error

NAME = ("192.0.2.1", 1000)


class SegmentingSenderTests(SynchronousTestCase):
    """What is sent arrives as it would one by one."""

    def send(self, plain: FakeDatagramSocket, *datagrams: bytes) -> int:
        """Sends them; how many were taken."""
        return SegmentingSender(cast(socket.socket, plain)).send(datagrams, NAME)

    def test_runs(self) -> None:
        """Those of one size go together, and a shorter one with those before it; an empty one goes alone."""
        for datagrams, calls in (
            ((b"aa", b"bb", b"cc"), 1),
            ((b"aa", b"bb", b"c", b"d"), 2),
            ((b"a", b"bb"), 2),
            ((b"aa", b"", b"bb"), 3),
            ((b"", b""), 2),
            ((), 0),
        ):
            plain = FakeDatagramSocket()
            self.assertEqual(self.send(plain, *datagrams), len(datagrams))
            self.assertEqual(plain.sent, [(each, NAME) for each in datagrams])
            self.assertEqual(plain.calls, calls, datagrams)

    def test_most_by_one_call(self) -> None:
        """One call has as many datagrams and bytes as the system takes."""
        for size, calls in ((1, 2), (65507 // MOST_SEGMENTS + 1, 2), (65507, MOST_SEGMENTS + 1)):
            plain = FakeDatagramSocket()
            self.assertEqual(self.send(plain, *[bytes(size)] * (MOST_SEGMENTS + 1)), MOST_SEGMENTS + 1)
            self.assertEqual(plain.calls, calls, size)

    def test_no_segments(self) -> None:
        """Where the system makes no segments, each datagram goes alone."""
        plain = FakeDatagramSocket(segments=0)
        self.assertEqual(self.send(plain, b"a", b"b"), 2)
        self.assertEqual((plain.sent, plain.calls), ([(b"a", NAME), (b"b", NAME)], 2))

    def test_too_long_for_the_way(self) -> None:
        """Segments that do not fit go one by one, and no more of their size are tried; smaller ones are."""
        plain = FakeDatagramSocket(segments=2)
        sender = SegmentingSender(cast(socket.socket, plain))
        for datagrams, calls in (((b"aaa", b"bbb"), 3), ((b"aaa", b"bbb"), 2), ((b"aa", b"bb"), 1)):
            plain.calls = 0
            self.assertEqual(sender.send(datagrams, None), 2)
            self.assertEqual(plain.calls, calls)
        self.assertEqual(b"".join(data for data, _ in plain.sent), b"aaabbb" * 2 + b"aabb")

    def test_errors(self) -> None:
        """An error about an earlier datagram costs none; what has no room is lost, and the next is tried."""
        plain = FakeDatagramSocket()
        plain.errors = [os_error(errno.ECONNREFUSED)]
        self.assertEqual(self.send(plain, b"a", b"b"), 2)
        plain.errors = [os_error(errno.EAGAIN)]
        self.assertEqual(self.send(plain, b"a", b"b", b"cc"), 1)
        plain.errors = [os_error(errno.EAGAIN)]
        self.assertEqual(self.send(plain, b"a"), 0)
        self.assertEqual([data for data, _ in plain.sent], [b"a", b"b", b"cc"])

    @given(st.lists(st.binary(max_size=4), max_size=150), st.integers(0, 4))
    def test_any(self, datagrams: list[bytes], segments: int) -> None:
        """Whatever their sizes are, all of them arrive in their order."""
        plain = FakeDatagramSocket(segments=segments)
        self.assertEqual(self.send(plain, *datagrams), len(datagrams))
        self.assertEqual([data for data, _ in plain.sent], datagrams)
