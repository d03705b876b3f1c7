"""The file of a history: an SQLite database of some megabytes, written once a minute.

Its journal is SQLite's classic one, not the write-ahead log: one connection writes and reads, so that nobody
has to be let read meanwhile, and there is one file, which can be copied, and which needs no memory that is
shared, as that is not to be had on every disk.  Each minute is durable once it is written; whoever dies in
between leaves the one before.

Everything here blocks, and is for one thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from relaykit.history.grains import Grain, kept, number_of
from relaykit.history.subjects import Columns, Subject, SubjectKind
from relaykit.values import Amount

__all__ = [
    "MOST_BYTES",
    "MOST_NAMES",
    "MOST_NAME_CHARACTERS",
    "DamagedFile",
    "HistoryFile",
    "set_aside",
]

MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes of the file that are in use.  Where there would be more, the oldest minutes go first, then hours,
then days."""

MOST_NAMES: Final = 20_000
"""Proxies and clients that have a history of their own: as many as one server has.  Where there would be
more, those go that were silent longest among the proxies of the client that has most of them, so that nobody
pushes out others by making up names.  What they move counts for the client and for the whole all the same."""

MOST_NAME_CHARACTERS: Final = 256
"""Characters of a name that has a history of its own; names that people give are shorter."""

VERSION: Final = 1
"""Of the form of the file."""

BUSY_S: Final = 5.0
"""Seconds that another program may keep the file for itself, such as a backup."""

_FILE_MODE = 0o600
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_JOURNAL = "-journal"
_ASIDE = ".damaged"

_PORTIONS = {Grain.MINUTE: 60, Grain.HOUR: 24, Grain.DAY: 1}
"""What goes at a time where there is no room: an hour of minutes, a day of hours, a day."""

_TABLES = {Grain.MINUTE: "minutes", Grain.HOUR: "hours", Grain.DAY: "days"}

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    seen INTEGER NOT NULL,
    UNIQUE (kind, name)
);
{tables}
PRAGMA user_version = {version};
COMMIT;
"""

_TABLE = """
CREATE TABLE {table} (
    number INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    connections INTEGER NOT NULL,
    PRIMARY KEY (number, subject)
) WITHOUT ROWID;
"""
# In this order a minute is written in one place of the file, whoever had a part in it.

_ADD = """
INSERT INTO {table} (number, subject, bytes_in, bytes_out, connections)
SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]')
FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET bytes_in = bytes_in + excluded.bytes_in,
    bytes_out = bytes_out + excluded.bytes_out, connections = connections + excluded.connections
