"""Tests for the last lines of the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.logs import tail as module
from relaykit.logs.floods import INTERVAL_S, LINES_PER_HOST
from relaykit.logs.tail import LogLine, LogTail


class LogTailTests(SynchronousTestCase):
    """Tests for :class:`LogTail`."""

    def setUp(self) -> None:
        self.level = "info"
        self.clock = Clock()
        self.tail = LogTail(lambda: self.level, self.clock)
        self.log = Logger("relaykit.x", observer=self.tail)

    def texts(self, *given: Any, **more: Any) -> list[str]:
        """The texts that are remembered."""
        return [each.text for each in self.tail.lines(*given, **more)]

    def test_running(self) -> None:
        """It is told what is logged while it runs."""
        verifyObject(ILogObserver, self.tail)
        log = Logger("relaykit.y", observer=globalLogPublisher)
        log.info("before")
        self.tail.startService()
        log.info("while it runs")
        self.tail.stopService()
        log.info("after")
        self.assertIn("while it runs", self.texts())
        self.assertNotIn("before", self.texts())
        self.assertNotIn("after", self.texts())

    def test_lines(self) -> None:
        """A line has what the log has of it, and a number."""
        self.log.warn("[{run}] it is {what}", run="r1", what="b\nd", problem="an-id")
        (line,) = self.tail.lines()
        self.assertEqual((line.number, line.level, line.text), (1, LogLevel.warn, "[r1] it is b\\nd"))
        self.assertEqual(line.problem, "an-id")
        self.assertIn("logs/test_tail.py:", line.source)
        self.assertEqual(self.tail.last_number, 1)

    def test_levels(self) -> None:
        """What the log leaves out is left out, by the level that it has then; who asks may leave out more."""
        for self.level in ("info", "debug"):
            self.log.debug("small")
            self.log.error("great")
        self.assertEqual(self.texts(), ["great", "small", "great"])
        self.assertEqual(self.texts(level=LogLevel.error), ["great", "great"])
        self.assertEqual([each.number for each in self.tail.lines(after=1)], [2, 3])
        self.assertEqual([each.number for each in self.tail.last(1)], [3])

    def test_defect(self) -> None:
        """The traceback of a defect is part of its line."""
        try:
            raise ZeroDivisionError("a defect")
        except ZeroDivisionError:
            self.log.failure("it failed")
        (text,) = self.texts()
        self.assertTrue(text.startswith("it failed\n    Traceback"), text)

    def test_bounded(self) -> None:
        """The oldest are forgotten, by their number and by their size."""
        self.patch(module, "MOST_LINES", 3)
        for number in range(5):
            self.log.info("line {number}", number=number)
        self.assertEqual(self.texts(), ["line 2", "line 3", "line 4"])
        self.patch(module, "MOST_CHARACTERS", 1000)
        self.log.info("x" * 700)
        self.assertEqual(self.texts(), ["x" * 700])
        self.assertEqual(self.tail.last_number, 6)

    def test_floods(self) -> None:
        """What strangers do without end is counted, as in the log."""
        for _ in range(LINES_PER_HOST + 5):
            self.log.warn("no", stranger="192.0.2.1")
        self.assertEqual(len(self.texts()), LINES_PER_HOST)
        self.clock.advance(INTERVAL_S)
        self.assertIn("5 more like this", self.texts()[-1])

    def test_followed(self) -> None:
        """Who follows is told of each line until it ends that."""
        told: list[LogLine] = []
        stop = self.tail.follow(told.append)
        self.log.info("a")
        stop()
        self.log.info("b")
        self.assertEqual([each.text for each in told], ["a"])
