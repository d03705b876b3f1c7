"""Tests for :mod:`relaykit.proxies.http.secure_sites`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.proxies.http.secure_sites import MISDIRECTED, RedirectedSites, SecureSites
from relaykit.sansio.http.answers import Answer
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.sansio.http.requests import RequestHead, RequestHeads

PROXY: Any = "a proxy"
RULES: Any = "rules"


class Sites:
    """Sites that have everything."""

    reactor = Clock()
    timeouts = DEFAULT_TIMEOUTS
    version = 7

    def date(self) -> bytes:
        """Any date."""
        return b"today"

    def find(self, head: RequestHead) -> Any:
        """The same for all."""
        return PROXY

    def rules_of(self, proxy: Any) -> Any:
        """The same for all."""
        return RULES


def head(host: str, target: str = "/", method: str = "GET") -> RequestHead:
    """The head of a request."""
    found = RequestHeads().feed(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert found is not None
    return found[0]


class SecureSitesTests(SynchronousTestCase):
    """Tests for what users within TLS see."""

    def test_passed_through(self) -> None:
        """Hosts whose TLS is passed through are not here; all others are, and the rest is as it is."""
        sites = SecureSites(Sites(), {"a.example"}.__contains__)
        self.assertIs(sites.find(head("A.example:443")), MISDIRECTED)
        self.assertIs(sites.find(head("b.example")), PROXY)
        self.assertIs(sites.rules_of(PROXY), RULES)
        self.assertEqual((sites.date(), sites.timeouts), (b"today", DEFAULT_TIMEOUTS))
        self.assertNotEqual(sites.version, sites.version)
        self.assertIs(sites.reactor, Sites.reactor)


class RedirectedSitesTests(SynchronousTestCase):
    """Tests for what users without TLS see."""

    def location(self, asked: RequestHead, port: int = 443) -> bytes:
        """Where a request is redirected to; empty if it is not."""
        found = RedirectedSites(Sites(), {"a.example"}.__contains__, port).find(asked)
        if not isinstance(found, Answer):
            return b""
        self.assertEqual(found.status, 308)
        return found.lines

    def test_redirected(self) -> None:
        """The same path is asked for at the port of TLS, which nobody writes if it is that of the web."""
        for asked, port, url in (
            (head("a.example"), 443, b"https://a.example/"),
            (head("A.Example:8080", "/p/%41?q=/x", "POST"), 443, b"https://a.example/p/%41?q=/x"),
            (head("a.example.", "//b.example/"), 8443, b"https://a.example:8443//b.example/"),
            (head("a.example", "http://a.example/x"), 443, b"https://a.example/x"),
        ):
            self.assertEqual(self.location(asked, port), b"Location: " + url + b"\r\n")

    def test_others(self) -> None:
        """Hosts without TLS, and tunnels, are not redirected."""
        self.assertEqual(self.location(head("b.example")), b"")
        self.assertEqual(self.location(head("a.example:1", "a.example:1", "CONNECT")), b"")
