"""Tests for what a laboratory needs; a real one is in ``tests/integration``."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo import laboratory
from relaykit.commands.demo.laboratory import OWNER, SERVER, VISITOR, Counted, check_machine
from relaykit.errors import RelaykitError
from relaykit.sansio.nat.candidates import is_internet


class Probe:
    """A namespace that is none."""

    path = "/nowhere"
    is_closed = False

    def close(self) -> None:
        """Is noted."""
        self.is_closed = True


class MachineTests(SynchronousTestCase):
    """Tests for what is said where there can be no laboratory."""

    def refused(self, platform: str = "linux", is_root: bool = True, missing: str = "") -> str:
        """Why there can be none."""

        def find(tool: str) -> str | None:
            return None if tool == missing else f"/usr/bin/{tool}"

        error = self.assertRaises(RelaykitError, check_machine, platform, lambda: is_root, find)
        self.assertEqual(error.problem, "laboratory")
        return str(error)

    def test_what_is_missing(self) -> None:
        """It is named, and what to do about it."""
        self.assertIn("only Linux has", self.refused("darwin"))
        self.assertIn("run it by sudo", self.refused(is_root=False))
        self.assertIn("install iproute2", self.refused(missing="ip"))
        self.assertIn("install nftables", self.refused(missing="nft"))
        self.assertIn("install util-linux", self.refused(missing="setpriv"))

    def test_no_namespaces(self) -> None:
        """A container whose root may not make namespaces is told what it lacks."""

        def refuse() -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(laboratory, "Namespace", refuse)
        self.assertIn("(Operation not permitted): in a container, give it", self.refused())

    def test_no_links(self) -> None:
        """One whose root may make no links in them is told that."""

        def refuse(*_: str) -> None:
            raise RelaykitError("ip -batch - failed: not permitted\nCommand failed")

        probe = Probe()
        self.patch(laboratory, "Namespace", lambda: probe)
        self.patch(laboratory, "entered", lambda path: nullcontext())
        self.patch(laboratory, "run", refuse)
        self.assertIn("(ip -batch - failed: not permitted): in a container, give it", self.refused())
        self.assertTrue(probe.is_closed)

    def test_addresses(self) -> None:
        """Clients take what is outer for the Internet, and what is inner not."""
        outer = (*SERVER, VISITOR.wan, OWNER.wan)
        inner = (VISITOR.machine, VISITOR.gateway, OWNER.machine, OWNER.gateway)
        self.assertEqual(list(map(is_internet, (*outer, *inner))), [True] * 4 + [False] * 4)

    def test_difference(self) -> None:
        """What was counted between two moments."""
        self.assertEqual(Counted(10, 7) - Counted(4, 2), Counted(6, 5))
