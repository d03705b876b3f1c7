from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ClientConfig, VirtualNet
from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS
from relaykit.options import Problem, convert, option_fields

REQUIRED = {
    "unix_domain_socket": "unixPath",
    "static_file": "localPath",
    "http2https": "localAddr",
    "https2http": "localAddr",
    "https2https": "localAddr",
    "tls2raw": "localAddr",
}

ENDPOINTS: Sequence[tuple[str, Mapping[str, Any], str]] = (
    ("unix_domain_socket", {"unixPath": "/run/a:b=c\\d"}, "unix:/run/a\\:b\\=c\\\\d"),
    ("http_proxy", {}, "http_proxy:"),
    ("http_proxy", {"httpUser": "a", "httpPassword": "b"}, "http_proxy:httpUser=a:httpPassword=b"),
    ("socks5", {}, "socks5:"),
    ("static_file", {"localPath": "/srv", "stripPrefix": "a"}, "static_file:localPath=/srv:stripPrefix=a"),
    ("virtual_net", {}, "virtual_net:"),
    ("socks5", {"username": "a:b", "password": "="}, "socks5:username=a\\:b:password=\\="),
    (
        "http2http",
        {
            "localAddr": "a:80",
            "hostHeaderRewrite": "b:1",
            "requestHeaders": {"set": {"X-A": "c:d", "X-B": ""}},
        },
        "http2http:localAddr=a\\:80:hostHeaderRewrite=b\\:1"
        ":requestHeaders.set.X-A=c\\:d:requestHeaders.set.X-B= ",
    ),
    (
        "http2https",
        {"localAddr": "a:443", "trustedCaFile": "/ca"},
        "http2https:localAddr=a\\:443:trustedCaFile=/ca",
    ),
    (
        "https2http",
        {"localAddr": "a:80", "enableHTTP2": False, "crtPath": "/a", "keyPath": "/b"},
        "https2http:localAddr=a\\:80:crtPath=/a:keyPath=/b:enableHTTP2=false",
    ),
    (
        "https2https",
        {"localAddr": "a:443", "enableHTTP2": True, "trustedCaFile": "/ca"},
        "https2https:localAddr=a\\:443:trustedCaFile=/ca",
    ),
    (
        "tls2raw",
        {"localAddr": "[::1]:25", "crtPath": "/a", "keyPath": "/b"},
        "tls2raw:localAddr=[\\:\\:1]\\:25:crtPath=/a:keyPath=/b",
    ),
)


class LocalPluginTests(SynchronousTestCase):
    """Tests for the tables of plugins."""

    def test_required(self) -> None:
        """Each plugin asks for what frp's asks for, and no other key."""
        for name, cls in PROXY_PLUGINS.items():
            expected = [REQUIRED[name]] if name in REQUIRED else []
            self.assertEqual([problem.key for problem in cls().problems()], expected, name)
            if expected:
                self.assertEqual(list(convert({expected[0]: "x"}, cls).problems()), [])

    def test_destination(self) -> None:
        """A visitor leads to one address, of either kind, which frp asks for once it runs."""
        for text, wrong in (
            ("", "destinationIP is required"),
            ("x", "invalid destination IP address [x]"),
            ("10.0.0.2/24", "invalid destination IP address [10.0.0.2/24]"),
            ("10.0.0.2", ""),
            ("fd86::2", ""),
        ):
            plugin = convert({"destinationIP": text}, VISITOR_PLUGINS["virtual_net"])
            expected = [Problem("destinationIP", wrong)] if wrong else []
            self.assertEqual(list(plugin.problems()), expected)
        self.assertEqual(plugin.endpoint, "virtual_net:destinationIP=fd86\\:\\:2")

    def test_endpoints(self) -> None:
        """Each plugin that is there is an endpoint, whatever is in its keys."""
        for name, table, endpoint in ENDPOINTS:
            self.assertEqual(convert(table, PROXY_PLUGINS[name]).endpoint, endpoint)

    def test_idle(self) -> None:
        """Only the virtual network wants something of the client, its address, and says where that lacks."""
        for name, cls in (*PROXY_PLUGINS.items(), *VISITOR_PLUGINS.items()):
            idle = [each.key for each in cls().idle(ClientConfig())]
            self.assertEqual(idle, ["type"] if name == "virtual_net" else [])
            config = ClientConfig(virtual_net=VirtualNet(address="10.0.0.1/24"))
            self.assertEqual(list(cls().idle(config)), [])

    def test_header_problems(self) -> None:
        """What no header can be is told, with the key."""
        for table, key in (
            ({"hostHeaderRewrite": "a b"}, "hostHeaderRewrite"),
            ({"requestHeaders": {"set": {"a b": "c"}}}, "requestHeaders.set"),
            ({"requestHeaders": {"set": {"Host": "c"}}}, "requestHeaders.set"),
        ):
            options = convert({"localAddr": "a:80", **table}, PROXY_PLUGINS["https2https"])
            self.assertEqual([problem.key for problem in options.problems()], [key])

    def test_idle_destination(self) -> None:
        """A visitor that leads to the client itself, or to an address of the other kind, is warned of."""
        for destination, count in (("10.0.0.1", 1), ("fd86::2", 1), ("10.0.0.2", 0), ("192.0.2.7", 0)):
            plugin = convert({"destinationIP": destination}, VISITOR_PLUGINS["virtual_net"])
            config = ClientConfig(virtual_net=VirtualNet(address="10.0.0.1/24"))
            idle = [each.key for each in plugin.idle(config)]
            self.assertEqual(idle, ["destinationIP"] * count)

    def test_keys(self) -> None:
        """Keys are spelled as in frp's files."""
        keys = [each.key for each in option_fields(PROXY_PLUGINS["https2http"])]
        self.assertEqual(
            keys, ["localAddr", "hostHeaderRewrite", "requestHeaders", "enableHTTP2", "crtPath", "keyPath"]
        )
