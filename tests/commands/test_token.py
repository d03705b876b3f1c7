"""Tests for ``relaykit token``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.terminal import run_printed


class TokenTests(SynchronousTestCase):
    """Tests for the tokens that are made."""

    def test_strong(self) -> None:
        """A token is one line of at least 128 bits, and never the same."""
        tokens = {run_printed(["token"]).stdout for _ in range(20)}
        self.assertEqual(len(tokens), 20)
        for token in tokens:
            self.assertEqual(token.count("\n"), 1)
            self.assertGreaterEqual(len(bytes.fromhex(token)) * 8, 128)
