"""Tests for what a command sees of its process."""

from __future__ import annotations

import os
import sys
import time
from io import StringIO
from typing import Any

from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.surroundings import Surroundings


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
