"""Tests of what the kernel is asked about datagrams of one size."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.segmentation import can_segment, cut, forbid_fragments, join_received, joined

_SOL_UDP = 17


class FakeSocket:
    """A socket of UDP; ``error`` is what the kernel has to say of every option."""

    def __init__(self, error: int = 0, family: int = socket.AF_INET) -> None:
        self.error = error
        self.family = family
        self.options: list[tuple[int, int, int]] = []

    def getsockopt(self, level: int, option: int) -> int:
        """Answers that nothing is cut so far."""
        self._refuse()
        return 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Notes it."""
        self._refuse()
        self.options.append((level, option, value))

    def _refuse(self) -> None:
        if self.error:
            raise OSError(self.error, "no")


def plain(error: int = 0, family: int = socket.AF_INET) -> Any:
    """Such a socket, for whoever wants a real one."""
    return FakeSocket(error, family)


class SegmentationTests(SynchronousTestCase):
    """Linux, and systems that cannot do it."""

    def test_can_segment(self) -> None:
        """The kernel is asked, where it is Linux."""
        self.patch(sys, "platform", "linux")
        self.assertTrue(can_segment(plain()))
        self.assertFalse(can_segment(plain(errno.ENOPROTOOPT)))
        self.patch(sys, "platform", "darwin")
        self.assertFalse(can_segment(plain()))

    def test_cut(self) -> None:
        """The size goes beside the datagrams, as an unsigned short of the machine."""
        self.assertEqual(cut(1200), (_SOL_UDP, 103, struct.pack("=H", 1200)))

    def test_join_received(self) -> None:
        """The kernel is asked to join; one that cannot goes on as it did."""
        willing, unwilling = plain(), plain(errno.ENOPROTOOPT)
        join_received(willing)
        join_received(unwilling)
        self.assertEqual((willing.options, unwilling.options), ([(_SOL_UDP, 104, 1)], []))

    def test_joined(self) -> None:
        """The size is found among all that the kernel says."""
        size = (_SOL_UDP, 104, struct.pack("=i", 1200))
        self.assertEqual(joined([(socket.IPPROTO_IP, 8, b"x"), size]), 1200)
        self.assertEqual(joined([(socket.IPPROTO_IP, 104, b"x")]), 0)
        self.assertEqual(joined([]), 0)

    def test_forbid_fragments(self) -> None:
        """The kernel cuts nothing, and believes no router; where that cannot be had, it is said."""
        self.patch(sys, "platform", "linux")
        for family, options in (
            (socket.AF_INET, [(socket.IPPROTO_IP, 10, 3)]),
            (socket.AF_INET6, [(socket.IPPROTO_IPV6, 23, 3), (socket.IPPROTO_IPV6, 62, 1)]),
        ):
            with self.subTest(family=family):
                willing = plain(family=family)
                self.assertTrue(forbid_fragments(willing))
                self.assertEqual(willing.options, options)
        self.assertFalse(forbid_fragments(plain(errno.ENOPROTOOPT)))
        self.patch(sys, "platform", "plan9")
        self.assertFalse(forbid_fragments(plain()))
