"""Tests for the log of daemons."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from twisted.application.twist._options import TwistOptions
from twisted.logger import Logger
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema.sections import LogConfig
from relaykit.logs.observers import log_writer
from relaykit.tap.daemon_log import daemon_log


class DaemonLogTests(SynchronousTestCase):
    """Tests for :func:`daemon_log`."""

    def setUp(self) -> None:
        """Goes to a folder of its own, and keeps what is printed."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.printed = StringIO()
        self.patch(sys, "stdout", self.printed)

    def logged(self, config: LogConfig, **program: object) -> list[str]:
        """Logs an event of three levels; answers the files that there are then."""
        options = ServerOptions()
        options.update({"logfile": None, "nodaemon": False, "syslog": False, "logger": None, **program})
        settings = daemon_log(config, options)
        assert settings is not None
        logger = Logger("relaykit.x", observer=log_writer(settings, sys.stdout))
        logger.debug("a detail")
        logger.info("news")
        logger.error("bad news")
        return sorted(os.listdir())

    def test_default(self) -> None:
        """A daemon logs to the file that any daemon of twistd logs to, what a program would."""
        self.assertEqual(self.logged(LogConfig()), ["twistd.log"])
        lines = Path("twistd.log").read_text().splitlines()
        self.assertEqual([line[24:27] for line in lines], ["[I]", "[E]"])
        self.assertEqual(self.printed.getvalue(), "")

    def test_table(self) -> None:
        """What the table says counts: file, level, form."""
        config = LogConfig(to="logs/relay.log", level="error", format="json")
        self.assertEqual(self.logged(config), ["logs"])
        self.assertRegex(Path("logs/relay.log").read_text(), '^{.*"message": "bad news".*}\n$')
        self.assertEqual(self.logged(config, nodaemon=True), ["logs"])

    def test_chosen(self) -> None:
        """A file on the command line comes before that of the table; so does standard output."""
        config = LogConfig(to="relay.log", level="error")
        self.assertEqual(self.logged(config, logfile="daemon.log"), ["daemon.log"])
        self.assertEqual(Path("daemon.log").read_text().count("\n"), 1)
        self.logged(config, logfile="-", nodaemon=True)
        self.assertEqual(self.printed.getvalue().count("\n"), 1)

    def test_in_front(self) -> None:
        """In the foreground the console is standard output."""
        self.assertEqual(self.logged(LogConfig(), nodaemon=True), [])
        self.assertEqual(self.printed.getvalue().count("\n"), 2)

    def test_by_itself(self) -> None:
        """What logs in another way does so by itself; so does twist, and what twistd refuses it refuses."""
        for key, value in (("syslog", True), ("logger", "some.module"), ("logfile", "-")):
            options = ServerOptions()
            options.update({"logfile": None, "nodaemon": False, "syslog": False, "logger": None, key: value})
            self.assertIsNone(daemon_log(LogConfig(to="relay.log"), options), key)
        self.assertIsNone(daemon_log(LogConfig(), TwistOptions()))
        self.assertIsNone(daemon_log(LogConfig(), None))
        self.assertEqual(os.listdir(), [])

    def test_unusable(self) -> None:
        """A file that cannot be opened is the affair of whoever starts the daemon."""
        self.assertRaises(OSError, self.logged, LogConfig(to="/dev/null/x.log"))
