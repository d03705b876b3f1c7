"""Tests for how a process is made fit for many users."""

from __future__ import annotations

import gc
import linecache
import resource
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.tuning import COLLECT_AFTER, prepare_process


class ProcessTests(SynchronousTestCase):
    """Tests for :func:`prepare_process`."""

    def setUp(self) -> None:
        """Keeps the collector of this process as it is."""
        self.collector: list[Any] = []
        self.patch(gc, "freeze", lambda: self.collector.append("freeze"))
        self.patch(gc, "set_threshold", lambda *after: self.collector.append(after))

    def test_raised(self) -> None:
        """The soft limit becomes the hard one."""
        limits: list[Any] = []
        self.patch(resource, "getrlimit", lambda which: (64, 4096))
        self.patch(resource, "setrlimit", lambda which, limit: limits.append((which, limit)))
        prepare_process()
        self.assertEqual(limits, [(resource.RLIMIT_NOFILE, (4096, 4096))])

    def test_collector(self) -> None:
        """What is there from the start is never searched for garbage, and the rest less often."""
        prepare_process()
        self.assertEqual(self.collector, ["freeze", COLLECT_AFTER])

    def test_sources(self) -> None:
        """What is kept of the source of generated methods is given up."""
        linecache.cache["<generated>"] = (1, None, ["pass"], "<generated>")
        prepare_process()
        self.assertNotIn("<generated>", linecache.cache)

    def test_refused(self) -> None:
        """A system that does not let it be raised is lived with."""

        def refuse(which: int, limit: tuple[int, int]) -> None:
            raise ValueError("current limit exceeds maximum limit")

        self.patch(resource, "setrlimit", refuse)
        prepare_process()
