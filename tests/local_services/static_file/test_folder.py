"""Tests for :mod:`relaykit.local_services.static_file.folder`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.local_services.static_file import folder
from relaykit.local_services.static_file.folder import FileChanged, Folder, Listed, OpenedFile


class FolderTests(SynchronousTestCase):
    """A folder with neighbours."""

    def setUp(self) -> None:
        above = Path(self.mktemp())
        self.root = above / "root"
        (self.root / "sub").mkdir(parents=True)
        (above / "secret").write_text("secret")
        (above / "root-too").mkdir()
        (self.root / "a").write_text("0123456789")
        (self.root / ".dot").write_text("d")
        self.folder = Folder(str(self.root))

    def _read(self, *names: str) -> bytes:
        found = self.folder.open(names, wants_folder=False)
        assert isinstance(found, OpenedFile)
        self.addCleanup(found.close)
        return found.read(0, 100)

    def test_file(self) -> None:
        """A file is read; a folder is none, and a file is no folder."""
        self.assertEqual(self._read("a"), b"0123456789")
        self.assertEqual(self._read(".dot"), b"d")
        self.assertIsNone(self.folder.open(["sub"], wants_folder=False))
        self.assertRaises(OSError, self.folder.open, ["a"], wants_folder=True)
        self.assertRaises(OSError, self.folder.open, ["a", "b"], wants_folder=False)

    def test_outside(self) -> None:
        """Links count only where they stay inside; no name leads out."""
        os.symlink("a", self.root / "inside")
        os.symlink("../secret", self.root / "outside")
        os.symlink("../root-too", self.root / "sub" / "near")
        os.symlink("/", self.root / "slash")
        os.symlink("loop", self.root / "loop")
        self.assertEqual(self._read("inside"), b"0123456789")
        for names in (
            *(["outside"], ["slash"], ["slash", "etc", "passwd"], ["sub", "near"], ["loop"]),
            *([".."], ["..", "secret"], ["."], [""], ["a\0"], ["..\\secret"], ["sub/../a"], ["x" * 5000]),
        ):
            self.assertRaises(OSError, self.folder.open, names, wants_folder=False)
        listed = self.folder.open([], wants_folder=True)
        assert isinstance(listed, Listed)
        self.assertEqual([each.name for each in listed.entries], ["sub", ".dot", "a", "inside"])

    def test_special(self) -> None:
        """A pipe is not opened, which would wait for its writer, nor listed."""
        os.mkfifo(self.root / "pipe")
        self.assertRaises(OSError, self.folder.open, ["pipe"], wants_folder=False)
        listed = self.folder.open([], wants_folder=True)
        assert isinstance(listed, Listed)
        self.assertNotIn("pipe", [each.name for each in listed.entries])

    def test_index(self) -> None:
        """The index stands for its folder."""
        (self.root / "sub" / "index.html").write_text("hello")
        found = self.folder.open(["sub"], wants_folder=True)
        assert isinstance(found, OpenedFile)
        self.addCleanup(found.close)
        self.assertEqual(found.read(1, 3), b"ell")

    def test_changed(self) -> None:
        """A file that is written to, or shortened, is not read on."""
        found = self.folder.open(["a"], wants_folder=False)
        assert isinstance(found, OpenedFile)
        self.addCleanup(found.close)
        (self.root / "a").write_text("0")
        self.assertRaises(FileChanged, found.read, 0, 1)
        self.assertRaises(FileChanged, found.read, 5, 5)

    def test_many(self) -> None:
        """Only so many names are listed."""
        self.patch(folder, "MOST_LISTED", 1)
        listed = self.folder.open([], wants_folder=True)
        assert isinstance(listed, Listed)
        self.assertEqual((len(listed.entries), listed.is_cut), (1, True))
