from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.local_plugins import PROXY_PLUGINS, VISITOR_PLUGINS, UnixSocketPlugin
from relaykit.options import convert, option_fields

REQUIRED = {
    "unix_domain_socket": "unixPath",
    "static_file": "localPath",
    "http2https": "localAddr",
    "https2http": "localAddr",
    "https2https": "localAddr",
    "tls2raw": "localAddr",
}


class LocalPluginTests(SynchronousTestCase):
    """Tests for the tables of plugins."""

    def test_required(self) -> None:
        """Each plugin asks for what frp's asks for, and no other key."""
        for name, cls in {**PROXY_PLUGINS, **VISITOR_PLUGINS}.items():
            expected = [REQUIRED[name]] if name in REQUIRED else []
            self.assertEqual([problem.key for problem in cls().problems()], expected, name)
            if expected:
                self.assertEqual(list(convert({expected[0]: "x"}, cls).problems()), [])

    def test_endpoints(self) -> None:
        """A unix socket is an endpoint, whatever its path; the others are none yet."""
        self.assertEqual(UnixSocketPlugin(unix_path="/run/a:b=c\\d").endpoint, "unix:/run/a\\:b\\=c\\\\d")
        for name, cls in PROXY_PLUGINS.items():
            if name != "unix_domain_socket":
                self.assertEqual(cls().endpoint, "")

    def test_keys(self) -> None:
        """Keys are spelled as in frp's files."""
        keys = [each.key for each in option_fields(PROXY_PLUGINS["https2http"])]
        self.assertEqual(
            keys, ["localAddr", "hostHeaderRewrite", "requestHeaders", "enableHTTP2", "crtPath", "keyPath"]
        )
