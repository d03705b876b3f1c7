"""Tests for :mod:`relaykit.ssh_gateway.library`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway import library


class LibraryTests(SynchronousTestCase):
    """Tests for what is told where the extra is missing."""

    def test_there(self) -> None:
        """Nothing is lacking here."""
        self.assertEqual(library.lacks(), "")

    def test_missing(self) -> None:
        """What is lacking is named, and the extra that has it."""
        self.patch(library, "_NEEDED", ("no_such_library",))
        self.assertEqual(
            library.lacks(),
            "needs no_such_library, which is not installed here: pip install 'relaykit[ssh]'",
        )
