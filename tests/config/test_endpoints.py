from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.endpoints import endpoint_trouble


class EndpointTests(SynchronousTestCase):
    """Tests for endpoint strings of local services."""

    def test_good(self) -> None:
        """What somebody takes is fine: the kinds of our own, of Twisted and of its plugins."""
        for text in (
            "tcp:127.0.0.1:22",
            "tcp:host=relay.example:port=22:timeout=2.5:bindAddress=127.0.0.1",
            "TCP:[\\:\\:1]:22",
            "unix:/run/app.sock",
            "unix:path=/run/app.sock:timeout=0.5:lockfile=0",
            "ssl:relay.example:443",
            "tls:relay.example:443",
        ):
            self.assertEqual(endpoint_trouble(text), "", text)

    def test_arguments(self) -> None:
        """Arguments of our own kinds that are missing, too many or no numbers are found."""
        for text, reason in (
            ("tcp:127.0.0.1", "tcp:HOST:PORT"),
            ("tcp:host=a:port=1:color=red", "tcp:HOST:PORT"),
            ("tcp:127.0.0.1:ssh", "invalid literal"),
            ("unix:/a:b:c:d:e", "unix:PATH"),
            ("unix:/a:timeout=soon", "invalid literal"),
        ):
            self.assertIn(reason, endpoint_trouble(text), text)

    def test_nobody(self) -> None:
        """A kind that nobody takes is named, with those that there are."""
        said, _, kinds = endpoint_trouble("nosuch:/x").partition("; there are ")
        self.assertEqual(said, "nobody takes nosuch: here")
        # Packages that are installed may bring more.
        self.assertLessEqual({"ssl", "tcp", "tls", "unix"}, set(kinds.split(", ")))

    def test_no_kind(self) -> None:
        """What does not begin with a kind is told how an endpoint string begins."""
        for text in ("", "22", "/run/x.sock", "/run:x", ":22"):
            self.assertIn("tcp:127.0.0.1:22", endpoint_trouble(text), text)
