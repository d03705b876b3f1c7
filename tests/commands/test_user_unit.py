"""Tests for ``relaykit systemd user``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.user_unit import user_unit
from tests.commands.terminal import run_printed
from tests.commands.test_systemd import need_systemd


class UserUnitTests(SynchronousTestCase):
    """Tests for the unit of a user's own."""

    def test_words(self) -> None:
        """The client runs from absolute paths, quoted where they need it; the home is the user's."""
        text = user_unit(["/opt/relaykit"], "/home/a b/client.toml", "/home/a b/token")
        command = 'client -c "/home/a b/client.toml" --token-file "/home/a b/token"\n'
        self.assertIn(f"\nExecStart=/opt/relaykit {command}", text)
        self.assertIn("\nWantedBy=default.target\n", text)

    def test_command(self) -> None:
        """It is printed for the file where programs of a user have theirs, unless another one is named."""
        printed = run_printed(["systemd", "user"])
        self.assertEqual(printed.status, 0)
        home = Path("~").expanduser().absolute()
        self.assertIn(f" client -c {home}/.config/relaykit/client.toml\n", printed.stdout)
        self.assertIn(f" -c {os.getcwd()}/x.toml\n", run_printed(["systemd", "user", "-c", "x.toml"]).stdout)

    def test_no_file(self) -> None:
        """It is printed also for a file that will be there later, and says that it is not there yet."""
        path = Path(self.mktemp()).absolute()
        printed = run_printed(["systemd", "user", "-c", str(path)])
        self.assertEqual(printed.status, 0)
        self.assertIn(f" client -c {path}\n", printed.stdout)
        self.assertTrue(printed.stderr.startswith(f"note: {path} is not there yet;"), printed.stderr)
        path.write_text("")
        self.assertEqual(run_printed(["systemd", "user", "-c", str(path)]), evolve(printed, stderr=""))

    def test_taken(self) -> None:
        """Systemd takes it; an old one says that it does not know how to wait for a reload."""
        folder = Path(self.mktemp())
        folder.mkdir()
        need_systemd(folder / "any")
        path = folder / "relaykit-client.service"
        path.write_text(user_unit(["/bin/true"], "/x/client.toml", ""))
        tried = subprocess.run(
            ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
        )
        said = [line for line in (tried.stdout + tried.stderr).splitlines() if "notify-reload" not in line]
        self.assertEqual((tried.returncode, said), (0, []))
