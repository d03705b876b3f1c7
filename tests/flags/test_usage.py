"""Tests for help texts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.flags.flag_types import BOOLEAN, INTEGER, TEXT
from relaykit.flags.grammar import Command, Flag
from relaykit.flags.usage import flags_text, help_text, usage_text

CHILD = Command("child", "Do it", action="m:f", flags=(Flag("fast_way", BOOLEAN, "run", default=True),))
ROOT = Command(
    "tool",
    "The tool.",
    action="m:f",
    persistent=(
        Flag("port", INTEGER, "where", default=7000, short="p"),
        Flag("name", TEXT, "who", default="me"),
    ),
    children=(CHILD,),
)


class UsageTests(SynchronousTestCase):
    """Tests for what ``--help`` prints."""

    def test_root(self) -> None:
        """The root shows its forms, its children and its flags with their defaults."""
        self.assertEqual(
            help_text((ROOT,)),
            "The tool.\n"
            "\n"
            "Usage:\n"
            "  tool [flags]\n"
            "  tool [command]\n"
            "\n"
            "Commands:\n"
            "  child  Do it\n"
            "\n"
            "Flags:\n"
            "  -h, --help          show this help\n"
            '      --name string   who (default "me")\n'
            "  -p, --port int      where (default 7000)\n"
            "\n"
            'Use "tool [command] --help" to see more about a command.\n',
        )

    def test_child(self) -> None:
        """A child shows its own flags apart from those of its parents, with dashes."""
        self.assertEqual(
            usage_text((ROOT, CHILD)),
            "Usage:\n"
            "  tool child [flags]\n"
            "\n"
            "Flags:\n"
            "      --fast-way   run (default true)\n"
            "  -h, --help       show this help\n"
            "\n"
            "Global Flags:\n"
            '      --name string   who (default "me")\n'
            "  -p, --port int      where (default 7000)\n",
        )

    def test_flags_alone(self) -> None:
        """The flags can be shown alone, for commands that are called in another way."""
        self.assertEqual(
            flags_text((CHILD,)),
            "Flags:\n      --fast-way   run (default true)\n  -h, --help       show this help\n",
        )
