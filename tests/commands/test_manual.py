"""Tests for ``relaykit man``."""

from __future__ import annotations

import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.commands.context import CommandContext
from relaykit.commands.main import run
from relaykit.commands.manual import man_page
from relaykit.commands.program import RELAYKIT
from relaykit.commands.tunnels.commands import is_built_in
from tests.commands.terminal import run_printed
from tests.layering import ROOT


class ManualTests(SynchronousTestCase):
    """Tests for the page."""

    def setUp(self) -> None:
        """Makes the page with the commands of the built-in types."""
        self.page = man_page(is_built_in)

    def test_file(self) -> None:
        """The page that is installed is that of this version: ``relaykit man > man/relaykit.1``."""
        self.assertEqual((ROOT / "man" / "relaykit.1").read_text("utf-8"), self.page)

    def test_printed(self) -> None:
        """The command prints it, with the commands of whatever else is installed."""
        printed = run_printed(["man"])
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertIn(".SS relaykit secret SERVICE\n", printed.stdout)

    def test_on_a_terminal(self) -> None:
        """On a terminal it is shown by man, which gets a file; without man its source is printed."""
        shown: list[str] = []

        def view(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
            shown.append(command[0] + Path(command[1]).read_text("utf-8")[:13])
            return subprocess.CompletedProcess(command, 0)

        class Terminal(StringIO):
            """Says that it is one."""

            def isatty(self) -> bool:
                return True

        self.patch(subprocess, "run", view)
        for found, source in (("/usr/bin/man", 0), (None, len(man_page()))):
            self.patch(shutil, "which", lambda name, found=found: found)
            terminal = Terminal()
            self.assertEqual(run(["man"], CommandContext(terminal, StringIO(), {})), 0)
            self.assertEqual(len(terminal.getvalue()), source)
        self.assertEqual(shown, ["/usr/bin/man.TH RELAYKIT "])

    def test_every_command(self) -> None:
        """Every command has its heading, and each of its flags a paragraph."""
        headings = re.findall(r"^\.SS relaykit (\S+)", self.page, re.MULTILINE)
        self.assertLessEqual(set(RELAYKIT.commands), set(headings))
        self.assertIn(".B \\-\\-remote\\-port PORT", self.page)

    def test_formatted(self) -> None:
        """Groff has nothing to complain of."""
        if shutil.which("groff") is None:
            raise SkipTest("there is no groff on this machine")
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z"],
            input=self.page,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
