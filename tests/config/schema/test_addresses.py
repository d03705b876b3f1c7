from __future__ import annotations

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.addresses import (
    bare_host,
    domain_problem,
    endpoint_problem,
    host_and_port,
    host_and_port_problem,
    host_problem,
    interface_problem,
    is_ip_address,
    is_loopback,
    network_problem,
)


class HostTests(SynchronousTestCase):
    """Tests for names and addresses."""

    def test_hosts(self) -> None:
        """Names, IP addresses, IPv6 with and without brackets, and names of any language can be hosts."""
        for text in (
            "example.com",
            "example.com.",
            "my_host",
            "192.0.2.1",
            "2001:db8::1",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "b\u00fccher.example",
            "a" * 63,
        ):
            self.assertEqual(host_problem(text), "", text)

    def test_parts(self) -> None:
        """A port is told from the end of an IPv6 address; where there is none the usual one is meant."""
        for text, parts in (
            ("192.0.2.53", ("192.0.2.53", 53)),
            ("192.0.2.53:5353", ("192.0.2.53", 5353)),
            ("example.com:1", ("example.com", 1)),
            ("::1", ("::1", 53)),
            ("2001:db8::53", ("2001:db8::53", 53)),
            ("[::1]", ("::1", 53)),
            ("[::1]:5353", ("::1", 5353)),
        ):
            self.assertEqual(host_and_port_problem(text), "")
            self.assertEqual(host_and_port(text, 53), parts)
        for text in ("", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "localhost", "1.2.3"):
            self.assertEqual(is_ip_address(text), text.count(".") == 3 or "::" in text, text)

    def test_loopback(self) -> None:
        """Only the machine itself is reached at a loopback address, and by the name that means it."""
        for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost"):
            self.assertTrue(is_loopback(host), host)
        for host in ("", "0.0.0.0", "::", "192.0.2.1", "relay.example"):
            self.assertFalse(is_loopback(host), host)

    def test_networks(self) -> None:
        """A network has no bits behind its length; an address is one of its own."""
        for text, reason in (
            ("10.0.0.0/8", ""),
            ("10.0.0.1", ""),
            ("::1", ""),
            ("2001:db8::/64", ""),
            ("fe80::1%eth0", ""),
            ("fe80::%eth0/64", ""),
            ("10.0.0.1/8", "must be 10.0.0.0/8 for the network, or 10.0.0.1 for one address of it"),
            ("example.com", "must be an IP address or a network, such as 10.0.0.0/8"),
            ("10.0.0.0/33", "must be an IP address"),
            ("", "must be an IP address"),
            ("::ffff:10.0.0.0/104", "to be written without ::ffff:"),
            ("::ffff:10.0.0.5/104", "to be written without ::ffff:"),
            ("::ffff:10.0.0.5", "to be written without ::ffff:"),
        ):
            self.assertEqual(bool(network_problem(text)), bool(reason), text)
            self.assertIn(reason, network_problem(text))

    def test_interfaces(self) -> None:
        """The address of an interface is a number in its usual spelling, and is that of one machine."""
        for text, reason in (
            ("192.0.2.1", ""),
            ("2001:db8::1", ""),
            ("127.0.0.1", ""),
            ("relay.example", "must be an IP address, such as 192.0.2.1"),
            ("192.0.2.1:7000", "must be an IP address"),
            ("[2001:db8::1]", "must be an IP address"),
            ("", "must be an IP address"),
            ("0.0.0.0", "stands for all addresses"),
            ("::", "stands for all addresses"),
            ("224.0.0.1", "no address of a single machine"),
            ("255.255.255.255", "no address of a single machine"),
            ("2001:DB8::1", "is written as 2001:db8::1"),
        ):
            self.assertEqual(bool(interface_problem(text)), bool(reason), text)
            self.assertIn(reason, interface_problem(text))

    def test_no_hosts(self) -> None:
        """A port, a scheme, blanks, and labels that cannot be are told as what they are."""
        for text, reason in (
            ("example.com:7000", "without a port"),
            ("[::1]:7000", "without a port"),
            ("[example.com]", "neither"),
            ("1:2:3", "neither"),
            ("http://example.com", "not a URL"),
            ("example.com/x", "not a URL or a path"),
            (" example.com", "without blanks"),
            ("a..b", "is empty"),
            (".a", "is empty"),
            (".", "is empty"),
            (f"a.{'b' * 64}.c", "longer than 63 characters"),
            ("\u00fc" * 64, "longer than 63 characters"),
            (".".join(["a" * 60] * 5), "longer than 253 characters"),
            ("xn--\u00fc", "not the name of a host"),
        ):
            self.assertIn(reason, host_problem(text), text)

    def test_domains(self) -> None:
        """A domain is a host, may have an asterisk for what is below it, or is one for all hosts."""
        for domain in ("*", "*.example.com", "example.com", "[::1]"):
            self.assertEqual(domain_problem(domain), "", domain)
        for domain in ("**", "*.", "*.*.example.com", "w*.example.com", "example.com:80", "http://a"):
            self.assertNotEqual(domain_problem(domain), "", domain)

    def test_encoder(self) -> None:
        """What passes can be encoded as name resolution and TLS do it."""

        @given(strategies.text())
        def check(name: str) -> None:
            if name and not host_problem(name):
                bare_host(name).encode("idna")

        check()

    def test_brackets(self) -> None:
        """Brackets are taken off where they surround everything."""
        self.assertEqual(bare_host("[::1]"), "::1")
        self.assertEqual(bare_host("[::1]:80"), "[::1]:80")
        self.assertEqual(bare_host("example.com"), "example.com")

    def test_ports(self) -> None:
        """A host may have a port where that is asked for."""
        for good in ("example.com", "example.com:3478", "[::1]:53", "::1", "[::1]"):
            self.assertEqual(host_and_port_problem(good), "", good)
        for wrong in ("example.com:", "example.com:0", "a:65536", "a..b:1", "[::1", "a b:1"):
            self.assertNotEqual(host_and_port_problem(wrong), "", wrong)


