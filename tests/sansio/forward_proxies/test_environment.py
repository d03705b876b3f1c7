"""Which forward proxy the environment names, and for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.forward_proxies.environment import proxy_of_environment


def named(host: str = "relay.example", /, **environ: str) -> str:
    """The variable that counts, and its value."""
    found = proxy_of_environment(environ, host, 7000)
    return "" if found is None else f"{found[0]}={found[1].reveal()}"


class EnvironmentTests(SynchronousTestCase):
    """Tests for :func:`proxy_of_environment`."""

    def test_order(self) -> None:
        """The variable for tunnels counts first, then frp's, then that for everything."""
        everything = {"all_proxy": "a", "ALL_PROXY": "A", "http_proxy": "h", "HTTPS_PROXY": "S"}
        for name, value in (("https_proxy", "s"), ("HTTPS_PROXY", "S"), ("http_proxy", "h")):
            self.assertEqual(named(**{**everything, name: value}), f"{name}={value}")
            everything.pop(name, None)
            everything.pop("https_proxy", None)
        self.assertEqual(named(**everything), "all_proxy=a")
        self.assertEqual(named(ALL_PROXY="A"), "ALL_PROXY=A")
        self.assertEqual(named(https_proxy="", all_proxy="a"), "all_proxy=a")
        self.assertEqual(named(), "")

    def test_header_of_a_request(self) -> None:
        """What a web server makes of a request's header names no proxy."""
        self.assertEqual(named(HTTP_PROXY="evil"), "")

    def test_this_machine(self) -> None:
        """No proxy leads back to this machine."""
        for host in ("localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "::1"):
            self.assertEqual(named(host, all_proxy="a"), "")
        self.assertEqual(named("localhost.example", all_proxy="a"), "all_proxy=a")

    def test_exceptions(self) -> None:
        """Hosts by name, by a domain above, by address, by network; each with or without a port."""
        for host, exceptions in (
            ("relay.example", "*"),
            ("relay.example", "other.example, relay.example"),
            ("relay.example", "other.example relay.example"),
            ("relay.example", "RELAY.EXAMPLE."),
            ("Relay.Example.", "relay.example"),
            ("relay.example", "example"),
            ("relay.example", ".example"),
            ("relay.example", "*.example"),
            ("relay.example", "relay.example:7000"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1:7000"),
            ("192.0.2.1", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.77/24"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::1", "[2001:0db8::1]"),
            ("2001:db8::1", "[2001:db8::1]:7000"),
            ("2001:db8::1", "2001:db8::/32"),
        ):
            self.assertEqual(named(host, all_proxy="a", no_proxy=exceptions), "", (host, exceptions))
        for host, exceptions in (
            ("relay.example", "elay.example"),
            ("relay.example", "a.relay.example"),
            ("relay.example", "relay.example:7001"),
            ("relay.example", "relay.example:x"),
            ("relay.example", ", . *. ,"),
            ("relay.example", "192.0.2.0/24"),
            ("192.0.2.1", "2.1"),
            ("192.0.2.1", "192.0.2.1:443"),
            ("192.0.2.1", "192.0.3.0/24"),
            ("2001:db8::1", "2001:db8::2"),
            ("2001:db8::1", "10.0.0.0/8"),
        ):
            self.assertEqual(
                named(host, all_proxy="a", no_proxy=exceptions), "all_proxy=a", (host, exceptions)
            )

    def test_spellings_of_exceptions(self) -> None:
        """The one in small letters counts, unless it is empty."""
        self.assertEqual(named(all_proxy="a", no_proxy="other", NO_PROXY="*"), "all_proxy=a")
        self.assertEqual(named(all_proxy="a", no_proxy="", NO_PROXY="*"), "")

    @given(st.text(), st.text())
    def test_junk(self, exceptions: str, host: str) -> None:
        """Whatever there is means something or nothing, and fails nowhere."""
        named(host, all_proxy="a", no_proxy=exceptions)
