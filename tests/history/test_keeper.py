"""Tests for :mod:`relaykit.history.keeper`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit.history import keeper as module
from relaykit.history.file import HistoryFile
from relaykit.history.grains import Grain, number_of
from relaykit.history.keeper import MOST_WAITING, STOP_S, HistoryKeeper, HistoryUnavailable
from relaykit.history.subjects import WHOLE
from relaykit.values import Amount
from tests.history.threads import ThreadAtOnce, clock_of_threads

NOW = 1_780_000_000.0
ONE = Amount(1, 2, 3)


class KeeperTests(SynchronousTestCase):
    """Tests for who has the file."""

    def setUp(self) -> None:
        self.patch(module, "OneThread", ThreadAtOnce)
        self.path = Path(self.mktemp(), "history.sqlite")
        self.clock = clock_of_threads()
        self.keeper = HistoryKeeper(self.path, self.clock)
        self.addCleanup(self.keeper.stop)

    def write(self) -> Any:
        """Has something written."""
        return self.keeper.do(lambda file: file.write({WHOLE: ONE}, NOW))

    def read(self) -> int:
        """The connections of the day."""
        number = number_of(Grain.DAY, NOW)
        reading = self.keeper.do(lambda file: file.read(WHOLE, Grain.DAY, range(number, number + 1)))
        return self.successResultOf(reading).connections[0]

    def thread(self) -> ThreadAtOnce:
        """Its thread."""
        thread = self.keeper._thread
        assert isinstance(thread, ThreadAtOnce)
        return thread

    def test_kept(self) -> None:
        """The file is made by the first job, and is there after an end."""
        self.assertFalse(self.path.exists())
        self.successResultOf(self.write())
        self.successResultOf(self.keeper.stop())
        self.assertEqual(self.read(), 3)

    def test_damaged(self) -> None:
        """A damaged file is set aside, which is said in one line, and what was asked for is done."""
        self.path.parent.mkdir()
        self.path.write_bytes(b"nothing of ours " * 100)
        with capturedLogs() as events:
            self.successResultOf(self.write())
        (event,) = events
        self.assertEqual((event["aside"], event["problem"]), ("history.sqlite.damaged", "history-file"))
        self.assertEqual(self.read(), 3)

    def test_damaged_meanwhile(self) -> None:
        """So is one that is damaged while it is open."""
        self.successResultOf(self.write())
        self.path.write_bytes(b"\xff" * self.path.stat().st_size)
        with capturedLogs() as events:
            self.successResultOf(self.write())
        self.assertEqual(len(events), 1)
        self.assertEqual(self.read(), 3)

    def test_unusable(self) -> None:
        """Where there can be no file every job fails by itself, and the next one may succeed."""
        self.path.parent.write_bytes(b"a file, where the folder should be")
        for _ in range(2):
            error = self.failureResultOf(self.write(), HistoryUnavailable).value
            self.assertIn(str(self.path), str(error))
        self.path.parent.unlink()
        self.successResultOf(self.write())

    def test_full(self) -> None:
        """A disk that is full costs what was to be written, and nothing that was."""
        self.successResultOf(self.write())

        def fill(file: HistoryFile) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        error = self.failureResultOf(self.keeper.do(fill), HistoryUnavailable).value
        self.assertIn("disk is full", str(error))
        self.assertEqual(self.read(), 3)

    def test_defect(self) -> None:
        """A defect is told as what it is."""
        self.failureResultOf(self.keeper.do(lambda file: 1 // 0), ZeroDivisionError)

    def test_hanging(self) -> None:
        """Where the disk hangs no more jobs wait than may, and the end comes all the same."""
        self.thread().is_hanging = True
        for _ in range(MOST_WAITING):
            self.write()
        error = self.failureResultOf(self.write(), HistoryUnavailable).value
        self.assertIn("busy", str(error))
        stopped = self.keeper.stop()
        self.assertNoResult(stopped)
        self.clock.advance(STOP_S)
        self.assertIsNone(self.successResultOf(stopped))
