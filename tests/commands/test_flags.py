"""Tests for the values of flags."""

from __future__ import annotations

import click
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.flags import BOOLEAN_FLAG, PAIRS, several


class ValueTests(SynchronousTestCase):
    """Tests for the values of flags."""

    command = click.Command(
        "x",
        params=[
            several("--words"),
            several("--pairs", type=PAIRS),
            click.Option(["--strict"], default=True, **BOOLEAN_FLAG),
        ],
    )

    def test_several(self) -> None:
        """Values are separated by commas, quotes protect these, and a flag can be repeated."""
        with self.command.make_context("x", ["--words", 'a,"b,c"', "--words=d", "--pairs", "k=v,l=w"]) as ctx:
            self.assertEqual(ctx.params["words"], ("a", "b,c", "d"))
            self.assertEqual(ctx.params["pairs"], (("k", "v"), ("l", "w")))

    def test_no_pair(self) -> None:
        """What is no pair is refused with its flag."""
        with self.assertRaisesRegex(click.BadParameter, "is not key=value"):
            self.command.make_context("x", ["--pairs", "k"])

    def test_boolean(self) -> None:
        """A flag is yes when it stands alone, and takes a value."""
        for words, value in (([], True), (["--strict"], True), (["--strict=false"], False)):
            with self.command.make_context("x", list(words)) as ctx:
                self.assertIs(ctx.params["strict"], value)
