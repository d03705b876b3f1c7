"""What names a forward proxy, and what does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.forward_proxies.urls import ForwardProxy, Scheme, parse_proxy_url
from relaykit.sansio.http.credentials import Credentials
from relaykit.values import Address


class ProxyUrlTests(SynchronousTestCase):
    """Tests for :func:`parse_proxy_url`."""

    def test_read(self) -> None:
        """Scheme, host and port, those that are usual where none is given; user and password."""
        for text, proxy in {
            "http://p.example:3128": ForwardProxy(Scheme.HTTP, Address("p.example", 3128)),
            "HTTP://p.example:3128/": ForwardProxy(Scheme.HTTP, Address("p.example", 3128)),
            "https://p.example": ForwardProxy(Scheme.HTTPS, Address("p.example", 443)),
            "socks5://192.0.2.1": ForwardProxy(Scheme.SOCKS5, Address("192.0.2.1", 1080)),
            "socks5h://[2001:db8::1]:9": ForwardProxy(Scheme.SOCKS5, Address("2001:db8::1", 9)),
            "http://u:p@p.example:1": ForwardProxy(
                Scheme.HTTP, Address("p.example", 1), Credentials(b"u", b"p")
            ),
            "http://u@p.example:1": ForwardProxy(
                Scheme.HTTP, Address("p.example", 1), Credentials(b"u", b"")
            ),
            "http://u:a:b@p.example:1": ForwardProxy(
                Scheme.HTTP, Address("p.example", 1), Credentials(b"u", b"a:b")
            ),
            "ntlm://D%5Cu:p%40%2F%3A%C3%BC@p.example:80": ForwardProxy(
                Scheme.NTLM, Address("p.example", 80), Credentials(b"D\\u", "p@/:ü".encode())
            ),
            "socks5://a%3Ab:c@p.example": ForwardProxy(
                Scheme.SOCKS5, Address("p.example", 1080), Credentials(b"a:b", b"c")
            ),
        }.items():
            self.assertEqual(parse_proxy_url(text), proxy, text)

    def test_usual_scheme(self) -> None:
        """Who names it may leave out the scheme, if the reader knows which one is meant."""
        proxy = parse_proxy_url("u:p@p.example:3128", "the variable x", "http")
        self.assertEqual((str(proxy), proxy.named_by), ("http://p.example:3128", "the variable x"))
        self.assertEqual(proxy.credentials, Credentials(b"u", b"p"))

    def test_refused(self) -> None:
        """Whatever is wrong is said, and no part of the URL with it."""
        for text, why in {
            "": "must begin with one of",
            "proxy.example:3128": "must begin with one of http://, https://, ntlm://, socks5://, socks5h://",
            "socks4://hush:1": "must begin with one of",
            "http://hush": "must end with the port",
            "http://hush:0": "must end with the port",
            "http://hush:70000": "must end with the port",
            "http://:3128": "must have the host",
            "http://hu..sh:3128": "must have the host",
            "http://[hush]:3128": "must have the host",
            "http://u:hu/sh@p.example:1": "percent-encoded",
            "http://u:hush@p.example:1/path": "percent-encoded",
            "http://p.example:hush": "percent-encoded",
            "http://:hush@p.example:1": "must have a user",
            "http://u%3Ahush@p.example:1": "must not have a colon",
            f"http://u:{'hush' * 64}@p.example:1": "no more than 255 bytes",
            "ntlm://p.example:80": "must have a user and a password for NTLM",
        }.items():
            error = self.assertRaises(ValueError, parse_proxy_url, text)
            self.assertIn(why, str(error), text)
            self.assertNotIn("hush", str(error))
            self.assertTrue(error.__cause__ is None)

    def test_hidden(self) -> None:
        """Nothing of the user is in any text of it."""
        proxy = parse_proxy_url("http://somebody:hush@p.example:1")
        for text in (str(proxy), repr(proxy)):
            self.assertNotIn("somebody", text)
            self.assertNotIn("hush", text)

    @given(st.text())
    def test_junk(self, text: str) -> None:
        """Any text names a proxy, or is refused."""
        for url in (text, f"http://{text}", f"socks5://{text}@p.example:1"):
            try:
                proxy = parse_proxy_url(url)
            except ValueError:
                continue
            self.assertTrue(0 < proxy.address.port < 65536)
