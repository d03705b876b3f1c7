"""The tables of what is here today tell what is registered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.features import features, readme_table
from tests.layering import ROOT


class FeatureTests(SynchronousTestCase):
    """Tests for what is said to be here."""

    def test_types(self) -> None:
        """The eight types of frp are built in, and each is here."""
        told = [row.name.strip("`") for row in features() if row.kind == "proxy types"]
        types = ["http", "https", "stcp", "sudp", "tcp", "tcpmux", "udp", "xtcp"]
        self.assertEqual(told, types)

    def test_readme(self) -> None:
        """The README has the table as it is made now."""
        self.assertIn(readme_table(), (ROOT / "README.md").read_text("utf-8"))
