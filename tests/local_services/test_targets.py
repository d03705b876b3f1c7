"""Tests for :mod:`relaykit.local_services.targets`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.targets import parse_target
from relaykit.values import Address


class ParseTargetTests(SynchronousTestCase):
    """Hosts with ports."""

    def test_parsed(self) -> None:
        """A name or an address, with its port or with the usual one."""
        self.assertEqual(parse_target("localhost:8080"), Address("localhost", 8080))
        self.assertEqual(parse_target("[::1]:80"), Address("::1", 80))
        self.assertEqual(parse_target("example.com", 80), Address("example.com", 80))

    def test_refused(self) -> None:
        """Anything else is refused, and named."""
        for text in (
            "",
            "localhost",
            ":80",
            "a:b",
            "a:0",
            "a:65536",
            "a:80/x",
            "user@a:80",
            "a:80#x",
            "[::1:80",
        ):
            self.assertIn(f'"{text}" is no host', str(self.assertRaises(ValueError, parse_target, text)))
