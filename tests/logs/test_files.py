"""Tests for log files that are put aside at midnight."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.logs.files import RotatedFile

DAY = 24 * 3600.0
NOON = time.mktime((2026, 3, 10, 12, 0, 0, 0, 0, -1))
"""Noon of a day of local time, wherever the tests run."""


class RotatedFileTests(SynchronousTestCase):
    """Tests for :class:`RotatedFile`."""

    def setUp(self) -> None:
        """Begins with no folder."""
        self.folder = Path(self.mktemp())
        self.path = self.folder / "relay.log"

    def file(self, keep_days: int = 3) -> RotatedFile:
        """The log file, closed at the end."""
        file = RotatedFile(self.path, keep_days)
        self.addCleanup(file.close)
        return file

    def names(self) -> list[str]:
        """The files in the folder."""
        return sorted(path.name for path in self.folder.iterdir())

    def test_made(self) -> None:
        """The file and its folders are made; only the owner reads the file."""
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        self.file().write("a\n", NOON)
        self.assertEqual(self.path.read_text(), "a\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o755)

    def test_appended(self) -> None:
        """A file that is there is continued, whatever its day, and keeps its mode."""
        self.folder.mkdir()
        self.path.write_text("before\n")
        self.path.chmod(0o644)
        self.file().write("after\n", NOON)
        self.assertEqual(self.path.read_text(), "before\nafter\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o644)

    def test_midnight(self) -> None:
        """The first line of a new day begins a new file; the other one has the time in its name."""
        file = self.file()
        midnight = NOON + DAY / 2
        file.write("a\n", NOON)
        file.write("b\n", midnight - 1)
        file.write("c\n", midnight + 7)
        file.write("d\n", midnight + 8)
        self.assertEqual(self.names(), ["relay.20260311-000007.log", "relay.log"])
        self.assertEqual((self.folder / "relay.20260311-000007.log").read_text(), "a\nb\n")
        self.assertEqual(self.path.read_text(), "c\nd\n")

    def test_reopened(self) -> None:
        """A file that was moved away is left, and a new one is begun; one that was not is gone on with."""
        file = self.file()
        file.write("a\n", NOON)
        file.reopen()
        file.write("b\n", NOON)
        self.path.rename(self.folder / "relay.log.1")
        file.write("c\n", NOON)
        file.reopen()
        file.write("d\n", NOON)
        self.assertEqual((self.folder / "relay.log.1").read_text(), "a\nb\nc\n")
        self.assertEqual(self.path.read_text(), "d\n")

    def test_not_reopened(self) -> None:
        """Where no file can be opened the former one goes on, wherever it is."""
        file = self.file()
        self.path.rename(self.folder / "relay.log.1")
        self.path.mkdir()
        self.assertRaises(OSError, file.reopen)
        file.write("a\n", NOON)
        self.assertEqual((self.folder / "relay.log.1").read_text(), "a\n")

    def test_clock_goes_back(self) -> None:
        """A clock that is set back a day rotates nothing."""
        file = self.file()
        file.write("a\n", NOON)
        file.write("b\n", NOON - DAY)
        self.assertEqual(self.names(), ["relay.log"])

    def test_new_year(self) -> None:
        """The first of January comes after the last of December."""
        file = self.file()
        new_year = time.mktime((2027, 1, 1, 0, 0, 5, 0, 0, -1))
        file.write("a\n", new_year - 10)
        file.write("b\n", new_year)
        self.assertEqual(self.names(), ["relay.20270101-000005.log", "relay.log"])

    def test_old_files_go(self) -> None:
        """Files put aside longer ago than the days to keep are removed, others never."""
        file = self.file(keep_days=2)
        for name in (
            "relay.20260308-000000.log",
            "relay.20260309-120001.log",
            "relay.20261399-000000.log",
            "relay.20200101-000000.txt",
            "other.20200101-000000.log",
        ):
            (self.folder / name).write_text("")
        file.write("a\n", NOON)
        file.write("b\n", NOON + DAY)
        self.assertEqual(
            self.names(),
            [
                "other.20200101-000000.log",
                "relay.20200101-000000.txt",
                "relay.20260309-120001.log",
                "relay.20260311-120000.log",
                "relay.20261399-000000.log",
                "relay.log",
            ],
        )

    def test_all_are_kept(self) -> None:
        """With a negative number of days nothing is removed."""
        file = self.file(keep_days=-1)
        (self.folder / "relay.20000101-000000.log").write_text("")
        file.write("a\n", NOON)
        file.write("b\n", NOON + DAY)
        self.assertIn("relay.20000101-000000.log", self.names())

    def test_moved_away(self) -> None:
        """A file that somebody moves goes on being written to."""
        file = self.file()
        file.write("a\n", NOON)
        self.path.rename(self.folder / "elsewhere")
        file.write("b\n", NOON + 1)
        self.assertEqual((self.folder / "elsewhere").read_text(), "a\nb\n")

    def test_rotation_fails(self) -> None:
        """When the file cannot be put aside, the log goes on in it."""
        file = self.file()
        file.write("a\n", NOON)
        self.path.rename(self.folder / "elsewhere")
        file.write("b\n", NOON + DAY)
        self.assertEqual((self.folder / "elsewhere").read_text(), "a\nb\n")

    def test_unusable(self) -> None:
        """A path that is a folder, or below a file, cannot be opened."""
        self.folder.mkdir()
        self.assertRaises(OSError, RotatedFile, self.folder, 3)
        self.path.write_text("")
        self.assertRaises(OSError, RotatedFile, self.path / "below.log", 3)

    def test_link(self) -> None:
        """A link that somebody has put in the place of the file is not followed."""
        victim = self.folder.parent / "victim"
        self.folder.mkdir()
        self.path.symlink_to(victim.absolute())
        error = self.assertRaises(OSError, RotatedFile, self.path, 3)
        self.assertIn("is a symbolic link, which is not followed", str(error))
        self.assertFalse(victim.exists())


class FullDiskTests(SynchronousTestCase):
    """Tests for :class:`RotatedFile` where there is no room."""

    def setUp(self) -> None:
        """A file whose writes go as the test says: so many bytes are taken."""
        self.room = 1 << 20
        self.failing: list[str] = []
        self.recovered: list[int] = []
        write = os.write

        def limited(descriptor: int, data: bytes) -> int:
            taken = data[: self.room]
            if not taken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(taken)
            return write(descriptor, taken)

        self.patch(os, "write", limited)
        self.path = Path(self.mktemp())
        self.file = RotatedFile(self.path, 3, self.failing.append, self.recovered.append)
        self.addCleanup(self.file.close)

    def test_told_once(self) -> None:
        """That lines are lost is told once, and how many when there is room again."""
        self.room = 0
        for _ in range(3):
            self.file.write("lost\n", NOON)
        self.assertEqual((self.failing, self.recovered), (["No space left on device"], []))
        self.room = 1 << 20
        self.file.write("kept\n", NOON)
        self.assertEqual((len(self.failing), self.recovered), (1, [3]))
        self.assertEqual(self.path.read_text(), "kept\n")
        self.room = 0
        self.file.write("lost\n", NOON)
        self.assertEqual(len(self.failing), 2)

    def test_torn(self) -> None:
        """What follows a line that was cut begins on a line of its own."""
        self.room = 7
        self.file.write("whole\n", NOON)
        self.file.write("torn\n", NOON)
        self.file.write("lost\n", NOON)
        self.room = 1 << 20
        self.file.write("again\n", NOON)
        self.file.write("and on\n", NOON)
        self.assertEqual(self.path.read_text(), "whole\nt\nagain\nand on\n")
        self.assertEqual(self.recovered, [2])

    def test_recovery_may_write(self) -> None:
        """Whoever is told that there is room again may write that into the file."""
        told = RotatedFile(self.path, 3, recovered=lambda lost: told.write(f"{lost} lost\n", NOON))
        self.addCleanup(told.close)
        self.room = 0
        told.write("x\n", NOON)
        self.room = 1 << 20
        told.write("y\n", NOON)
        self.assertEqual(self.path.read_text(), "y\n1 lost\n")
