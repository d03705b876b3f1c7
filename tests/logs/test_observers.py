"""Tests for which events are written, and where to."""

from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python import log as legacy
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.logs import observers
from relaykit.logs.observers import LogSettings, log_writer


class LogWriterTests(SynchronousTestCase):
    """Tests for :func:`log_writer`."""

    def written(self, namespace: str = "relaykit.x", **settings: Any) -> list[str]:
        """What is written of one event of each level, without colors."""
        console = StringIO()
        logger = Logger(namespace, observer=log_writer(LogSettings(color=False, **settings), console))
        for level in LogLevel.iterconstants():
            logger.emit(level, "{name} event", name=level.name)
        return [line.split("] ")[-1] for line in console.getvalue().splitlines()]

    def test_interface(self) -> None:
        """A writer is a log observer."""
        verifyObject(ILogObserver, log_writer(LogSettings(), StringIO()))

    def test_levels(self) -> None:
        """What is less important than the level is left out."""
        names = ["debug event", "info event", "warn event", "error event", "critical event"]
        for level, first in (("trace", 0), ("debug", 0), ("info", 1), ("warn", 2), ("error", 3)):
            self.assertEqual(self.written(level=level), names[first:], level)

    def test_framework(self) -> None:
        """What Twisted has to say of its routine is shown at the level trace only."""
        serious = ["warn event", "error event", "critical event"]
        for namespace in ("twisted.internet.protocol.Factory", "log_legacy"):
            self.assertEqual(self.written(namespace, level="debug"), serious)
            self.assertEqual(len(self.written(namespace, level="trace")), 5)

    def test_foreign_proxy_types(self) -> None:
        """Events of foreign packages are as good as ours."""
        self.assertIn("info event", self.written("acme_relay.Knock"))

    def test_source(self) -> None:
        """A line names the place that logged, through Twisted's old interface too."""
        console = StringIO()
        writer = log_writer(LogSettings(color=False, level="trace"), console)
        Logger("relaykit.x", observer=writer).info("here")
        publisher = legacy.LogPublisher()
        publisher.addObserver(lambda event: writer({**event, "log_level": LogLevel.info, "log_time": 0.0}))
        publisher.msg("there")
        for line in console.getvalue().splitlines():
            self.assertIn("[logs/test_observers.py:", line)
        self.assertEqual(console.getvalue().count("\n"), 2)

    def test_color(self) -> None:
        """The console is colored if that is wanted; JSON never is."""
        for settings, colored in (
            (LogSettings(), True),
            (LogSettings(color=False), False),
            (LogSettings(format="json"), False),
        ):
            console = StringIO()
            Logger("relaykit.x", observer=log_writer(settings, console)).info("x")
            self.assertEqual("\x1b" in console.getvalue(), colored)

    def test_json(self) -> None:
        """With the format json every line is an object."""
        console = StringIO()
        Logger("relaykit.x", observer=log_writer(LogSettings(format="json"), console)).info("x", a=1)
        self.assertIn('"a": 1', console.getvalue())

    def test_file(self) -> None:
        """A file gets the lines without colors."""
        path = Path(self.mktemp(), "relay.log")
        Logger("relaykit.x", observer=log_writer(LogSettings(to=str(path)), StringIO())).info("to the file")
        self.assertTrue(path.read_text().endswith("] to the file\n"))
        self.assertNotIn("\x1b", path.read_text())

    def test_file_cannot_be_opened(self) -> None:
        """A path that cannot be used is told to the caller."""
        self.assertRaises(OSError, log_writer, LogSettings(to="/dev/null/x.log"), StringIO())

    def test_nobody_reads(self) -> None:
        """A console that is gone stops no program."""
        console = StringIO()
        console.close()
        Logger("relaykit.x", observer=log_writer(LogSettings(), console)).info("x")

    def test_any_letter(self) -> None:
        """Letters that the encoding of the console lacks are written as escapes."""
        written = BytesIO()
        console = TextIOWrapper(written, "latin-1")
        Logger("relaykit.x", observer=log_writer(LogSettings(), console)).info("Büro-機器")
        self.assertIn("Büro-\\u6a5f\\u5668", written.getvalue().decode("latin-1"))

    def test_full_disk(self) -> None:
        """A file that takes nothing is complained about elsewhere, once; the log goes on without it."""
        complaints: list[str] = []
        writer = log_writer(LogSettings(to="/dev/full"), StringIO(), complaints.append)
        for _ in range(3):
            Logger("relaykit.x", observer=writer).info("x")
        self.assertEqual(complaints, ["the log /dev/full cannot be written: No space left on device"])


class ShownTests(SynchronousTestCase):
    """Tests for what a console has shown."""

    def test_last(self) -> None:
        """The last warnings and errors are known; not what was left out, or went to a file."""
        file = Path(self.mktemp())
        for settings, shown in (
            (LogSettings(), True),
            (LogSettings(level="error"), False),
            (LogSettings(to=str(file)), False),
        ):
            writer = log_writer(settings, StringIO())
            logger = Logger("relaykit.x", observer=writer)
            logger.info("some news")
            logger.warn("cannot do it: {reason}", reason="no room")
            self.assertEqual((writer.has_shown("no room"), writer.has_shown("news")), (shown, False))
            for _ in range(20):
                logger.error("another")
            self.assertFalse(writer.has_shown("no room"))


class ReopenTests(SynchronousTestCase):
    """Tests for what SIGHUP asks a log for."""

    def test_file(self) -> None:
        """It goes on in a new file where the former was moved away, and says so there, or why it does not."""
        path = Path(self.mktemp())
        writer = log_writer(LogSettings(to=str(path)), StringIO())
        self.patch(observers, "log", Logger("relaykit.x", observer=writer))
        path.rename(path.with_suffix(".1"))
        writer.reopen()
        self.assertIn("the log file was opened again", path.read_text())
        moved = path.with_suffix(".2")
        path.rename(moved)
        path.mkdir()
        writer.reopen()
        self.assertIn("cannot be opened again, the former one goes on: Is a directory", moved.read_text())

    def test_changed(self) -> None:
        """It goes on as other settings say, in another file too; one that cannot be opened is left."""
        first, second = Path(self.mktemp()), Path(self.mktemp())
        writer = log_writer(LogSettings(to=str(first)), StringIO())
        logger = Logger("relaykit.x", observer=writer)
        writer.change(LogSettings(to=str(first), level="debug"))
        logger.debug("a detail")
        writer.change(LogSettings(to=str(second), format="json"))
        logger.debug("another")
        logger.info("news")
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertRaises(OSError, writer.change, LogSettings(to=str(folder)))
        logger.info("more")
        self.assertEqual(first.read_text().count("\n"), 1)
        self.assertEqual(second.read_text().count('"message": '), 2)

    def test_console(self) -> None:
        """A log without a file says that there is nothing to open."""
        console = StringIO()
        writer = log_writer(LogSettings(color=False), console)
        self.patch(observers, "log", Logger("relaykit.x", observer=writer))
        writer.reopen()
        self.assertIn("the log has no file to open again", console.getvalue())
