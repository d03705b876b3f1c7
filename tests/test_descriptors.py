"""Tests of how many open files those may have who need many."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from relaykit.descriptors import (
    SEARCHING_PART,
    STRANGERS_PART,
    descriptor_limit,
    for_searching,
    for_strangers,
)


class DescriptorTests(SynchronousTestCase):
    """What the limit of open files amounts to."""

    def limit(self, soft: int) -> None:
        """So many are allowed."""
        self.patch(resource, "getrlimit", lambda which: (soft, resource.RLIM_INFINITY))

    def test_share(self) -> None:
        """Strangers have a part of what there is, at most so many, and never nothing."""
        for soft, expected in ((1 << 20, 4096), (1024, 1024 // STRANGERS_PART), (64, 16)):
            self.limit(soft)
            self.assertEqual((descriptor_limit(), for_strangers(4096)), (soft, expected))

    def test_searches(self) -> None:
        """Searches for a port have another part."""
        self.limit(1024)
        self.assertEqual(for_searching(4096), 1024 // SEARCHING_PART)

    def test_no_limit(self) -> None:
        """Without a limit it is as many as there may be at most."""
        self.limit(resource.RLIM_INFINITY)
        self.assertEqual((descriptor_limit(), for_strangers(4096)), (None, 4096))
