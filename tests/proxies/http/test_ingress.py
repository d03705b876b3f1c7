"""Tests for :mod:`relaykit.proxies.http.ingress`."""

from __future__ import annotations

from relaykit.values import Secret
from tests.proxies.http.scene import GET, OK, HttpTestCase


class RoutingTests(HttpTestCase):
    """Tests for who gets a request."""

    def test_host(self) -> None:
        """The host decides."""
        self.publish("a.example", name="a")
        self.publish("b.example", name="b")
        self.user(GET.replace(b"a.example", b"B.example:8080"))
        self.assertEqual([name for name, _ in self.served], ["b"])

    def test_unknown(self) -> None:
        """Who asks for a host that nobody has is told so, and may ask again."""
        self.publish("a.example")
        user = self.user(GET.replace(b"a.example", b"no.example"))
        self.assertTrue(user.take().startswith(b"HTTP/1.1 404 Not Found\r\n"))
        self.say(user, GET)
        self.say(self.service, OK)
        self.assertEqual(user.take(), OK)

    def test_credentials(self) -> None:
        """A site may ask users to name themselves; the request that is let in is the one that goes on."""
        self.publish("a.example", http_user="u", http_password=Secret("p"))
        user = self.user(GET)
        self.assertTrue(user.take().startswith(b"HTTP/1.1 401 Unauthorized\r\n"))
        self.assertEqual(self.served, [])
        self.say(user, GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic dTpw\r\n\r\n"))
        self.assertIn(b"\r\nAuthorization: Basic dTpw\r\n", self.service.take())
