"""Tests for ``relaykit migrate``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.terminal import Printed, run_printed


class MigrateTests(SynchronousTestCase):
    """Tests for what is printed of an old file."""

    def migrate(self, text: str, *words: str) -> Printed:
        """Runs the command for a file with this text."""
        self.file = Path(self.mktemp())
        self.file.write_text(text, "utf-8")
        return run_printed(["migrate", str(self.file), *words])

    def test_printed(self) -> None:
        """The file is printed as TOML, as that of the role that is named."""
        self.assertEqual(self.migrate("[common]\nbind_port = 7001\n"), Printed(0, "bindPort = 7001\n"))
        self.assertEqual(
            self.migrate("[common]\npprof_enable = true\n", "--role", "client"),
            Printed(0, "webServer.pprofEnable = true\n"),
        )

    def test_included(self) -> None:
        """A file that another includes has no common section, which has to be said."""
        text = "[ssh]\nlocal_port = 22\n"
        refused = self.migrate(text)
        self.assertEqual((refused.status, refused.stdout), (1, ""))
        self.assertIn(f"{self.file}: this is no INI file of frp's", refused.stderr)
        self.assertIn("--included", refused.stderr)
        self.assertEqual(
            self.migrate(text, "--included"),
            Printed(0, '[[proxies]]\nname = "ssh"\ntype = "tcp"\nlocalPort = 22\n'),
        )

    def test_includes(self) -> None:
        """What a file includes is not migrated with it, which is said beside the new file."""
        printed = self.migrate("[common]\nserver_port = 7001\nincludes = a.ini,./more/*.ini\n")
        self.assertEqual(printed.status, 0)
        self.assertEqual(printed.stdout, 'serverPort = 7001\nincludes = ["a.ini", "./more/*.ini"]\n')
        for pattern in ("a.ini", "./more/*.ini"):
            self.assertIn(f"{self.file}: includes {pattern}: those files are INI, too", printed.stderr)

    def test_mistakes(self) -> None:
        """What cannot be written anew is told with its place."""
        self.assertIn(":2: a.role: role must be", self.migrate("[a]\nrole = x\n[common]\n").stderr)
        self.assertIn("no such file", run_printed(["migrate", "nowhere.ini"]).stderr)
