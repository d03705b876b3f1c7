"""Every known problem has its place on the page that explains them."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.markup import problem_lines
from relaykit.known_problems.table import KNOWN_PROBLEMS
from tests.layering import ROOT

_ANCHOR = re.compile(r"^\.\. _problem-([a-z-]+):$", re.MULTILINE)
_REFERENCE = re.compile(r"<problem-([a-z-]+)>")


class TroubleshootingTests(SynchronousTestCase):
    """Tests for the page; that every message is in the table is a test of the table."""

    def test_anchors(self) -> None:
        """Every problem has its anchor, with what is said, what it means, and what to do."""
        page = "\n".join(problem_lines())
        self.assertEqual(sorted(_ANCHOR.findall(page)), sorted(KNOWN_PROBLEMS))
        self.assertEqual(page.count("*What to do:*"), len(KNOWN_PROBLEMS))
        self.assertIn("| ``port already used``", page)
        self.assertIn(".. known-problems::", (ROOT / "docs" / "troubleshooting.rst").read_text("utf-8"))

    def test_references(self) -> None:
        """Pages refer to anchors that are there."""
        for path in (ROOT / "docs").rglob("*.rst"):
            self.assertLessEqual(
                set(_REFERENCE.findall(path.read_text("utf-8"))), set(KNOWN_PROBLEMS), str(path)
            )
