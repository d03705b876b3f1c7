"""Tests for what tests of several processes at once share: the ports of one machine."""

from __future__ import annotations

import subprocess
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.programs import alone_with, free_port, free_ports
from tests.layering import ROOT

_TAKE_PORTS = "from tests.integration.programs import free_ports; print(*free_ports(50), flush=True); input()"


class SharedPortsTests(SynchronousTestCase):
    """Tests with other processes that run tests."""

    def test_leased(self) -> None:
        """No two of them are given the same port as long as both are there, whether it is used or not."""
        others = [
            subprocess.Popen(
                [sys.executable, "-c", _TAKE_PORTS],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        given: list[int] = []
        for other in others:
            assert other.stdout is not None
            given += map(int, other.stdout.readline().split())
        given += free_ports(50)
        for other in others:
            other.communicate("\n")
        self.assertEqual((len(given), len(set(given))), (150, 150))

    def test_one_after_the_other(self) -> None:
        """None has a thing for itself while another one has it."""
        thing = f"a thing of test {free_port()}"
        came: list[str] = []

        def come() -> None:
            with alone_with(thing):
                came.append("second")

        other = threading.Thread(target=come)
        with alone_with(thing):
            other.start()
            came.append("first")
        other.join()
        self.assertEqual(came, ["first", "second"])
