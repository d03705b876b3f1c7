"""Every message has its place on the page that explains them."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.markup import trouble_lines
from relaykit.commands.troubles import TROUBLES
from tests.layering import ROOT

_ANCHOR = re.compile(r"^\.\. _trouble-([a-z-]+):$", re.MULTILINE)
_REFERENCE = re.compile(r"<trouble-([a-z-]+)>")


class TroubleshootingTests(SynchronousTestCase):
    """Tests for the page; that every message is in the table is a test of the table."""

    def test_anchors(self) -> None:
        """Every trouble has its anchor, with what it says, what it means, and what to do."""
        page = "\n".join(trouble_lines())
        self.assertEqual(sorted(_ANCHOR.findall(page)), sorted(trouble.anchor for trouble in TROUBLES))
        self.assertEqual(page.count("*What to do:*"), len(TROUBLES))
        self.assertIn(".. troubles::", (ROOT / "docs" / "troubleshooting.rst").read_text("utf-8"))

    def test_references(self) -> None:
        """Pages refer to anchors that are there."""
        anchors = {trouble.anchor for trouble in TROUBLES}
        for path in (ROOT / "docs").rglob("*.rst"):
            self.assertLessEqual(set(_REFERENCE.findall(path.read_text("utf-8"))), anchors, str(path))
