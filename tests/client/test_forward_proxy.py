"""Which forward proxy a client takes, and what the log says of it."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.forward_proxy import choose_proxy
from relaykit.config.schema import ClientConfig, ClientTransport
from relaykit.errors import ForwardProxyError
from relaykit.values import Secret

ENVIRON = {"https_proxy": "user:hush@p.example:3128", "no_proxy": "inside.example"}


def config(url: str = "", server: str = "relay.example") -> ClientConfig:
    """A client with this key and this server."""
    return ClientConfig(server_addr=server, transport=ClientTransport(proxy_url=Secret(url)))


class ChoiceTests(SynchronousTestCase):
    """Tests for :func:`choose_proxy`."""

    def chosen(self, configured: ClientConfig, told: int) -> str:
        """The proxy as text; so many lines of the log tell of it."""
        with capturedLogs() as logged:
            proxy = choose_proxy(configured, ENVIRON)
        self.assertEqual(len(logged), told)
        for event in logged:
            self.assertNotIn("hush", str(formatEvent(event)))
        return str(proxy)

    def test_file(self) -> None:
        """What the file names counts, for every server, and nothing is said of it."""
        self.assertEqual(self.chosen(config("socks5://q.example"), 0), "socks5://q.example:1080")
        self.assertEqual(self.chosen(config("socks5://q.example", "127.0.0.1"), 0), "socks5://q.example:1080")

    def test_direct(self) -> None:
        """The file may forbid what the environment says."""
        self.assertEqual(self.chosen(config("direct"), 0), "None")

    def test_environment(self) -> None:
        """What the environment names is told of in one line."""
        self.assertEqual(self.chosen(config(), 1), "http://p.example:3128")
        self.assertEqual(self.chosen(config(server="a.inside.example"), 0), "None")
        with capturedLogs() as logged:
            choose_proxy(config(), ENVIRON)
        self.assertEqual(
            formatEvent(logged[0]),
            "the server is dialed through the proxy http://p.example:3128, since the environment variable "
            'https_proxy names it; transport.proxyURL = "direct" does without',
        )

    def test_unusable(self) -> None:
        """What cannot be used is refused, with who named it, and nothing of it."""
        for configured, environ, named_by in (
            (config("http://u:hush@p"), {}, "transport.proxyURL"),
            (config(), {"all_proxy": "socks4://u:hush@p:1"}, "the environment variable all_proxy"),
        ):
            error = self.assertRaises(ForwardProxyError, choose_proxy, configured, environ)
            self.assertIn(f"{named_by} names no proxy that can be used: it must ", str(error))
            self.assertNotIn("hush", str(error))
            self.assertEqual(error.problem, "proxy-unusable")
