"""Tests for :mod:`relaykit.options.one_line`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import OneLine


class OneLineTests(SynchronousTestCase):
    """Tests for what a type says of a command."""

    def test_defaults(self) -> None:
        """A command runs a proxy, names its flags after the keys, and makes no secret, unless it says so."""
        line = OneLine(command="tcp", summary="Publish a service")
        self.assertEqual((line.visits, dict(line.flags), line.from_token), (False, {}, ()))
