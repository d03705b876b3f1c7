from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.reference import Home, homes_of, reference, type_text
from relaykit.config.schema import ClientConfig, ServerConfig
from relaykit.options import options_class
from relaykit.values import Secret


class ReferenceTests(SynchronousTestCase):
    """Tests for the reference of all keys."""

    entries = {(entry.program, entry.table, entry.key): entry for entry in reference()}

    def test_entries(self) -> None:
        """A key has table, type, default and words."""
        entry = self.entries["server", "", "bindPort"]
        self.assertEqual((entry.type, entry.default), ("integer", "7000"))
        self.assertEqual(entry.table_doc, "The relay server.")

    def test_complete(self) -> None:
        """No entry is there twice, each has words, and lists of tables are described too."""
        entries = list(reference())
        self.assertEqual(len(entries), len(self.entries))
        self.assertEqual([entry for entry in entries if not entry.doc or not entry.table_doc], [])
        for place in (
            ("server", "allowPorts[]", "start"),
            ("server", "httpPlugins[]", "ops"),
            ("client", "auth.tokenSource.exec.env[]", "name"),
            ("client", "visitors[]", "bindPort"),
            ("client", "transport.websocket", "verifyCertificate"),
            ("server", "transport.websocket", "path"),
            ("client", "proxies[].plugin with type https2http", "enableHTTP2"),
        ):
            self.assertIn(place, self.entries)

    def test_secrets(self) -> None:
        """Secrets are called so."""
        self.assertEqual(self.entries["client", "auth", "token"].type, "secret text")

    def test_types(self) -> None:
        """Types have words, also in lists and maps."""
        for declared, text in (
            (str, "text"),
            (bool | None, "boolean"),
            (tuple[str, ...], "list of text"),
            (dict[str, bool], "table of boolean"),
            (tuple[Secret, ...], "list of secret text"),
            (ServerConfig, "table"),
            (bytes, "any"),
        ):
            self.assertEqual(type_text(declared), text)

    def test_homes(self) -> None:
        """A key is found wherever it belongs, in any letter case."""
        self.assertEqual(homes_of("TOKEN"), (Home("server", "auth.token"), Home("client", "auth.token")))
        self.assertEqual(homes_of("proxies"), (Home("client", "proxies"),))
        self.assertEqual(homes_of("nosuchkey"), ())
        self.assertIs(options_class(ClientConfig), ClientConfig)
