"""Tests for what a command sees of its process."""

from __future__ import annotations

import os
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.surroundings import Surroundings, error_text
from relaykit.errors import ConnectionFailed


class SurroundingsTests(SynchronousTestCase):
    """Tests for :class:`Surroundings`."""

    def test_of_process(self) -> None:
        """By default they are the process's own."""
        around = Surroundings.of_process()
        self.assertEqual((around.stdout, around.stderr, around.environ), (sys.stdout, sys.stderr, os.environ))

    def test_streams(self) -> None:
        """What is said and what is complained about go to different streams, a line each."""
        around = Surroundings(StringIO(), StringIO(), {})
        around.say("yes")
        around.complain("no")
        assert isinstance(around.stdout, StringIO) and isinstance(around.stderr, StringIO)
        self.assertEqual((around.stdout.getvalue(), around.stderr.getvalue()), ("yes\n", "no\n"))

    def test_reactor(self) -> None:
        """The reactor that a command runs keeps monotonic time: nobody else has a say in it."""
        reactor: Any = Surroundings.of_process().choose_reactor()
        self.patch(reactor, "getDelayedCalls", lambda: [])
        self.patch(reactor, "seconds", runtime.seconds)
        self.assertIs(Surroundings.of_process().choose_reactor(), reactor)
        self.assertEqual(reactor.seconds, time.monotonic)

    def test_explained(self) -> None:
        """An error is told with what is known of its problem."""
        around = Surroundings(StringIO(), StringIO(), {})
        around.explain(ConnectionFailed("no way", problem="connection-refused"))
        around.explain("nobody knows")
        assert isinstance(around.stderr, StringIO)
        lines = around.stderr.getvalue().splitlines()
        self.assertEqual((lines[0], lines[3], len(lines)), ("no way", "nobody knows", 4))


class ErrorTextTests(SynchronousTestCase):
    """Tests for :func:`error_text`."""

    def test_system(self) -> None:
        """An error of the system names the file, as frp does."""
        with self.assertRaises(OSError) as caught:
            Path("no.crt").read_bytes()
        self.assertEqual(error_text(caught.exception), "open no.crt: no such file or directory")

    def test_other(self) -> None:
        """Any other error speaks for itself."""
        self.assertEqual(error_text(ConnectionFailed("no")), "no")
        self.assertEqual(error_text(OSError("odd")), "odd")
