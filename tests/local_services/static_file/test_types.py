"""Tests for :mod:`relaykit.local_services.static_file.types`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file.types import type_of


class TypeTests(SynchronousTestCase):
    """What names promise."""

    def test_types(self) -> None:
        """Texts are in UTF-8, archives are not unpacked, and the rest is for saving."""
        for name, expected in (
            ("a.txt", "text/plain; charset=utf-8"),
            ("INDEX.HTML", "text/html; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.tar.gz", "application/gzip"),
            ("data:text/html,x", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ):
            self.assertEqual(type_of(name), expected, name)
