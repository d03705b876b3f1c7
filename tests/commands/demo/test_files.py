"""Tests for the configuration files of the demonstration of a direct path."""

from __future__ import annotations

import tomllib

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.demo.files import configuration_files
from relaykit.config.load import client_from_table, server_from_table
from relaykit.plugins import ProxyTypes


class FileTests(SynchronousTestCase):
    """Tests for the three files."""

    def test_loaded(self) -> None:
        """They are files that a server and clients take, and fit together."""
        tables = {who: tomllib.loads(text) for who, text in configuration_files().items()}
        types = ProxyTypes.installed()
        server_from_table(tables["server"], types=types)
        owner = client_from_table(tables["owner"], types=types, environ={})
        visitor = client_from_table(tables["visitor"], types=types, environ={})
        self.assertEqual(
            [each.common.name for each in owner.proxies],
            [each.common.server_name for each in visitor.visitors],
        )
        keys = {each["secretKey"] for each in (*tables["owner"]["proxies"], *tables["visitor"]["visitors"])}
        self.assertEqual(len(keys), 1)
        self.assertEqual(len({table["auth"]["token"] for table in tables.values()}), 1)

    def test_own_secrets(self) -> None:
        """No two demonstrations have the same secrets."""
        self.assertNotEqual(configuration_files(), configuration_files())
