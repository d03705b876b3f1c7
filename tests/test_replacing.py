"""Tests for files that are replaced as a whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.replacing import remove_drafts, replace_file


class ReplaceFileTests(SynchronousTestCase):
    """What stands in the folder afterwards."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file"

    def names(self) -> list[str]:
        """Of all that is in the folder."""
        return sorted(os.listdir(self.folder))

    def test_whole(self) -> None:
        """A reader of the former file has all of it; the new one has the mode that was asked for."""
        replace_file(self.path, b"first\r\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        with self.path.open("rb") as reader:
            replace_file(self.path, b"second", 0o644)
            self.assertEqual(reader.read(), b"first\r\n")
        self.assertEqual((self.path.read_bytes(), self.names()), (b"second", ["file"]))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o644)

    def test_fails(self) -> None:
        """Where it cannot be, nothing is changed or left."""
        self.path.mkdir()
        with self.assertRaises(OSError):
            replace_file(self.path, b"content")
        self.assertEqual(self.names(), ["file"])
        with self.assertRaises(OSError):
            replace_file(self.folder / "no" / "file", b"content")

    def test_drafts(self) -> None:
        """What a killed program has left is removed, and nothing else."""
        left = [".file.0123456789abcdef", ".file.fedcba9876543210"]
        others = [".file.0123", ".file.0123456789abcdef.old", ".other.0123456789abcdef", "file"]
        for each in (*left, *others):
            (self.folder / each).write_bytes(b"")
        remove_drafts(self.path)
        self.assertEqual(self.names(), sorted(others))
        remove_drafts(self.folder / "no" / "file")
