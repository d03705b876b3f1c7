"""Tests for ``relaykit server`` and ``relaykit client``."""

from __future__ import annotations

from relaykit.errors import ConnectionFailed
from tests.commands.fakes import FakeRole
from tests.commands.serving import ServingTestCase
from tests.commands.terminal import Printed

CONFIG = 'auth.token = "s"\n'


class RunTests(ServingTestCase):
    """Tests for both roles."""

    def test_until_a_signal(self) -> None:
        """A role serves until a signal comes; it is drained, and that is a success."""
        for command in ("server", "client"):
            self.role = FakeRole()
            self.assertEqual(self.serve(command, "-c", self.file(CONFIG)), Printed(0))
            self.assertEqual(self.role.done, ["privileged", "started", "stopped"])

    def test_cannot_start(self) -> None:
        """A role that cannot start says why on standard error, and fails."""
        for command in ("server", "client"):
            self.role = FakeRole(ConnectionFailed("the port is taken"))
            printed = self.serve(command, "-c", self.file(CONFIG), during=lambda: None)
            self.assertEqual((printed.status, printed.stdout), (1, ""))
            self.assertTrue(printed.stderr.startswith("the port is taken\n  The connection"), printed.stderr)
            self.assertEqual(self.role.done[-1], "stopped")

    def test_bad_file(self) -> None:
        """A file that cannot be used is told, and nothing is served."""
        for command in ("server", "client"):
            printed = self.serve(command, "-c", self.file("nosuch = 1\n"))
            self.assertEqual((printed.status, printed.stdout, self.role.done), (1, "", []))
            self.assertIn("nosuch", printed.stderr)
            self.assertTrue(
                self.serve(command).stderr.startswith("a configuration file is needed: -c FILE\n  The")
            )

    def test_defect(self) -> None:
        """A defect is told too, and its traceback is logged."""
        self.role = FakeRole(ValueError("oops"))
        printed = self.serve("server", "-c", self.file(CONFIG), during=lambda: None)
        self.assertEqual((printed.status, printed.stderr), (1, "oops\n"))
        self.assertIn("ValueError", printed.stdout)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_uncolored(self) -> None:
        """What is no terminal gets no colors."""
        self.role = FakeRole(ValueError("oops"))
        self.assertNotIn("\x1b", self.serve("server", "-c", self.file(CONFIG), during=lambda: None).stdout)
        self.flushLoggedErrors(ValueError)
