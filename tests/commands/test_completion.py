"""Tests for ``relaykit completion``: the scripts, and what shells are answered that ask."""

from __future__ import annotations

from click.shell_completion import BashComplete
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.program import RELAYKIT
from tests.commands.terminal import run_printed


class ScriptTests(SynchronousTestCase):
    """Tests for the scripts."""

    def test_shells(self) -> None:
        """Each shell has a script that asks relaykit; another shell has none."""
        for shell in ("bash", "fish", "zsh"):
            printed = run_printed(["completion", shell])
            self.assertEqual(printed.status, 0)
            self.assertIn(f"_RELAYKIT_COMPLETE={shell}_complete", printed.stdout)
        self.assertEqual(run_printed(["completion", "nosuch"]).status, 2)


class AnswerTests(SynchronousTestCase):
    """Tests for what is completed."""

    def completed(self, *words: str) -> list[tuple[str, str]]:
        """What the last word may become, each with its kind."""
        completion = BashComplete(RELAYKIT, {}, "relaykit", "_RELAYKIT_COMPLETE")
        return [(each.value, each.type) for each in completion.get_completions(list(words[:-1]), words[-1])]

    def test_commands(self) -> None:
        """Commands of relaykit and of proxy types are completed at each level."""
        self.assertEqual(self.completed("se"), [("secret", "plain"), ("server", "plain")])
        self.assertEqual(self.completed("systemd", "c"), [("client", "plain")])

    def test_flags(self) -> None:
        """So are the flags of a command, those of a type's options among them."""
        self.assertEqual(self.completed("tcp", "--remote"), [("--remote-port", "plain")])
        self.assertEqual(self.completed("verify", "--role", "s"), [("server", "plain")])

    def test_files(self) -> None:
        """Files and folders are completed where a flag takes them."""
        self.assertEqual(self.completed("server", "-c", "so"), [("so", "file")])
        self.assertEqual(self.completed("server", "--state-dir", "so"), [("so", "dir")])

    def test_frp(self) -> None:
        """The commands and flags of frp's programs are completed, too."""
        self.assertEqual(self.completed("frpc", "ver"), [("verify", "plain")])
        self.assertEqual(self.completed("frps", "--bind-p"), [("--bind-port", "plain")])
