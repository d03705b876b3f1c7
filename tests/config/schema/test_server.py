from __future__ import annotations

import typing
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import (
    ClientConfig,
    HttpPlugin,
    PortRange,
    ProxyProtocol,
    ServerConfig,
)
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS
from relaykit.options import Options, ProxyCommon, VisitorCommon, option_fields, options_class
from relaykit.plugins import ProxyTypes
from relaykit.values import Secret


def tables(cls: type[Options]) -> list[type[Options]]:
    """An options class, and all inside of it."""
    inner = [options_class(each) for field in option_fields(cls) for each in _plain_types(field.type)]
    return [cls, *(table for found in inner if found is not None for table in tables(found))]


def _plain_types(declared: Any) -> set[Any]:
    """A field's type, or what a list, a table of values, or an optional one of it consists of."""
    arguments = typing.get_args(declared)
    return {declared} if not arguments else {plain for each in arguments for plain in _plain_types(each)}


class SchemaTests(SynchronousTestCase):
    """Tests for the keys of both programs."""

    def test_described(self) -> None:
        """Every key says what it means, and every table what it is for."""
        for program in (ServerConfig, ClientConfig):
            for table in tables(program):
                self.assertTrue(table.__doc__, table)
                for each in option_fields(table):
                    if options_class(each.type) is None:
                        self.assertTrue(each.description.endswith("."), f"{table.__name__}.{each.key}")

    def test_spellings(self) -> None:
        """Keys that are no plain camel case are spelled as in frp's files."""
        keys = {
            each.key
            for program in (ServerConfig, ClientConfig)
            for cls in tables(program)
            for each in option_fields(cls)
        }
        for key in (
            "clientID",
            "tokenEndpointURL",
            "proxyURL",
            "connectServerLocalIP",
            "disableCustomTLSFirstByte",
            "trustedCaFile",
        ):
            self.assertIn(key, keys)

    def test_defaults(self) -> None:
        """Defaults are right by themselves."""
        for program in (ServerConfig, ClientConfig):
            for table in tables(program):
                if table.__name__ not in ("WebServerTls", "TokenSource", "PortRange", "HttpPlugin"):
                    self.assertEqual(list(table().problems()), [], table)

    def test_limits(self) -> None:
        """Every number of every table has limits: of both programs, of proxies and visitors, of each type."""
        types = ProxyTypes.installed()
        roots: list[type[Options]] = [ServerConfig, ClientConfig, ProxyCommon, VisitorCommon]
        for found in [types.get(reference.name) for reference in types]:
            for name in ("proxy_options", "visitor_options", "ingress_options"):
                roots += [cls] if (cls := getattr(found, name, None)) is not None else []
        roots += [*PROXY_PLUGINS.values(), *VISITOR_PLUGINS.values()]
        numbers = [
            (each, f"{cls.__name__}.{each.name}")
            for root in roots
            for cls in tables(root)
            for each in option_fields(cls)
            if {int, float} & _plain_types(each.type)
        ]
        self.assertGreater(len(numbers), 40)
        for each, name in numbers:
            self.assertIsNotNone(each.least, name)
            self.assertIsNotNone(each.greatest, name)

    def test_http_plugin(self) -> None:
        """Operations are spelled exactly so."""
        plugin = HttpPlugin(addr=Secret("h:1"), ops=("Login", "login"))
        self.assertEqual([each.key for each in plugin.problems()], ["ops"])

    def test_http_plugin_place(self) -> None:
        """A plugin has a place; its certificate is verified unless the file says otherwise."""
        for addr, path, key in (("", "", "addr"), ("h:x", "/p", "addr"), ("h:1", "p", "path")):
            plugin = HttpPlugin(addr=Secret(addr), path=Secret(path))
            self.assertEqual([each.key for each in plugin.problems()], [key])
        plugin = HttpPlugin(addr=Secret("https://me:sesame@h"), path=Secret("/hush"))
        self.assertEqual((list(plugin.problems()), plugin.tls_verify), ([], True))
        self.assertEqual((plugin.shown_name, HttpPlugin(name="n").shown_name), ("https://h:443", "n"))
        self.assertNotIn("sesame", repr(plugin))
        self.assertNotIn("hush", repr(plugin))


