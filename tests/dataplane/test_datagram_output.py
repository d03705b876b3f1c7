"""Sending many datagrams by one call."""

from __future__ import annotations

import errno
import socket
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.datagram_output import DatagramOutput
from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.sansio.segments import MOST_SEGMENTS
from tests.dataplane.fakes import FakeDatagramSocket, FakePoller, os_error

NAME, OTHER = ("192.0.2.1", 1000), ("192.0.2.1", 1001)


class Sending:
    """The output of a fake socket, and two legs that send."""

    def __init__(self, segments: int = 65507) -> None:
        self.poller = FakePoller()
        self.socket = FakeDatagramSocket(segments=segments)
        self.output = DatagramOutput(self.poller, cast(socket.socket, self.socket))
        self.leg, self.other = (DatagramLeg(self.poller, None, None) for _ in range(2))

    def send(self, *datagrams: bytes) -> tuple[list[bytes], int]:
        """Sends them from one leg in one turn; what went out, by how many calls."""
        return self.send_from(self.leg, NAME, *datagrams)

    def send_from(
        self, leg: DatagramLeg, name: tuple[str, int], *datagrams: bytes
    ) -> tuple[list[bytes], int]:
        """The same from any leg to its receiver."""
        self.socket.sent.clear()
        self.socket.calls = 0
        for each in datagrams:
            assert self.output.send(leg, each, name)
        self.poller.end_turn()
        return [data for data, _ in self.socket.sent], self.socket.calls


class DatagramOutputTests(SynchronousTestCase):
    """What is sent arrives as it would one by one."""

    def test_runs(self) -> None:
        """Those of one size go together, and a shorter one with those before it; an empty one goes alone."""
        for datagrams, calls in (
            ([b"aa", b"bb", b"cc"], 1),
            ([b"aa", b"bb", b"c", b"d"], 2),
            ([b"a", b"bb"], 2),
            ([b"aa", b"", b"bb"], 3),
            ([b"", b""], 2),
            ([], 0),
        ):
            self.assertEqual(Sending().send(*datagrams), (datagrams, calls))

    def test_most_by_one_call(self) -> None:
        """What one call cannot take does not wait for the end of the turn."""
        for size, most in ((0, MOST_SEGMENTS), (1, MOST_SEGMENTS), (1200, 54), (65507, 1)):
            sending = Sending()
            for _ in range(most):
                sending.output.send(sending.leg, bytes(size), NAME)
            self.assertEqual(sending.socket.sent, [])
            sending.output.send(sending.leg, bytes(size), NAME)
            self.assertEqual(len(sending.socket.sent), most)
            sending.poller.end_turn()
            self.assertEqual(len(sending.socket.sent), most + 1)
        self.assertFalse(sending.output.send(sending.leg, bytes(65508), NAME))

    def test_many(self) -> None:
        """Many go out at once, after what was kept from the same leg; what is not taken is counted."""
        sending = Sending()
        sending.output.send(sending.other, b"other", OTHER)
        sending.output.send(sending.leg, b"first", NAME)
        self.assertEqual(sending.output.send_many(sending.leg, [b"aa", b"bb", b"c"], NAME), 3)
        self.assertEqual([data for data, _ in sending.socket.sent], [b"first", b"aa", b"bb", b"c"])
        sending.socket.errors = [os_error(errno.EAGAIN)]
        self.assertEqual(sending.output.send_many(sending.leg, [b"aa", b"bb", b"ccc"], NAME), 1)
        self.assertEqual((sending.leg.dropped, sending.socket.calls), (2, 4))
        sending.poller.end_turn()
        self.assertEqual(sending.socket.sent[-1], (b"other", OTHER))

    def test_several_receivers(self) -> None:
        """What goes to one receiver goes together, whatever was sent in between."""
        sending = Sending()
        for data in (b"1", b"2"):
            sending.output.send(sending.leg, data, NAME)
            sending.output.send(sending.other, data, OTHER)
        sending.poller.end_turn()
        self.assertEqual(sending.socket.sent, [(b"1", NAME), (b"2", NAME), (b"1", OTHER), (b"2", OTHER)])
        self.assertEqual(sending.socket.calls, 2)

    def test_lent(self) -> None:
        """What is sent is the caller's again at once."""
        sending, data = Sending(), bytearray(b"mine")
        sending.output.send(sending.leg, data, NAME)
        data[:] = b"gone"
        sending.output.flush()
        self.assertEqual(sending.socket.sent, [(b"mine", NAME)])

    def test_no_segments(self) -> None:
        """Where the system makes no segments, each datagram goes alone."""
        self.assertEqual(Sending(segments=0).send(b"a", b"b"), ([b"a", b"b"], 2))

    def test_too_long_for_the_way(self) -> None:
        """Segments that do not fit go one by one, and no more of their size are tried; smaller ones are."""
        sending = Sending(segments=2)
        for datagrams, calls in (([b"aaa", b"bbb"], 3), ([b"aaa", b"bbb"], 2), ([b"aa", b"bb"], 1)):
            self.assertEqual(sending.send(*datagrams), (datagrams, calls))

    def test_narrow_way_to_one(self) -> None:
        """A receiver with a narrow way to it takes nothing from the others of the socket."""
        sending = Sending()
        sending.socket.narrow[NAME] = 2
        for datagrams, calls in (([b"aaa", b"bbb"], 3), ([b"aaa", b"bbb"], 2), ([b"aa", b"bb"], 1)):
            self.assertEqual(sending.send(*datagrams), (datagrams, calls))
            self.assertEqual(sending.send_from(sending.other, OTHER, *datagrams), (datagrams, 1))

    def test_errors(self) -> None:
        """An error about an earlier datagram costs none; what has no room is lost, and the next is tried."""
        sending = Sending()
        sending.socket.errors = [os_error(errno.ECONNREFUSED)]
        self.assertEqual(sending.send(b"a", b"b"), ([b"a", b"b"], 2))
        self.assertEqual(sending.leg.dropped, 0)
        sending.socket.errors = [os_error(errno.EAGAIN)]
        self.assertEqual(sending.send(b"a", b"b", b"cc"), ([b"cc"], 2))
        sending.socket.errors = [os_error(errno.ECONNREFUSED)] * 2
        self.assertEqual(sending.send(b"a"), ([], 2))
        self.assertEqual((sending.leg.dropped, sending.other.dropped), (3, 0))

    @given(st.lists(st.binary(max_size=4), max_size=150), st.integers(0, 4))
    def test_any(self, datagrams: list[bytes], segments: int) -> None:
        """Whatever their sizes are, all of them arrive in their order."""
        self.assertEqual(Sending(segments).send(*datagrams)[0], datagrams)
