"""Tests for the command ``relaykit``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit import __version__
from relaykit.commands import main as main_module
from relaykit.commands.main import main
from tests.commands.terminal import Printed, run_printed, run_python

HEAVY = {"twisted", "zope", "msgspec", "OpenSSL", "cryptography", "yaml"}
"""Packages whose import takes longer than printing a version may."""


class RunTests(SynchronousTestCase):
    """Tests for what the words mean."""

    def test_version(self) -> None:
        """The version is printed, for frp's programs too."""
        for words in (["--version"], ["-v"], ["frps", "-v"], ["frpc", "--version"]):
            self.assertEqual(run_printed(words), Printed(0, f"{__version__}\n"), words)

    def test_nothing_said(self) -> None:
        """Without a command, help is shown."""
        printed = run_printed([])
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        for name in ("server", "client", "verify", "token", "plugins", "demo", "frps", "frpc"):
            self.assertIn(f"\n  {name}", printed.stdout)

    def test_misuse(self) -> None:
        """A command line that makes no sense fails with the usual status; frp's have frp's."""
        for words, status in ((["nosuch"], 2), (["server", "--nosuch"], 2), (["frps", "nosuch"], 1)):
            printed = run_printed(words)
            self.assertEqual((printed.status, printed.stdout), (status, ""))
            self.assertIn("Error: ", printed.stderr)
        for words, meant in (
            (["sever"], "Did you mean server"),
            (["version"], "Did you mean --version?"),
            (["tcp", "22", "--sever", "x"], "'--server'"),
            (["frps", "--bind_prt", "1"], "\t--bind-port\n"),
        ):
            self.assertIn(meant, run_printed(words).stderr)
        for words in (["systemd", "nosuch"], ["completion", "tcsh"], ["help", "nosuch"]):
            self.assertEqual(run_printed(words).status, 2, words)

    def test_surplus(self) -> None:
        """Our commands take no words that they would not read."""
        printed = run_printed(["token", "please"])
        self.assertEqual(printed.status, 2)
        self.assertIn("unexpected extra argument (please)", printed.stderr)

    def test_help_for_frp(self) -> None:
        """The help of frp's programs is their own."""
        self.assertIn("--bind-port", run_printed(["frps", "--help"]).stdout)
        self.assertIn("relaykit frps ...", run_printed(["help", "frps"]).stdout)


class MainTests(SynchronousTestCase):
    """Tests for the process around it."""

    def main_with(self, status: int) -> int:
        """What the process answers when the command answers ``status``."""
        self.patch(main_module, "run", lambda words, context: status)
        return main([])

    def test_status(self) -> None:
        """The status of the command is that of the process."""
        self.assertEqual([self.main_with(status) for status in (0, 1, 2)], [0, 1, 2])

    def test_ended_by_signal(self) -> None:
        """Who was ended by a signal ends by it; where it does not end us, the status says so."""
        sent: list[Any] = []
        self.patch(os, "kill", lambda pid, number: sent.append((pid, number)))
        self.patch(signal, "signal", lambda number, action: sent.append((number, action)))
        self.assertEqual(self.main_with(-signal.SIGTERM), 128 + signal.SIGTERM)
        self.assertEqual(sent, [(signal.SIGTERM, signal.SIG_DFL), (os.getpid(), signal.SIGTERM)])

    def test_no_room(self) -> None:
        """Where there is no room for the output, that is said in a line, and the status says so."""
        if not os.path.exists("/dev/full"):
            raise SkipTest("this system has no device that is always full")
        for words in (["--help"], ["frpc", "--help"], ["--version"]):
            with open("/dev/full", "w") as full:
                ended = subprocess.run(
                    [sys.executable, "-m", "relaykit", *words],
                    stdout=full,
                    stderr=subprocess.PIPE,
                    text=True,
                    check=False,
                )
            self.assertEqual(ended.returncode, 1)
            self.assertTrue(
                ended.stderr.startswith("the output cannot be written: No space left on device\n"),
                ended.stderr,
            )
            self.assertNotIn("Traceback", ended.stderr)

    def test_light(self) -> None:
        """The version is printed without importing a framework."""
        script = (
            "import sys; before = set(sys.modules); from relaykit.commands.main import main;"
            "main(['--version']); main(['frpc', '--help']);"
            "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
        )
        self.assertEqual(HEAVY & set(run_python(script)[-1].split()), set())