class StunTests(SynchronousTestCase):
    """Tests for the addresses of the STUN server."""

    def test_right(self) -> None:
        """There are up to two addresses of a family, and as many public ones; without any, one public one."""
        for bound, public in (
            ((), ()),
            (("192.0.2.1",), ()),
            (("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"), ()),
            (("10.0.0.5", "10.0.0.6"), ("192.0.2.1", "192.0.2.2")),
            (("10.0.0.5", "10.0.0.6", "2001:db8::1"), ("192.0.2.1", "192.0.2.2")),
            ((), ("192.0.2.1", "2001:db8::1")),
        ):
            config = ServerConfig(stun_addrs=bound, stun_public_addrs=public)
            self.assertEqual(list(config.problems()), [], (bound, public))

    def test_wrong(self) -> None:
        """What cannot be is told with its place."""
        for bound, public, key, reason in (
            (("relay.example",), (), "stunAddrs[0]", "must be an IP address"),
            (("192.0.2.1", "192.0.2.1"), (), "stunAddrs[1]", "is there twice"),
            (
                ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
                (),
                "stunAddrs",
                "3 addresses of IPv4, and two are of use",
            ),
            (
                ("10.0.0.5", "10.0.0.6"),
                ("192.0.2.1",),
                "stunPublicAddrs",
                "1 of IPv4, where stunAddrs has 2",
            ),
            (
                ("10.0.0.5",),
                ("2001:db8::1",),
                "stunPublicAddrs",
                "1 of IPv6, where stunAddrs has none",
            ),
            ((), ("192.0.2.1", "192.0.2.2"), "stunPublicAddrs", "2 of IPv4, where bindAddr has 1"),
            ((), ("0.0.0.0",), "stunPublicAddrs[0]", "stands for all addresses"),
        ):
            (problem,) = ServerConfig(stun_addrs=bound, stun_public_addrs=public).problems()
            self.assertEqual(problem.key, key)
            self.assertIn(reason, problem.reason)

    def test_off(self) -> None:
        """Addresses of a STUN server that is switched off are a mistake."""
        config = ServerConfig(stun_port=-1, stun_addrs=("192.0.2.1",), stun_public_addrs=("192.0.2.1",))
        self.assertEqual([each.key for each in config.problems()], ["stunAddrs", "stunPublicAddrs"])


class ProxyProtocolTests(SynchronousTestCase):
    """Tests for load balancers."""

    def test_trusted(self) -> None:
        """Addresses and networks of either version are taken, and what is neither is told with its place."""
        right = ("10.0.0.5", "10.1.0.0/16", "2001:db8::/32")
        self.assertEqual(str(ProxyProtocol(trusted=right).networks[0]), "10.0.0.5/32")
        self.assertEqual(list(ProxyProtocol(trusted=right).problems()), [])
        wrong = ("10.0.0.5", "10.0.0.5/8", "balancer.example", "10.0.0.0/33", "")
        problems = list(ProxyProtocol(trusted=wrong).problems())
        self.assertEqual([each.key for each in problems], [f"trusted[{place}]" for place in range(1, 5)])


class PortRangeTests(SynchronousTestCase):
    """Tests for allowed ports."""

    def test_ranges(self) -> None:
        """A range has both ends, none of which is port 0, and a single port wins over it."""
        self.assertEqual(list(PortRange(start=10, end=12).ports), [10, 11, 12])
        self.assertEqual(list(PortRange(end=3).ports), [1, 2, 3])
        self.assertEqual(list(PortRange(start=10, end=2, single=5).ports), [5])
        for each in (PortRange(end=3), PortRange(start=10, end=2, single=5)):
            self.assertEqual(list(each.problems()), [])

    def test_empty(self) -> None:
        """What allows no port is blamed, with what to write."""
        for written, advice in (
            (PortRange(start=6010, end=6000), "start = 6000 and end = 6010"),
            (PortRange(start=6010), "single = 6010"),
            (PortRange(), "start = 6000 and end = 6999"),
        ):
            (problem,) = written.problems()
            self.assertEqual((list(written.ports), problem.key), ([], ""))
            self.assertIn(advice, problem.reason)
