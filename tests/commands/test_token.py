"""Tests for ``relaykit token``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.token import STRENGTH_BYTES
from tests.commands.terminal import Printed, run_printed


class TokenTests(SynchronousTestCase):
    """Tests for the tokens that are made."""

    def test_strong(self) -> None:
        """A token is one line of at least 128 bits, and never the same."""
        tokens = {run_printed(["token"]).stdout for _ in range(20)}
        self.assertEqual(len(tokens), 20)
        for token in tokens:
            self.assertEqual(token.count("\n"), 1)
            self.assertGreaterEqual(len(bytes.fromhex(token)) * 8, 128)

    def test_file(self) -> None:
        """A file that is asked for is its owner's alone, and one that is there is left as it is."""
        path = Path(self.mktemp())
        self.assertEqual(run_printed(["token", "-o", str(path)]), Printed(0))
        token = path.read_text()
        self.assertEqual(len(bytes.fromhex(token)), STRENGTH_BYTES)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        again = run_printed(["token", "-o", str(path)])
        self.assertEqual((again.status, path.read_text()), (1, token))
        self.assertIn(f"cannot write a new token to {path}: File exists", again.stderr)
