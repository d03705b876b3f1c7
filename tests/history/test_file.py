"""Tests for :mod:`relaykit.history.file`."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.history import file as module
from relaykit.history.file import DamagedFile, HistoryFile, set_aside
from relaykit.history.grains import DAY_S, HOUR_S, Grain, begin_of, kept, number_of, seconds_of
from relaykit.history.subjects import WHOLE, Subject, SubjectKind
from relaykit.values import NOTHING, Amount

NOW = 1_780_000_000.0
WEB = Subject(SubjectKind.PROXY, "web", "ann")
SSH = Subject(SubjectKind.PROXY, "ssh", "ann")
ONE = Amount(1, 2, 3)


class FileTestCase(SynchronousTestCase):
    """Tests with a file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp(), "history.sqlite")
        self.file = self.open()

    def open(self) -> HistoryFile:
        """The file, as it is."""
        file = HistoryFile(self.path)
        self.addCleanup(file.close)
        return file

    def told(self, subject: Subject, grain: Grain, first: float, last: float) -> list[Amount]:
        """What is read of a span."""
        numbers = range(number_of(grain, first), number_of(grain, last) + 1)
        columns = self.file.read(subject, grain, numbers)
        return [
            Amount(*each)
            for each in zip(columns.bytes_in, columns.bytes_out, columns.connections, strict=True)
        ]

    def count(self, table: str) -> int:
        """Rows of a table."""
        with sqlite3.connect(self.path) as database:
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        database.close()
        return int(count)


class WritingTests(FileTestCase):
    """Tests for what is written and read."""

    def test_read(self) -> None:
        """What is written is read by each grain, with nothing where nothing was."""
        self.file.write({WEB: ONE, WHOLE: ONE}, NOW)
        self.file.write({WEB: ONE, SSH: ONE}, NOW + 120)
        self.assertEqual(self.told(WEB, Grain.MINUTE, NOW - 60, NOW + 120), [NOTHING, ONE, NOTHING, ONE])
        self.assertEqual(self.told(SSH, Grain.MINUTE, NOW, NOW + 120), [NOTHING, NOTHING, ONE])
        self.assertEqual(self.told(WEB, Grain.HOUR, NOW, NOW + HOUR_S), [ONE + ONE, NOTHING])
        self.assertEqual(self.told(WEB, Grain.DAY, NOW - DAY_S, NOW), [NOTHING, ONE + ONE])
        self.assertEqual(self.told(WHOLE, Grain.DAY, NOW, NOW), [ONE])
        self.assertEqual(self.told(Subject(SubjectKind.CLIENT, "web"), Grain.DAY, NOW, NOW), [NOTHING])

    def test_again(self) -> None:
        """What is written into one minute twice is added, and is there when the file is opened again."""
        self.file.write({WEB: ONE}, NOW)
        self.file.close()
        self.file = self.open()
        self.file.write({WEB: ONE, SSH: ONE}, NOW)
        self.assertEqual(self.told(WEB, Grain.MINUTE, NOW, NOW), [ONE + ONE])
        self.assertEqual(self.told(SSH, Grain.MINUTE, NOW, NOW), [ONE])

    def test_large(self) -> None:
        """Bytes are exact, however many."""
        large = Amount(2**53 + 1, 2**62, 1)
        self.file.write({WEB: large}, NOW)
        self.assertEqual(self.told(WEB, Grain.DAY, NOW, NOW), [large])

    def test_two_programs(self) -> None:
        """Two programs with one file, as while one takes over from another, both add to it."""
        other = self.open()
        self.file.write({WEB: ONE}, NOW)
        other.write({WEB: ONE, SSH: ONE}, NOW)
        self.file.write({SSH: ONE}, NOW)
        for subject in (WEB, SSH):
            self.assertEqual(self.told(subject, Grain.MINUTE, NOW, NOW), [ONE + ONE])

    def test_days(self) -> None:
        """The days of all proxies are read at once, and of nobody else."""
        client = Subject(SubjectKind.CLIENT, "ann")
        self.file.write({WEB: ONE, client: ONE, WHOLE: ONE}, NOW - DAY_S)
        self.file.write({WEB: ONE, SSH: ONE}, NOW)
        today = date.fromtimestamp(NOW).toordinal()
        self.assertEqual(
            self.file.days_of_proxies(range(today - 1, today + 1)),
            {today - 1: {"web": ONE}, today: {"web": ONE, "ssh": ONE}},
        )
        self.assertEqual(list(self.file.days_of_proxies(range(today, today + 1))), [today])

    def test_pruned(self) -> None:
        """What is older than it is kept is forgotten, by grain; so is who moved nothing for that long."""
        for subject, days in ((SSH, 100), (WEB, 80), (WEB, 3), (WEB, 1)):
            self.file.write({subject: ONE}, NOW - days * DAY_S)
        self.file.prune(NOW)
        self.assertEqual([self.count(table) for table in ("minutes", "hours", "days")], [1, 2, 3])
        self.assertEqual(self.count("subjects"), 1)
        for grain in Grain:
            oldest = begin_of(grain, number_of(grain, NOW) - kept(grain) + 1)
            self.file.write({WHOLE: ONE}, oldest)
            self.file.prune(NOW)
            self.assertEqual(self.told(WHOLE, grain, oldest, oldest), [ONE])
            self.file.prune(NOW + 2 * seconds_of(grain))
            self.assertEqual(self.told(WHOLE, grain, oldest, oldest), [NOTHING])

    def test_all_or_nothing(self) -> None:
        """A minute that cannot be written leaves nothing of it."""
        self.assertRaises(OverflowError, self.file.write, {WEB: ONE, SSH: ONE}, 1e300)
        self.file.close()
        self.file = self.open()
        self.assertEqual(self.count("minutes"), 0)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abcd"), st.integers(0, 2**40)), max_size=20)
    )
    def test_model(self, moves: list[tuple[int, str, int]]) -> None:
        """Whenever it is written, each grain has the sum."""
        self.setUp()
        expected: dict[tuple[Grain, str, int], int] = {}
        for minute, name, size in moves:
            time = NOW + 60 * minute
            self.file.write({Subject(SubjectKind.PROXY, name): Amount(size, 0, 1)}, time)
            for grain in Grain:
                key = grain, name, number_of(grain, time)
                expected[key] = expected.get(key, 0) + size
        for (grain, name, number), size in expected.items():
            columns = self.file.read(Subject(SubjectKind.PROXY, name), grain, range(number, number + 1))
            self.assertEqual(columns.bytes_in, [size])


