"""Tests for :mod:`relaykit.ssh_gateway.texts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.asking import TunnelRequest
from relaykit.ssh_gateway.texts import announcement, qr_code, url_of, users_line


class TextsTests(SynchronousTestCase):
    """Tests for what is shown."""

    def test_announcement(self) -> None:
        """As frp, to the letter; what a client named itself says nothing to its terminal."""
        request = TunnelRequest(type="http", name="w\x1bb", user="bob")
        self.assertEqual(
            announcement(request, "a.example:8080"),
            "\nfrp (via SSH) (Ctrl+C to quit)\n\nUser: bob\nProxyName: w\\x1bb\nType: http\n"
            "RemoteAddress: a.example:8080\n",
        )

    def test_url(self) -> None:
        """What a browser opens has an address; its usual port is left out."""
        for (type_name, address), url in {
            ("http", "a.example:8080"): "http://a.example:8080",
            ("http", "a.example:80,b.example:80"): "http://a.example",
            ("https", "a.example:443"): "https://a.example",
            ("https", "a.example:8443"): "https://a.example:8443",
            ("http", ""): "",
            ("http", "*.example:80"): "",
            ("tcp", ":6000"): "",
            ("stcp", ""): "",
        }.items():
            self.assertEqual(url_of(type_name, address), url)

    def test_qr_code(self) -> None:
        """It is drawn where it fits, and nowhere else."""
        drawn = qr_code("http://a.example", 80, 24)
        lines = drawn.splitlines()
        self.assertTrue(lines)
        self.assertEqual(qr_code("http://a.example", 20, 24), "")
        self.assertEqual(qr_code("http://a.example", 80, len(lines)), "")
        self.assertEqual(qr_code("", 80, 24), "")
        self.assertEqual(qr_code("http://" + "a" * 200, 500, 500), "")

    def test_users_line(self) -> None:
        """Users, and bytes in units that people read, in no more columns than there are."""
        self.assertEqual(
            users_line(1, 12, 1_234_567, 999, 80), "1 user now, 12 in all, 1.2 MB to them, 999 B from them"
        )
        self.assertEqual(users_line(2, 3, 10**18, 1500, 10), "2 users no")
        self.assertIn("1000000.0 TB to them", users_line(2, 3, 10**18, 1500, 80))
