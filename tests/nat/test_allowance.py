"""Tests of how many sockets searches may have."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit import descriptors
from relaykit.nat.allowance import SEARCHING_SOCKETS_MAX, SocketAllowance


class SocketAllowanceTests(SynchronousTestCase):
    """Taking and giving back."""

    def test_bound(self) -> None:
        """No more is granted than there is; what is given back can be taken again."""
        allowance = SocketAllowance(100)
        self.assertEqual([allowance.take(60), allowance.take(60), allowance.take(1)], [60, 40, 0])
        allowance.give_back(60)
        self.assertEqual(allowance.take(256), 60)

    def test_open_files(self) -> None:
        """A part of the open files is for searches, and never more than a few thousand."""
        for limit, expected in ((1024, 256), (None, SEARCHING_SOCKETS_MAX), (8, 16)):
            self.patch(descriptors, "descriptor_limit", lambda limit=limit: limit)
            self.assertEqual(SocketAllowance().take(100_000), expected)
