from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.hints import nearest


class NearestTests(SynchronousTestCase):
    """Tests for guesses at what was meant."""

    def test_spellings(self) -> None:
        """Old spellings with underscores and typing errors find their key."""
        known = ("bindPort", "bindAddr", "subDomainHost")
        for key, meant in (
            ("bind_port", "bindPort"),
            ("bindPrt", "bindPort"),
            ("subdomain_host", "subDomainHost"),
        ):
            self.assertEqual(nearest(key, known), meant)

    def test_nothing_near(self) -> None:
        """A key that is like no other finds none."""
        self.assertEqual(nearest("zzz", ("bindPort", "bindAddr")), "")
        self.assertEqual(nearest("x", ()), "")
