"""Tests for how a command line of frp becomes a call of a function."""

from __future__ import annotations

from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relaykit import __version__
from relaykit.commands.context import CommandContext
from relaykit.commands.frp import administration
from relaykit.commands.frp.dispatch import completions, execute
from relaykit.flags.grammar import Call


class ExecuteTests(SynchronousTestCase):
    """Tests for :func:`execute`."""

    def execute(self, *words: str) -> tuple[int, str, str]:
        """The status, and what was printed on both streams."""
        stdout, stderr = StringIO(), StringIO()
        status = execute("frpc", words, CommandContext(stdout, stderr, {}))
        return status, stdout.getvalue(), stderr.getvalue()

    def test_called(self) -> None:
        """The command's function gets the call, and its answer is the status."""

        def act(call: Call, context: CommandContext) -> int:
            context.say(f"{call['api-timeout']} {' '.join(call.arguments)}")
            return 7

        self.patch(administration, "reload", act)
        self.assertEqual(self.execute("reload", "--api-timeout", "5s", "a", "b"), (7, "5.0 a b\n", ""))

    def test_version(self) -> None:
        """The version is that of relaykit."""
        self.assertEqual(self.execute("-v"), (0, f"{__version__}\n", ""))

    def test_help(self) -> None:
        """Help goes to standard output and is a success."""
        status, stdout, stderr = self.execute("verify", "-h")
        self.assertEqual((status, stderr), (0, ""))
        self.assertTrue(stdout.startswith("Check a configuration file\n\nUsage:\n"))

    def test_unknown_topic(self) -> None:
        """A topic that does not exist is told on standard error; that is no failure."""
        status, stdout, stderr = self.execute("help", "no", "such")
        self.assertEqual((status, stdout), (0, ""))
        self.assertTrue(stderr.startswith("Unknown help topic [`no` `such`]\nUsage:\n"))

    def test_bad_flag(self) -> None:
        """What does not fit is told with the usage of the command in question."""
        status, stdout, stderr = self.execute("verify", "--nosuch")
        self.assertEqual((status, stdout), (1, ""))
        self.assertTrue(stderr.startswith("Error: unknown flag: --nosuch\nUsage:\n  frpc verify [flags]\n"))

    def test_unknown_command(self) -> None:
        """A command that does not exist is told with where to look."""
        self.assertEqual(
            self.execute("nosuch"),
            (1, "", 'Error: unknown command "nosuch" for "frpc"\nRun \'frpc --help\' for usage.\n'),
        )

    def test_completion_script(self) -> None:
        """The script for a shell is that of relaykit."""
        self.assertIn("_RELAYKIT_COMPLETE", self.execute("completion", "zsh")[1])


class CompletionsTests(SynchronousTestCase):
    """Tests for :func:`completions`."""

    def names(self, *words: str) -> list[str]:
        """What the last word may become."""
        return [name for name, _ in completions("frpc", words[:-1], words[-1])]

    def test_commands_and_flags(self) -> None:
        """Commands are offered, and the flags of the command that is meant."""
        self.assertIn("verify", self.names(""))
        self.assertEqual(self.names("xtcp", "vis"), ["visitor"])
        self.assertEqual(self.names("tcp", "--remote"), ["--remote-port"])
        self.assertEqual(self.names("nosuch", "--config-d"), ["--config-dir"])
