"""Tests for names of hosts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.hostnames import MOST_REMEMBERED_CHARACTERS, domain_key, encode_host_name, host_key


class HostNameTests(SynchronousTestCase):
    """Tests for :func:`encode_host_name`."""

    def test_names(self) -> None:
        """Names stay as they are, those beyond ASCII are encoded; a final dot is kept."""
        for name, encoded in {
            "relay.example": b"relay.example",
            "Relay_1.example.": b"Relay_1.example.",
            "localhost": b"localhost",
            "büro.example": b"xn--bro-hoa.example",
            "stra\u00dfe.example.": b"xn--strae-oqa.example.",
            "b\u00fcro\u3002example": b"xn--bro-hoa.example",
            "i\u2764.example": b"xn--i-7iq.example",
            "192.0.2.1": b"192.0.2.1",
            f"{'a' * 63}.example": b"a" * 63 + b".example",
        }.items():
            self.assertEqual(encode_host_name(name), encoded)

    def test_nonsense(self) -> None:
        """What no host can be named is refused, and the text has it in quotes."""
        for name in (
            *("", ".", "a..b", ".a", f"{'a' * 64}.example", "a." * 127 + "a", "\udc80"),
            *("host:7000", "http://host", " host ", "[::1]", "a\0b", "*.example", "a,b"),
        ):
            error = self.assertRaises(ValueError, encode_host_name, name)
            self.assertIn(f'"{name}" is not the name of a host', str(error))

    def test_reasons(self) -> None:
        """An empty part and one that is too long are told as such, any other with the rule for all."""
        for name, reason in (
            ("a..b", "is empty"),
            ("a." + "b" * 64, "longer than 63"),
            ("a." * 127 + "a", "longer than 253"),
            ("a,b", "letters, digits and hyphens"),
        ):
            error = self.assertRaises(ValueError, encode_host_name, name)
            self.assertIn(reason, str(error))

    @given(st.text())
    def test_junk(self, name: str) -> None:
        """Any text is encoded to what resolvers take, or refused by the documented error."""
        try:
            encoded = encode_host_name(name)
        except ValueError as error:
            self.assertIn("is not the name of a host", str(error))
        else:
            self.assertLessEqual(len(encoded), 254)
            self.assertNotIn(b"..", encoded)


class KeyTests(SynchronousTestCase):
    """Tests for what hosts and domains are compared by."""

    def test_hosts(self) -> None:
        """Case, port, final dot and brackets make no difference; what is no host stays what it is."""
        for host, key in {
            "WWW.Example.com": "www.example.com",
            "www.example.com:8080": "www.example.com",
            "www.example.com:": "www.example.com",
            "www.example.com.:80": "www.example.com",
            "a.b..": "a.b.",
            "192.0.2.1:80": "192.0.2.1",
            "[2001:DB8:0::1]:80": "2001:db8::1",
            "[::1]": "::1",
            "2001:db8::1": "2001:db8::1",
            "a:b:c": "a:b:c",
            "[::1": "[::1",
            "[::1]x": "[::1]x",
            "": "",
        }.items():
            self.assertEqual(host_key(host), key, host)

    def test_remembered(self) -> None:
        """What a host may be called is read once; what is longer is not kept, whatever a peer says."""
        name, longer = "A.example:8080", "A" * (MOST_REMEMBERED_CHARACTERS + 1)
        self.assertIs(host_key(name), host_key(name))
        self.assertEqual(host_key(longer), longer.lower())
        self.assertIsNot(host_key(longer), host_key(longer))

    def test_domains(self) -> None:
        """A domain is compared as hosts are that belong to it, those beyond ASCII in their encoded form."""
        for domain, key in {
            "*": "*",
            "*.Example.com": "*.example.com",
            "www.example.com.": "www.example.com",
            "www.example.com:443": "www.example.com",
            "B\u00dcro.example": "xn--bro-hoa.example",
            "*.b\u00fcro.example": "*.xn--bro-hoa.example",
            "[2001:db8:0::1]": "2001:db8::1",
        }.items():
            self.assertEqual(domain_key(domain), key, domain)

    def test_no_domains(self) -> None:
        """What no host can belong to is refused."""
        for domain in ("", "*.", "**", "w*.example.com", "a.*.com", "http://a", "a b", "a:b:c", "*.[::1]"):
            error = self.assertRaises(ValueError, domain_key, domain)
            self.assertIn("the name of a host", str(error))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Every text has a key, which is its own; a domain's is that of hosts."""
        key = host_key(text)
        try:
            domain = domain_key(text)
        except ValueError:
            return
        self.assertEqual(domain_key(domain), domain)
        if key.isascii():
            self.assertEqual(domain, key)
