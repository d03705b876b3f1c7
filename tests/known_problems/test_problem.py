"""Tests for what is written of each known problem."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from relaykit.known_problems.problem import KnownProblem
from relaykit.known_problems.table import KNOWN_PROBLEMS


class KnownProblemTests(SynchronousTestCase):
    """Tests for all of them."""

    def test_sentences(self) -> None:
        """Ids can be anchors, titles are short, and the rest is in whole sentences."""
        for problem, known in KNOWN_PROBLEMS.items():
            self.assertIsInstance(known, KnownProblem)
            self.assertIsNotNone(re.fullmatch(r"[a-z]+(-[a-z]+)*", problem))
            self.assertLess(len(known.title), 60)
            for text in (known.cause, known.remedy):
                self.assertTrue(text[0].isupper() or text.startswith("relaykit"), text)
                self.assertTrue(text.endswith("."), text)
