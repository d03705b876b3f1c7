"""Tests for :mod:`relaykit.proxies.http.users`."""

from __future__ import annotations

from tests.proxies.http.scene import GET, OK, HttpTestCase


class ExchangeTests(HttpTestCase):
    """Tests for requests and their answers."""

    def test_keep_alive(self) -> None:
        """Requests of one connection go over one work connection, one after another."""
        self.publish()
        user = self.user()
        for _ in range(3):
            self.say(user, GET)
            self.assertIn(b"Host: a.example\r\n", self.service.take())
            self.say(self.service, OK)
            self.assertEqual(user.take(), OK)
