"""Tests for :mod:`relaykit.config.not_implemented.types`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES
from tests.config.cases import builtin_types


class NotImplementedTypeTests(SynchronousTestCase):
    """Tests for the types of frp that have no module yet."""

    def test_all_types(self) -> None:
        """Together with those that are tried here, there are frp's eight types, none of them twice."""
        names = [*NOT_IMPLEMENTED_TYPES, *(reference.name for reference in builtin_types())]
        self.assertEqual(sorted(names), ["http", "https", "stcp", "sudp", "tcp", "tcpmux", "udp", "xtcp"])
