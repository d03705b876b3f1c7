"""Tests for :mod:`relaykit.known_problems.table`: every message carries the id of one of them."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.messages import messages
from relaykit.known_problems.table import KNOWN_PROBLEMS, with_hint
from tests.layering import ROOT, modules


class KnownProblemsTests(SynchronousTestCase):
    """Tests for the table."""

    def test_every_message_is_explained(self) -> None:
        """Whatever text an error, a warning or a complaint has, it carries the id of a known problem."""
        found = list(messages())
        self.assertGreater(len(found), 80)
        silent = [f"{each.place}: {each.text}" for each in found if each.problem not in KNOWN_PROBLEMS]
        self.assertEqual(silent, [])

    def test_every_problem_is_met(self) -> None:
        """No entry outlives the places that name it."""
        named = {
            node.value
            for path in modules()
            if "known_problems" not in path.parts
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
            if isinstance(node, ast.Constant)
        }
        self.assertEqual(set(KNOWN_PROBLEMS) - named, set())

    def test_hint(self) -> None:
        """A message of a known problem is followed by its cause and remedy; any other one stands alone."""
        lines = with_hint("[a] start error: port already used", "port-in-use").splitlines()
        known = KNOWN_PROBLEMS["port-in-use"]
        self.assertEqual(
            lines, ["[a] start error: port already used", f"  {known.cause}", f"  {known.remedy}"]
        )
        self.assertEqual(with_hint("nobody knows", ""), "nobody knows")
