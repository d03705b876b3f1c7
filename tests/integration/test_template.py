"""Tests for forks: what they do, have and leave behind is that of a program that is started from nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.programs import Program, free_port, relaykit_command

SERVER = """
bindAddr = "127.0.0.1"
bindPort = {port}
auth.token = "{{{{ .Envs.TOKEN }}}}"
"""


class ForkTests(SynchronousTestCase):
    """Tests that compare the two."""

    def setUp(self) -> None:
        """Makes a folder with a server's file."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "relay.toml").write_text(SERVER.format(port=free_port()))

    def start(self, *words: str, forked: bool) -> Program:
        """Starts a command in the folder, with a variable in its environment."""
        program = Program(relaykit_command(*words), self.folder, {"TOKEN": "secret"}, forked=forked)
        self.addCleanup(program.stop)
        return program

    def test_ended(self) -> None:
        """Both print the same on both streams, relative to their folder, and have the same exit status."""
        for words in (["--version"], ["verify", "-c", "relay.toml"], ["verify", "-c", "no.toml"], ["no"]):
            from_nothing, fork = (self.start(*words, forked=each) for each in (False, True))
            self.assertEqual(fork.wait_for_end(), from_nothing.wait_for_end())
            self.assertEqual(fork.output, from_nothing.output)
            self.assertNotEqual(fork.output, "")

    def test_serving(self) -> None:
        """Both have the same descriptors and signals while they serve; they drain, or die at once."""
        has = []
        for forked in (False, True):
            server = self.start("server", "-c", "relay.toml", forked=forked)
            server.wait_for("started successfully")
            has.append((server.descriptors(), server.status("SigIgn"), server.status("SigBlk")))
            self.assertEqual(server.status("PPid"), str(os.getpid()))
            server.terminate()
            self.assertEqual(server.wait_for_end(), 0)
            killed = self.start("server", "-c", "relay.toml", forked=forked)
            killed.wait_for("started successfully")
            killed.signal(signal.SIGKILL)
            self.assertEqual(killed.wait_for_end(), -signal.SIGKILL)
        self.assertEqual(has[0], has[1])
