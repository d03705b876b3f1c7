from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from relaykit.config.problems import Report
from relaykit.config.reading.decoding import Reader
from relaykit.config.reading.entries import EntryReader
from relaykit.config.schema.local_plugins import UnixSocketPlugin
from relaykit.config.text.documents import Document, Format
from relaykit.interfaces import IDatagramProxyType
from relaykit.plugins import ProxyTypes
from relaykit.proxies.tcp import TcpOptions
from tests.config.cases import builtin_types


def entries(types: ProxyTypes | None = None) -> EntryReader:
    """A reader of entries, by default with tcp and stcp."""
    return EntryReader(Reader(Report(), Document({}, Format.TOML)), types or builtin_types())


def problems(reading: EntryReader) -> list[str]:
    """What was found to be wrong."""
    return [str(problem) for problem in reading.reader.report.problems]


class EntryTests(SynchronousTestCase):
    """Tests for proxies and visitors."""

    def test_proxy(self) -> None:
        """A proxy has common keys, keys of its type and perhaps a plugin."""
        reading = entries()
        (entry,) = reading.proxies(
            [
                {
                    "Name": "a",
                    "TYPE": "tcp",
                    "remotePort": 6000,
                    "plugin": {"type": "unix_domain_socket", "unixPath": "/x"},
                }
            ]
        )
        self.assertEqual((entry.common.name, entry.options), ("a", TcpOptions(remote_port=6000)))
        self.assertEqual(
            (entry.plugin_type, entry.plugin), ("unix_domain_socket", UnixSocketPlugin(unix_path="/x"))
        )
        self.assertEqual((entry.subject, entry.type), ('proxy "a"', builtin_types().get("tcp")))
        self.assertEqual(entry.completed("").local, "unix:/x")
        self.assertEqual(problems(reading), [])

    def test_no_entries(self) -> None:
        """Null is no list, and as good as none."""
        nothing: tuple[Any, ...] = (None, [])
        for value in nothing:
            self.assertEqual((entries().proxies(value), entries().visitors(value)), ([], []))

    def test_malformed(self) -> None:
        """What is no list, no table or has no type that is known is told with its index."""
        table: dict[str, Any] = {"name": "a"}
        cases: tuple[tuple[Any, str], ...] = (
            (5, "proxies: must be a list of tables, not a number"),
            ({}, "proxies: must be a list of tables, not a table"),
            ([{**table, "type": "tcp"}, None], "proxies[1]: must be a table, not null"),
            ([table], 'proxies[0].type (proxy "a"): must be given'),
            ([{**table, "type": 5}], 'proxies[0].type (proxy "a"): must be a text, not a number (5)'),
            ([{**table, "type": "TCP"}], 'proxies[0].type (proxy "a"): unknown proxy type "TCP"'),
            ([{**table, "type": "tcp", "plugin": 5}], 'proxies[0].plugin (proxy "a"): must be a table'),
            ([{**table, "type": "tcp", "plugin": {}}], 'proxies[0].plugin.type (proxy "a"): must be given'),
            (
                [{**table, "type": "tcp", "plugin": {"type": "x"}}],
                'proxies[0].plugin.type (proxy "a"): unknown plugin type "x"',
            ),
        )
        for value, problem in cases:
            reading = entries()
            reading.proxies(value)
            (found,) = problems(reading)
            self.assertTrue(found.startswith(problem), found)

    def test_datagrams(self) -> None:
        """A health check of a type whose services take datagrams is warned about."""
        beacon = SimpleNamespace(name="beacon", proxy_options=TcpOptions)
        directlyProvides(beacon, IDatagramProxyType)
        reading = entries(ProxyTypes({"beacon": SimpleNamespace(name="beacon", load=lambda: beacon)}))
        proxy = {"name": "a", "type": "beacon", "localPort": 53, "healthCheck": {"type": "tcp"}}
        (entry,) = reading.proxies([proxy])
        entry.completed("")
        (warning,) = reading.reader.report.warnings
        self.assertIn('proxies[0].healthCheck.type (proxy "a"): connects by TCP', str(warning))
        self.assertEqual(problems(reading), [])

    def test_plugins(self) -> None:
        """What is wrong with a plugin is told with its key."""
        for more, problem in (
            ({"type": "https2https"}, "localAddr"),
            ({"type": "https2https", "localAddr": "127.0.0.1:80", "foo": 1}, "foo"),
        ):
            reading = entries()
            (entry,) = reading.proxies([{"name": "a", "type": "tcp", "plugin": more}])
            entry.completed("")
            (found,) = reading.reader.report.problems
            self.assertEqual(found.key, f"proxies[0].plugin.{problem}")

    def test_virtual_net(self) -> None:
        """The plugins of both ends are local services; a visitor's names where its packets go."""
        reading = entries()
        (proxy,) = reading.proxies([{"name": "a", "type": "tcp", "plugin": {"type": "virtual_net"}}])
        self.assertEqual(proxy.completed("").local, "virtual_net:")
        table = {"name": "v", "type": "stcp", "serverName": "s", "secretKey": "k", "bindPort": -1}
        plugin = {"type": "virtual_net", "destinationIP": "10.0.0.2"}
        (visitor,) = reading.visitors([{**table, "plugin": plugin}])
        self.assertEqual(visitor.completed("").local, "virtual_net:destinationIP=10.0.0.2")
        self.assertEqual(problems(reading), [])

    def test_visitors(self) -> None:
        """A visitor has a type that can be visited."""
        reading = entries()
        table = {"name": "v", "type": "stcp", "serverName": "s", "secretKey": "k", "bindPort": 1}
        (entry,) = reading.visitors([table, {**table, "type": "tcp"}])
        self.assertEqual(entry.completed("me").server_user, "me")
        self.assertEqual(
            problems(reading),
            ['visitors[1].type (visitor "v"): unknown visitor type "tcp" (did you mean xtcp?)'],
        )
