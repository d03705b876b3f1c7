"""Tests for :mod:`relaykit_knock.join`; the whole of it runs in the tests of relaykit, as a process."""

from __future__ import annotations

import os
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock.join import PIECE_BYTES, _copy, join


class JoinTests(SynchronousTestCase):
    """Tests for what it does with either direction."""

    def test_copied(self) -> None:
        """Everything is copied, then the other end is told of the end."""
        sent = os.urandom(3 * PIECE_BYTES)
        ends: list[str] = []
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(sent)
            source.flush()
            source.seek(0)
            _copy(source.fileno(), target.fileno(), lambda: ends.append("end"))
            target.seek(0)
            self.assertEqual(target.read(), sent)
        self.assertEqual(ends, ["end"])

    def test_no_relay(self) -> None:
        """Where there is no socket it says so, and which."""
        error = self.assertRaises(SystemExit, join, self.mktemp())
        self.assertIn("there is no relay at ", str(error))
