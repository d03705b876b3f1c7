"""A real terminal for programs to draw on: that of tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.integration.programs import PATIENCE_S
from tests.integration.walkthrough import WalkTestCase, need

__all__ = ["TerminalTestCase"]


class TerminalTestCase(WalkTestCase):
    """A reader's machine with a terminal of 100 columns and 40 lines."""

    def setUp(self) -> None:
        """Has tmux, or skips the test."""
        need("tmux")
        super().setUp()
        self.socket = Path(tempfile.mkdtemp(dir="/tmp")) / "tmux"  # its path must not be long
        self.addCleanup(shutil.rmtree, self.socket.parent, ignore_errors=True)
        self.addCleanup(self.tmux, "kill-server")

    def tmux(self, *words: str) -> str:
        """Runs a command of tmux."""
        done = subprocess.run(
            ["tmux", "-f", os.devnull, "-S", str(self.socket), *words],
            capture_output=True,
            text=True,
            check=True,
            env={**self.environ, "TERM": "xterm", "LANG": "C.UTF-8", "SHELL": "/bin/sh"},
            cwd=self.folder,
        )
        return done.stdout

    def run_in_terminal(self, script: str) -> None:
        """Runs a script in the terminal, which then shows its status and waits."""
        # Ctrl-C is for the program alone.
        (self.folder / "script").write_text(f"trap : INT\n{script}\necho status $?\nread wait\n")
        self.tmux("new-session", "-d", "-x", "100", "-y", "40", "sh script")

    def seen(self, *texts: str) -> str:
        """What is on the terminal, as soon as all of these texts are: a picture is drawn bit by bit."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            shown = self.tmux("capture-pane", "-p")
            if all(text in shown for text in texts):
                return shown
            self.assertLess(time.monotonic(), deadline, shown)
            time.sleep(0.05)  # a terminal tells nobody that something was written to it