class EndpointTests(SynchronousTestCase):
    """Tests for endpoint strings of local services."""

    def test_good(self) -> None:
        """What somebody takes is fine: the kinds of our own, of Twisted and of its plugins."""
        for text in (
            "tcp:127.0.0.1:22",
            "tcp:host=relay.example:port=22:timeout=2.5:bindAddress=127.0.0.1",
            "TCP:[\\:\\:1]:22",
            "udp:127.0.0.1:53",
            "udp:host=\\:\\:1:port=53",
            "unix:/run/app.sock",
            "unix:path=/run/app.sock:timeout=0.5:lockfile=0",
            "ssl:relay.example:443",
            "tls:relay.example:443",
        ):
            self.assertEqual(endpoint_problem(text), "", text)

    def test_arguments(self) -> None:
        """Arguments of our own kinds that are missing, too many or no numbers are found."""
        for text, reason in (
            ("tcp:127.0.0.1", "tcp:HOST:PORT"),
            ("tcp:host=a:port=1:color=red", "tcp:HOST:PORT"),
            ("tcp:127.0.0.1:ssh", "invalid literal"),
            ("udp:127.0.0.1", "udp:HOST:PORT"),
            ("udp:a..b:53", "is empty"),
            ("unix:/a:b:c:d:e", "unix:PATH"),
            ("unix:/a:timeout=soon", "invalid literal"),
            ("tcp:a..b:22", "is empty"),
            ("tcp:host=a b:port=22", "without blanks"),
        ):
            self.assertIn(reason, endpoint_problem(text), text)

    def test_nobody(self) -> None:
        """A kind that nobody takes is named, with those that there are."""
        said, _, kinds = endpoint_problem("nosuch:/x").partition("; there are ")
        self.assertEqual(said, "nobody takes nosuch: here")
        # Packages that are installed may bring more.
        self.assertLessEqual({"ssl", "tcp", "tls", "unix"}, set(kinds.split(", ")))

    def test_no_kind(self) -> None:
        """What does not begin with a kind is told how an endpoint string begins."""
        for text in ("", "22", "/run/x.sock", "/run:x", ":22"):
            self.assertIn("tcp:127.0.0.1:22", endpoint_problem(text), text)