class BoundTests(FileTestCase):
    """Tests for how large it may become."""

    def names(self) -> Mapping[str, str]:
        """Who has a history of their own, and whose they are."""
        with sqlite3.connect(self.path) as database:
            found = dict(database.execute("SELECT name, owner FROM subjects WHERE kind <> 0"))
        database.close()
        return found

    def test_names(self) -> None:
        """Who makes up names pushes out its own ones; what they move counts for the whole all the same."""
        self.patch(module, "MOST_NAMES", 10)
        self.file.write({WEB: ONE, SSH: ONE, WHOLE: ONE}, NOW - 5 * DAY_S)
        for number in range(100):
            made_up = Subject(SubjectKind.PROXY, f"x{number}", "mallory")
            self.file.write({made_up: ONE, WHOLE: ONE}, NOW + 60 * number)
        self.assertEqual(len(self.names()), 9)
        self.assertLessEqual({"web", "ssh", "x99", "x98"}, set(self.names()))
        self.assertEqual(self.told(WEB, Grain.DAY, NOW - 5 * DAY_S, NOW - 5 * DAY_S), [ONE])
        whole = self.told(WHOLE, Grain.HOUR, NOW, NOW + 6000)
        self.assertEqual(sum(each.connections for each in whole), 300)

    def test_many_at_once(self) -> None:
        """More new names at once than there may be are bounded as well."""
        self.patch(module, "MOST_NAMES", 10)
        made_up = {Subject(SubjectKind.PROXY, f"x{number}", "mallory"): ONE for number in range(50)}
        self.file.write({WEB: ONE, **made_up}, NOW)
        self.assertEqual(len(self.names()), 10)
        self.assertIn("web", self.names())

    def test_unfit_names(self) -> None:
        """Names that are far too long, or no text, have no history, and cost others nothing; odd ones do."""
        names = ["x" * 257, "\udc80", "\0", "'; DROP TABLE minutes; --", ""]
        self.file.write({Subject(SubjectKind.PROXY, name): ONE for name in names} | {WEB: ONE}, NOW)
        self.assertEqual(set(self.names()), {"\0", "'; DROP TABLE minutes; --", "", "web"})

    def test_bytes(self) -> None:
        """Where too many bytes are in use the oldest minutes go first, and hours only after all minutes."""
        subjects = {Subject(SubjectKind.PROXY, f"p{number}"): ONE for number in range(200)}
        self.patch(module, "MOST_BYTES", 150_000)
        for minute in range(0, 600, 10):
            self.file.write(subjects, NOW + 60 * minute)
            self.assertLessEqual(self.file.used_bytes, 150_000)
        last = NOW + 590 * 60
        subject = next(iter(subjects))
        self.assertEqual(self.told(subject, Grain.MINUTE, NOW, NOW), [NOTHING])
        self.assertEqual(self.told(subject, Grain.MINUTE, last, last), [ONE])
        self.assertEqual(sum(each.bytes_in for each in self.told(subject, Grain.DAY, NOW, last)), 60)
        self.assertLess(os.path.getsize(self.path), 400_000)


