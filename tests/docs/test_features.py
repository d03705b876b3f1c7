"""The tables of what is here today tell what is registered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docs._ext.features import HERE, features, readme_table
from relaykit.config.not_implemented.keys import CLIENT_KEYS, SERVER_KEYS
from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES
from relaykit.plugins import ProxyTypes
from tests.layering import ROOT


class FeatureTests(SynchronousTestCase):
    """Tests for what is said to be here, and not to be here."""

    def test_types(self) -> None:
        """A built-in type is here, and one whose keys alone are known is not."""
        told = {row.name: row.is_here for row in features() if row.kind == "proxy types"}
        built_in = {each.name for each in ProxyTypes.installed() if each.module.startswith("relaykit.")}
        self.assertEqual({name.strip("`") for name, is_here in told.items() if is_here}, built_in)
        self.assertEqual(
            {name.strip("`") for name, is_here in told.items() if not is_here}, set(NOT_IMPLEMENTED_TYPES)
        )

    def test_keys(self) -> None:
        """Whatever a file is refused for, or warned of, is not here."""
        told = {row.name: row.today for row in features()}
        for each in (*SERVER_KEYS, *CLIENT_KEYS):
            self.assertNotEqual(told[each.what], HERE)

    def test_readme(self) -> None:
        """The README has the table as it is made now."""
        self.assertIn(readme_table(), (ROOT / "README.md").read_text("utf-8"))
