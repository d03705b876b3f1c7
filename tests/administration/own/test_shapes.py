"""Tests for :mod:`relaykit.administration.own.shapes`."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.own.shapes import EndedUsers, Failed, Shape


class ShapeTests(SynchronousTestCase):
    """Tests for the classes of answers."""

    def test_exact(self) -> None:
        """What is read as one of them has its keys and no others."""
        self.assertEqual(msgspec.json.decode(b'{"ended":2}', type=EndedUsers), EndedUsers(ended=2))
        for text in (b"{}", b'{"ended":2,"more":1}', b'{"ended":"2"}'):
            self.assertRaises(msgspec.ValidationError, msgspec.json.decode, text, type=EndedUsers)

    def test_described(self) -> None:
        """Every class says what it is."""
        for each in (Failed, *Shape.__subclasses__()):
            self.assertTrue(each.__doc__, each)
