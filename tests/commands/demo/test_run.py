"""Tests for the choice between the demonstrations."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo import direct, relay
from tests.commands.terminal import run_printed


class RunTests(SynchronousTestCase):
    """Tests for which one a command line is."""

    def setUp(self) -> None:
        """Takes the place of both."""
        self.run_: list[tuple[Any, ...]] = []
        for module in (direct, relay):
            self.patch(
                module, "run", lambda context, *words, module=module: self.run_.append((module, *words))
            )

    def test_chosen(self) -> None:
        """That of a tunnel, unless it shall be that of NATs."""
        for words in (("--once",), ("--nat",), ("--nat", "--once", "--routers", "symmetric")):
            run_printed(["demo", *words])
        self.assertEqual(self.run_, [(relay, True), (direct, False, "cone"), (direct, True, "symmetric")])

    def test_routers_without_nat(self) -> None:
        """There are no routers in that of a tunnel."""
        printed = run_printed(["demo", "--routers", "cone"])
        self.assertEqual((printed.status, self.run_), (2, []))
        self.assertIn("--routers goes with --nat", printed.stderr)
