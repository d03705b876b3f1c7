"""Tests for :mod:`relaykit.config.legacy.names`."""

from __future__ import annotations

from collections.abc import Callable

from relaykit.config.legacy.ini import COMMON, Section, read_ini
from relaykit.config.legacy.names import CLIENT, HTTP_PLUGIN, PROXY, SERVER, VISITOR, Names
from relaykit.config.load import load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from tests.config.cases import builtin_types
from tests.config.legacy.cases import CLIENT_INI, SERVER_INI
from tests.config.tables import ConfigurationTestCase


class NamesTests(ConfigurationTestCase):
    """Tests for the table of old names."""

    def assert_all(self, text: str, names: Names, concerns: Callable[[Section], bool]) -> None:
        """Certain sections of a file have every key of a table between them."""
        met = {entry.key for each in read_ini(text).sections if concerns(each) for entry in each.entries}
        self.assertEqual(set(names.keys) - met, set())
        for beginning in names.beginnings:
            self.assertTrue(any(key.startswith(beginning) for key in met), beginning)

    def test_all(self) -> None:
        """The files of these tests have all keys that old files may have."""
        self.assert_all(SERVER_INI, SERVER, lambda section: section.name == COMMON)
        self.assert_all(SERVER_INI, HTTP_PLUGIN, lambda section: section.name != COMMON)
        self.assert_all(CLIENT_INI, CLIENT, lambda section: section.name == COMMON)
        self.assert_all(CLIENT_INI, VISITOR, lambda section: section.name == "v")
        self.assert_all(CLIENT_INI, PROXY, lambda section: section.name not in (COMMON, "v"))

    def test_known(self) -> None:
        """Every old name leads to a key that there is today, of the right kind."""
        for load, text in (
            (load_server, SERVER_INI),
            (load_client, CLIENT_INI.replace("includes", "meta_i")),
        ):
            self.write("old.ini", text)
            told: list[str] = []
            try:
                loaded = load("old.ini", types=builtin_types(), environ={}, cwd=self.directory)
                told += [each.what for each in loaded.warnings]
            except ConfigurationProblems as error:
                told += [each.what for each in (*error.problems, *error.warnings)]
            self.assertEqual(
                [each for each in told if "ignored" in each or "unknown" in each or "must be" in each], []
            )
