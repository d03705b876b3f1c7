"""The tables of what is here today tell what is registered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.features import HERE, features, readme_table
from relaykit.config.not_implemented import CLIENT_KEYS, SERVER_KEYS
from tests.layering import ROOT


class FeatureTests(SynchronousTestCase):
    """Tests for what is said to be here, and not to be here."""

    def test_types(self) -> None:
        """The eight types of frp are built in, and each is here."""
        told = {row.name.strip("`"): row.today for row in features() if row.kind == "proxy types"}
        types = ["http", "https", "stcp", "sudp", "tcp", "tcpmux", "udp", "xtcp"]
        self.assertEqual(told, dict.fromkeys(types, HERE))

    def test_keys(self) -> None:
        """Whatever a file is refused for, or warned of, is not here."""
        told = {row.name: row.today for row in features()}
        for each in (*SERVER_KEYS, *CLIENT_KEYS):
            self.assertNotEqual(told[each.what], HERE)

    def test_readme(self) -> None:
        """The README has the table as it is made now."""
        self.assertIn(readme_table(), (ROOT / "README.md").read_text("utf-8"))
