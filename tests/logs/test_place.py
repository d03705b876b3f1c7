"""Tests for where an event of the log came from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.logs.place import place_of_caller


class PlaceTests(SynchronousTestCase):
    """Tests for :func:`place_of_caller`."""

    def test_here(self) -> None:
        """The place is folder, file and line."""
        self.assertRegex(place_of_caller(), r"\Alogs/test_place\.py:\d+\Z")
