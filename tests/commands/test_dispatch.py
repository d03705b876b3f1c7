"""Tests for how a command line becomes a call of a function."""

from __future__ import annotations

from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.dispatch import execute
from relaykit.commands.grammar import Call, Command, Flag
from relaykit.commands.kinds import TEXT
from relaykit.commands.surroundings import Surroundings


def act(call: Call, around: Surroundings) -> int:
    """An action that shows what it was called with."""
    around.say(f"{call['name']} {' '.join(call.arguments)}")
    return 7


ROOT = Command(
    "tool",
    "The tool.",
    action=f"{__name__}:act",
    children=(
        Command("do", "Do it", action=f"{__name__}:act", flags=(Flag("name", TEXT, "", default="me"),)),
        Command("help", "Help"),
    ),
)


class ExecuteTests(SynchronousTestCase):
    """Tests for :func:`execute`."""

    def execute(self, *words: str) -> tuple[int, str, str]:
        """The status, and what was printed on both streams."""
        stdout, stderr = StringIO(), StringIO()
        status = execute(ROOT, words, Surroundings(stdout, stderr, {}), 3)
        return status, stdout.getvalue(), stderr.getvalue()

    def test_called(self) -> None:
        """The command's function gets the call, and its answer is the status."""
        self.assertEqual(self.execute("do", "--name", "you", "a", "b"), (7, "you a b\n", ""))

    def test_help(self) -> None:
        """Help goes to standard output and is a success."""
        status, stdout, stderr = self.execute("do", "-h")
        self.assertEqual((status, stderr), (0, ""))
        self.assertTrue(stdout.startswith("Do it\n\nUsage:\n"))

    def test_unknown_topic(self) -> None:
        """A topic that does not exist is told on standard error; that is no failure."""
        status, stdout, stderr = self.execute("help", "no", "such")
        self.assertEqual((status, stdout), (0, ""))
        self.assertTrue(stderr.startswith("Unknown help topic [`no` `such`]\nUsage:\n"))

    def test_bad_flag(self) -> None:
        """What does not fit is told with the usage of the command in question."""
        status, stdout, stderr = self.execute("do", "--nosuch")
        self.assertEqual((status, stdout), (3, ""))
        self.assertTrue(stderr.startswith("Error: unknown flag: --nosuch\nUsage:\n  tool do [flags]\n"))

    def test_unknown_command(self) -> None:
        """A command that does not exist is told with where to look."""
        self.assertEqual(
            self.execute("nosuch"),
            (3, "", 'Error: unknown command "nosuch" for "tool"\nRun \'tool --help\' for usage.\n'),
        )