"""
# One statement for all of them, so that Python's lock is taken once.

_READ = """
WITH RECURSIVE wanted (number) AS (SELECT ? UNION ALL SELECT number + 1 FROM wanted WHERE number < ?)
SELECT found.number, bytes_in, bytes_out, connections
FROM wanted CROSS JOIN {table} AS found ON found.number = wanted.number AND found.subject = ?
"""
# One look-up for each point, whatever others have there.

_DAYS = """
SELECT days.number, subjects.name, bytes_in, bytes_out, connections
FROM days JOIN subjects ON subjects.id = days.subject
WHERE days.number BETWEEN ? AND ? AND subjects.kind = ?
"""

_KNOW = "INSERT OR IGNORE INTO subjects (kind, name, owner, seen) VALUES (?, ?, ?, ?)"
# Another program with the same configuration may have been here.

_MARK = """
UPDATE subjects SET seen = ?1
WHERE seen <> ?1 AND id IN (SELECT json_extract(value, '$[0]') FROM json_each(?2))
"""

_FORGET = """
DELETE FROM subjects WHERE id IN (
    SELECT id FROM (
        SELECT id, seen, row_number() OVER (PARTITION BY owner ORDER BY seen DESC, id DESC) AS place
        FROM subjects WHERE kind <> 0
    ) ORDER BY place DESC, seen, id LIMIT ?
)
"""

_DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DamagedFile(Exception):
    """It is none of ours; the text says why."""


class HistoryFile:
    """What was moved in each minute, hour and day, for each proxy, each client and the whole.

    Once anything has failed it is to be closed; another one may succeed.

    :raises DamagedFile: what is there is none, or of another version.
    :raises OSError: it cannot be opened.
    :raises sqlite3.Error: likewise.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, _FILE_MODE))
        if path.is_symlink():
            raise OSError(f"{path} is a symbolic link, which is not followed: remove it")
        self._database = sqlite3.connect(path, BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with _telling_damage():
                self._begin()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Ends it."""
        self._database.close()

    def write(self, amounts: Mapping[Subject, Amount], time: float) -> None:
        """Adds what was moved at a time, durably, all of it or none.

        :raises DamagedFile: the file is damaged.
        :raises sqlite3.Error: it cannot be written.
        """
        numbers = {grain: number_of(grain, time) for grain in Grain}
        with _telling_damage(), self._transaction():
            self._know(amounts, numbers[Grain.DAY])
            known = self._subjects
            rows = [
                (known[key], amount.bytes_in, amount.bytes_out, amount.connections)
                for subject, amount in amounts.items()
                if (key := (int(subject.kind), subject.name)) in known
            ]
            told = msgspec.json.encode(rows).decode()
            self._database.execute(_MARK, (numbers[Grain.DAY], told))
            for grain, table in _TABLES.items():
                self._database.execute(_ADD.format(table=table), (numbers[grain], told))
        self._make_room()

    def prune(self, time: float) -> None:
        """Forgets what is older than it is kept; ``time`` is surely now.

        :raises DamagedFile: the file is damaged.
        :raises sqlite3.Error: it cannot be written.
        """
        with _telling_damage(), self._transaction():
            for grain, table in _TABLES.items():
                oldest = number_of(grain, time) - kept(grain) + 1
                self._database.execute(f"DELETE FROM {table} WHERE number < ?", (oldest,))
            self._database.execute("DELETE FROM subjects WHERE seen < ?", (oldest,))
        self._read_subjects()

    def read(self, subject: Subject, grain: Grain, numbers: range) -> Columns:
        """What was moved in some minutes, hours or days that follow each other.

        :raises DamagedFile: the file is damaged.
        :raises sqlite3.Error: it cannot be read.
        """
        bytes_in, bytes_out, connections = columns = [[0] * len(numbers) for _ in range(3)]
        found = self._subjects.get((int(subject.kind), subject.name))
        if found is not None and numbers:
            statement = _READ.format(table=_TABLES[grain])
            with _telling_damage():
                rows = self._database.execute(statement, (numbers[0], numbers[-1], found)).fetchall()
            for number, *amounts in rows:
                for column, amount in zip(columns, amounts, strict=True):
                    column[number - numbers[0]] = amount
        return Columns(bytes_in, bytes_out, connections)

    def days_of_proxies(self, numbers: range) -> Mapping[int, Mapping[str, Amount]]:
        """What each proxy has moved on some days that follow each other, by their numbers.

        :raises DamagedFile: the file is damaged.
        :raises sqlite3.Error: it cannot be read.
        """
        days: dict[int, dict[str, Amount]] = {}
        with _telling_damage():
            rows = self._database.execute(_DAYS, (numbers[0], numbers[-1], int(SubjectKind.PROXY)))
            for number, name, *amounts in rows:
                days.setdefault(number, {})[name] = Amount(*amounts)
        return days

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that are in use; those that have become free are used again."""
        pages, free, size = (
            int(self._database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _begin(self) -> None:
        self._database.execute("PRAGMA trusted_schema = OFF")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master")}
        if not version and not tables:
            made = "".join(_TABLE.format(table=table) for table in _TABLES.values())
            self._database.executescript(_SCHEMA.format(tables=made, version=VERSION))
        elif version != VERSION:
            raise DamagedFile(f"it is of version {version}, and this program writes version {VERSION}")
        elif not tables >= {"subjects", *_TABLES.values()}:
            raise DamagedFile("tables are missing")
        self._read_subjects()

    def _read_subjects(self) -> None:
        rows: Sequence[tuple[int, int, str]] = self._database.execute(
            "SELECT id, kind, name FROM subjects"
        ).fetchall()
        self._subjects = {(kind, name): number for number, kind, name in rows}

    def _know(self, amounts: Mapping[Subject, Amount], day: int) -> None:
        """Has an own number for each of them, as far as there is room."""
        new = [
            (int(each.kind), each.name, each.owner, day)
            for each in amounts
            if (int(each.kind), each.name) not in self._subjects and _is_name(each)
        ]
        if not new:
            return
        self._database.executemany(_KNOW, new)
        excess = len(self._subjects) + len(new) - MOST_NAMES
        if excess > 0:
            self._database.execute(_FORGET, (excess,))
        self._read_subjects()

    def _make_room(self) -> None:
        """Removes what is oldest until no more bytes are in use than may be."""
        for grain, table in _TABLES.items():
            while self.used_bytes > MOST_BYTES:
                (oldest,) = self._database.execute(f"SELECT min(number) FROM {table}").fetchone()
                if oldest is None:
                    break
                self._database.execute(f"DELETE FROM {table} WHERE number < ?", (oldest + _PORTIONS[grain],))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise


def set_aside(path: Path) -> Path:
    """Renames a file that cannot be used, in place of the one that was renamed before; answers its new name.

    :raises OSError: it cannot be renamed.
    """
    aside = path.with_name(path.name + _ASIDE)
    path.replace(aside)
    # It would be taken for that of the next file.
    journal = path.with_name(path.name + _JOURNAL)
    journal.unlink(missing_ok=True)
    return aside


@contextlib.contextmanager
def _telling_damage() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        if code & 0xFF in _DAMAGES:
            raise DamagedFile(str(error)) from error
        raise


def _is_name(subject: Subject) -> bool:
    """Whether this is kept by itself: a text that a file can have."""
    try:
        subject.name.encode()
        subject.owner.encode()
    except UnicodeEncodeError:
        return False
    return len(subject.name) <= MOST_NAME_CHARACTERS
