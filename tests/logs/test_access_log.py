"""Tests for :mod:`relaykit.logs.access_log`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit import blocking
from relaykit.logs import access_log as module
from relaykit.logs.access import AccessEntry
from relaykit.logs.access_log import MOST_LINES, STOP_S, AccessLog, AccessSettings
from relaykit.values import Address
from tests.history.threads import clock_of_threads

NOW = 1_780_000_000.0
DAY_S = 24 * 3600.0


def entry(proxy: str, time: float = NOW) -> AccessEntry:
    """A connection that has ended."""
    return AccessEntry(
        time=time,
        address=Address("192.0.2.1", 1),
        proxy=proxy,
        client="c",
        bytes_in=1,
        bytes_out=2,
        seconds=0.5,
        reason="finished",
    )


class _Threads:
    """Threads that work when the test wants."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def Thread(self, target: Any, name: str, daemon: bool) -> Any:
        """A thread."""
        self.made.append(target)
        return self

    def start(self) -> None:
        """Starts nothing yet."""


class _Calls:
    """The calls that wait for a thread, which ends where there are none."""

    def __init__(self) -> None:
        self._waiting: list[Any] = []

    def put(self, call: Any) -> None:
        """One more."""
        self._waiting.append(call)

    def get(self) -> Any:
        """The next one."""
        return self._waiting.pop(0) if self._waiting else None


class AccessLogTests(SynchronousTestCase):
    """Tests for the log of users."""

    def setUp(self) -> None:
        self.threads = _Threads()
        self.patch(blocking, "threading", self.threads)
        self.patch(blocking, "SimpleQueue", _Calls)
        self.clock = clock_of_threads()
        self.path = Path(self.mktemp(), "access.log")
        self.log = AccessLog(self.clock)
        self.log.change(AccessSettings(to=str(self.path)))

    def work(self) -> None:
        """Has the thread do all that waits."""
        for run in self.threads.made:
            run()

    def proxies(self, path: Path | None = None) -> list[str]:
        """The proxies of the lines that were written."""
        lines = (path or self.path).read_text().splitlines()
        return [line.partition('proxy="')[2].partition('"')[0] for line in lines]

    def test_written(self) -> None:
        """Lines are written by the thread, those that have come meanwhile together."""
        self.log.add(entry("a"))
        self.assertFalse(self.path.exists())
        self.log.add(entry("b"))
        self.log.add(entry("c"))
        self.work()
        self.assertEqual(self.proxies(), ["a", "b", "c"])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_off(self) -> None:
        """Without settings nothing is written, and there is no thread."""
        log = AccessLog(self.clock)
        self.assertFalse(log.is_on)
        log.add(entry("a"))
        self.assertIsNone(self.successResultOf(log.close()))
        self.assertEqual(self.threads.made, [])

    def test_too_slow(self) -> None:
        """What the disk cannot keep up with is dropped and counted, which is said, and nobody waits."""
        self.patch(module, "MOST_LINES", 3)
        with capturedLogs() as events:
            for name in "abcdefgh":
                self.log.add(entry(name))
            self.assertEqual([each.get("lines") for each in events], [None])
            self.work()
        self.assertEqual(self.proxies(), ["a", "b", "c", "d"])
        self.assertEqual([each.get("lines") for each in events], [None, 4])
        self.log.add(entry("i"))
        self.work()
        self.assertEqual(self.proxies()[-1], "i")
        self.assertGreater(MOST_LINES, 1000)

    def test_changed(self) -> None:
        """Other settings count for the lines that come then; those that wait go where they should have."""
        other = self.path.with_name("other.log")
        self.log.add(entry("a"))
        self.log.add(entry("b"))
        self.log.change(AccessSettings(to=str(other), format="json"))
        self.log.add(entry("c"))
        self.work()
        self.assertEqual(self.proxies(), ["a", "b"])
        self.assertIn('"proxy": "c"', other.read_text())
        self.log.change(None)
        self.assertFalse(self.log.is_on)
        self.log.add(entry("d"))
        self.work()
        self.assertEqual(len(other.read_text().splitlines()), 1)

    def test_changed_often(self) -> None:
        """However often they change while the disk hangs, a bounded number of calls wait for it."""
        with capturedLogs() as events:
            for number in range(100):
                self.log.add(entry("a"))
                self.log.change(AccessSettings(to=str(self.path.with_name(f"{number}.log"))))
        self.assertEqual({each["problem"] for each in events}, {"access-log"})
        self.work()

    def test_rotated(self) -> None:
        """A new day begins a new file, and a file that was moved away is left alone from then on."""
        self.log.add(entry("a"))
        for proxy, time in (("a", NOW), ("b", NOW + DAY_S)):
            self.log.add(entry(proxy, time))
        self.work()
        self.assertEqual(self.proxies(), ["b"])
        self.assertEqual(len(list(self.path.parent.iterdir())), 2)
        moved = self.path.with_name("moved")
        self.path.rename(moved)
        self.log.add(entry("c", NOW + DAY_S))
        self.work()
        self.assertEqual((self.proxies(moved), self.proxies()), (["b"], ["c"]))

    def test_unusable(self) -> None:
        """A file that cannot be opened is told of once, and opened as soon as it can be."""
        self.path.parent.write_bytes(b"a file, where the folder should be")
        with capturedLogs() as events:
            for name in "ab":
                self.log.add(entry(name))
                self.work()
            self.path.parent.unlink()
            self.log.add(entry("c"))
            self.work()
        self.assertEqual(self.proxies(), ["c"])
        self.assertEqual([each.get("lines") for each in events], [None, 2])

    def test_full(self) -> None:
        """So is a disk that is full."""
        self.log.change(AccessSettings(to="/dev/full"))
        with capturedLogs() as events:
            for name in "ab":
                self.log.add(entry(name))
                self.work()
        self.assertEqual(
            [(each["problem"], "cannot be written" in each["log_format"]) for each in events],
            [("access-log", True)],
        )

    def test_console(self) -> None:
        """Lines can go to standard output, whose reader may be gone."""
        reading, writing = os.pipe()
        self.patch(module, "_STANDARD_OUTPUT", writing)
        self.log.change(AccessSettings(to="console"))
        self.log.add(entry("a"))
        self.work()
        self.assertIn(b'proxy="a"', os.read(reading, 1000))
        os.close(reading)
        self.log.add(entry("b"))
        self.work()
        os.close(writing)
        self.log.add(entry("c"))
        self.work()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_end(self) -> None:
        """At the end what waits is written, unless the disk hangs."""
        self.log.add(entry("a"))
        self.log.add(entry("b"))
        ended = self.log.close()
        self.assertNoResult(ended)
        self.work()
        self.assertIsNone(self.successResultOf(ended))
        self.assertEqual(self.proxies(), ["a", "b"])
        hanging = AccessLog(self.clock)
        hanging.change(AccessSettings(to=str(self.path)))
        hanging.add(entry("c"))
        ended = hanging.close()
        self.clock.advance(STOP_S)
        self.assertIsNone(self.successResultOf(ended))

    def test_relative(self) -> None:
        """A relative path is that of the folder that the program was started in."""
        self.path.parent.mkdir()
        log = AccessLog(self.clock, str(self.path.parent))
        log.change(AccessSettings(to="users.log"))
        log.add(entry("a"))
        self.work()
        self.assertEqual(self.proxies(self.path.with_name("users.log")), ["a"])
