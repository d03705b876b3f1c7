"""Tests of the rule for secrets."""

from __future__ import annotations

from typing import Annotated, Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import Options, from_wire, secret, secret_problems, wire
from relaykit.values import NO_SECRET, Secret


class Inside(Options, frozen=True, kw_only=True):
    """Has a password for a user."""

    user: str = ""
    password: Annotated[Secret, wire("pwd"), secret(needed_with="user", may_be_empty=True)] = NO_SECRET


class Outside(Options, frozen=True, kw_only=True):
    """Has a key that must be there, and more inside."""

    key: Annotated[Secret, wire("sk")] = NO_SECRET
    word: Annotated[Secret, secret(optional=True)] = NO_SECRET
    inside: Inside = Inside()
    more: tuple[Inside, ...] = ()


def keys(options: Options, **named: Any) -> list[str]:
    """The keys of what is wrong."""
    return [each.key for each in secret_problems(options, **named)]


class SecretTests(SynchronousTestCase):
    """Tests of :func:`secret_problems`."""

    def test_needed(self) -> None:
        """A secret must be there and have something in it, unless its options say otherwise."""
        for given in (NO_SECRET, Secret("")):
            (problem,) = secret_problems(Outside(key=given))
            self.assertEqual(problem.key, "key")
            self.assertIn("must be given, and not be empty", problem.reason)
        self.assertEqual(keys(Outside(key=Secret("k"))), [])

    def test_empty_on_purpose(self) -> None:
        """What may be empty is so where that is written out, and not where it was forgotten."""
        (problem,) = secret_problems(Inside(user="a"), "table.")
        self.assertEqual(problem.key, "table.password")
        self.assertIn('table.password = ""', problem.reason)
        self.assertEqual(keys(Inside(user="a", password=Secret(""))), [])
        self.assertEqual(keys(Inside()), [])

    def test_blank(self) -> None:
        """White space is no secret, needed or not."""
        blank = Secret(" \t")
        self.assertEqual(keys(Outside(key=blank, word=blank)), ["key", "word"])
        self.assertEqual(keys(Inside(password=blank)), ["password"])

    def test_inside(self) -> None:
        """Tables and lists of tables are looked into."""
        options = Outside(
            key=Secret("k"),
            inside=Inside(user="a"),
            more=(Inside(), Inside(user="a"), Inside(password=Secret(" "))),
        )
        self.assertEqual(keys(options), ["inside.password", "more[1].password", "more[2].password"])

    def test_as_sent(self) -> None:
        """The wire does not tell what was forgotten from what is empty on purpose, where that may be."""
        self.assertEqual(keys(from_wire(Outside, {}), as_sent=True), ["key"])
        self.assertEqual(keys(Inside(user="a"), as_sent=True), [])