class OpeningTests(FileTestCase):
    """Tests for what is there already."""

    def test_mode(self) -> None:
        """Only its owner can read the file, and the folder where it was made."""
        self.file.write({WEB: ONE}, NOW)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)

    def test_link(self) -> None:
        """A link that somebody has put there is not followed."""
        elsewhere = self.path.with_name("elsewhere")
        elsewhere.write_bytes(b"")
        link = self.path.with_name("link")
        link.symlink_to(elsewhere)
        self.assertRaises(OSError, HistoryFile, link)
        self.assertEqual(elsewhere.read_bytes(), b"")

    def test_damaged(self) -> None:
        """What is no such file, or of another version, is told apart from what cannot be read."""
        self.file.write({WEB: ONE}, NOW)
        self.file.close()
        whole = self.path.read_bytes()
        with sqlite3.connect(self.path) as database:
            database.execute("PRAGMA user_version = 7")
        database.close()
        self.assertIn("version 7", str(self.assertRaises(DamagedFile, HistoryFile, self.path)))
        for content in (b"no database at all" * 100, whole[:5000], whole[:100] + b"\xff" * len(whole)):
            self.path.write_bytes(content)
            with self.assertRaises(DamagedFile):
                HistoryFile(self.path).read(WEB, Grain.DAY, range(1, 2))
        self.path.write_bytes(b"")
        with sqlite3.connect(self.path) as database:
            database.execute("PRAGMA user_version = 1")
        database.close()
        self.assertRaises(DamagedFile, HistoryFile, self.path)

    def test_set_aside(self) -> None:
        """A file is set aside with its journal, once: the one before makes room."""
        self.file.close()
        for content in (b"first", b"second"):
            self.path.write_bytes(content)
            self.path.with_name("history.sqlite-journal").write_bytes(b"left")
            aside = set_aside(self.path)
        self.assertEqual(aside.read_bytes(), b"second")
        self.assertEqual([each.name for each in self.path.parent.iterdir()], ["history.sqlite.damaged"])

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 40_000), st.binary(min_size=1, max_size=200))
    def test_any_damage(self, place: int, junk: bytes) -> None:
        """Wherever it is damaged, it is read and written, or told to be damaged or unusable."""
        self.setUp()
        self.file.write({Subject(SubjectKind.PROXY, f"p{number}"): ONE for number in range(300)}, NOW)
        self.file.close()
        content = bytearray(self.path.read_bytes())
        content[place : place + len(junk)] = junk
        self.path.write_bytes(content)
        try:
            file = HistoryFile(self.path)
        except (DamagedFile, sqlite3.Error):
            return
        try:
            file.read(Subject(SubjectKind.PROXY, "p7"), Grain.DAY, range(1, 800_000, 1)[-3000:])
            file.write({WEB: ONE}, NOW)
            file.prune(NOW + 400 * DAY_S)
        except (DamagedFile, sqlite3.Error):
            pass
        finally:
            file.close()
