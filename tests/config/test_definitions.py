"""Tests for :mod:`relaykit.config.definitions`."""

from __future__ import annotations

from typing import Any

from relaykit.config.definitions import ConfiguredProxy, ConfiguredVisitor, Definitions, Source
from relaykit.plugins import ProxyTypes
from tests.config.tables import ConfigurationTestCase

_FILE = 'auth.token = "s"\nuser = "ann"\nudpPacketSize = 900\n'


class DefinitionsTests(ConfigurationTestCase):
    """Tests for single proxies and visitors beside those of the files."""

    types = ProxyTypes.installed()

    def setUp(self) -> None:
        super().setUp()
        loaded = self.client(_FILE + '[[proxies]]\nname = "a"\ntype = "tcp"\nlocalPort = 1\n')
        assert loaded.definitions is not None
        self.definitions: Definitions = loaded.definitions
        (self.of_file,) = loaded.proxies

    def test_good(self) -> None:
        """A good one is what the file would have, but for where it comes from."""
        table = {"name": "a", "type": "tcp", "localPort": 1}
        checked = self.definitions.check("proxies", table)
        self.assertEqual((checked.entry, checked.unread, checked.problems), (self.of_file, (), ()))
        assert isinstance(checked.entry, ConfiguredProxy)
        self.assertEqual((checked.entry.source, self.of_file.source), (Source.STORE, Source.FILE))
        self.assertEqual((checked.entry.given, self.of_file.given), (table, table))

    def test_visitor(self) -> None:
        """So is a visitor; the user is the client's own."""
        table = {"name": "v", "type": "stcp", "serverName": "s", "secretKey": "k", "bindPort": 9}
        entry = self.definitions.check("visitors", table).entry
        assert isinstance(entry, ConfiguredVisitor)
        self.assertEqual((entry.common.server_user, entry.source), ("ann", Source.STORE))
        self.assertNotIn("'k'", repr(entry))

    def test_keys_of_the_file(self) -> None:
        """Keys of types that are at the top of the file count for it, too."""
        entry = self.definitions.check("proxies", {"name": "u", "type": "udp", "localPort": 1}).entry
        assert entry is not None
        options: Any = entry.options
        self.assertEqual(options.udp_packet_size, 900)

    def test_problems(self) -> None:
        """What is wrong has keys of the table; what could not be read is told apart."""
        table = {"name": "", "type": "http", "localPort": 99999, "zz": 1, "transport": {"useEncryption": 5}}
        checked = self.definitions.check("proxies", table)
        self.assertEqual(
            {each.key for each in checked.unread}, {"localPort", "zz", "transport.useEncryption"}
        )
        self.assertEqual({each.key for each in checked.problems}, {"name", "customDomains"})
        lenient = self.definitions.check("proxies", table, strict=False)
        self.assertNotIn("zz", {each.key for each in lenient.unread})

    def test_no_type(self) -> None:
        """One of a type that is not there makes no sense, and says which types there are."""
        checked = self.definitions.check("proxies", {"name": "a", "type": "tcpp"})
        self.assertIsNone(checked.entry)
        (problem,) = checked.unread
        self.assertEqual((problem.key, problem.hint), ("type", "did you mean tcp?"))

    def test_warnings(self) -> None:
        """Warnings are told, too."""
        (warning,) = self.definitions.check("proxies", {"name": "a", "type": "tcp"}).warnings
        self.assertEqual(warning.key, "localPort")

    def test_light(self) -> None:
        """Of the files it keeps what is at the top, not all that they list."""
        text = _FILE + "".join(f'[[proxies]]\nname = "a{n}"\ntype = "tcp"\n' for n in range(3))
        read = self.client(text).definitions
        assert read is not None
        self.assertEqual(set(read.main.document.value), {"auth", "user", "udpPacketSize"})
        self.assertEqual(read.main.document.lines, {})
