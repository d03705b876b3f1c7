"""Tests for what a command sees of its process."""

from __future__ import annotations

import ast
import os
import sys
import time
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

from relaykit.commands.context import CommandContext, error_text
from relaykit.errors import ConnectionFailed
from tests.layering import ROOT, modules


class SurroundingsTests(SynchronousTestCase):
    """Tests for :class:`CommandContext`."""

    def test_of_process(self) -> None:
        """By default they are the process's own."""
        context = CommandContext.of_process()
        self.assertEqual(
            (context.stdout, context.stderr, context.environ), (sys.stdout, sys.stderr, os.environ)
        )

    def test_streams(self) -> None:
        """What is said and what is complained about go to different streams, a line each."""
        context = CommandContext(StringIO(), StringIO(), {})
        context.say("yes")
        context.complain("no")
        assert isinstance(context.stdout, StringIO) and isinstance(context.stderr, StringIO)
        self.assertEqual((context.stdout.getvalue(), context.stderr.getvalue()), ("yes\n", "no\n"))

    def test_reactor(self) -> None:
        """The reactor that a command runs keeps monotonic time: nobody else has a say in it."""
        reactor: Any = CommandContext.of_process().choose_reactor()
        self.patch(reactor, "getDelayedCalls", lambda: [])
        self.patch(reactor, "seconds", runtime.seconds)
        self.assertIs(CommandContext.of_process().choose_reactor(), reactor)
        self.assertEqual(reactor.seconds, time.monotonic)

    def test_no_streams(self) -> None:
        """A process without standard streams has some that go nowhere."""
        self.patch(sys, "stdout", None)
        self.patch(sys, "stderr", None)
        context = CommandContext.of_process()
        self.addCleanup(context.stdout.close)
        self.addCleanup(context.stderr.close)
        context.say("anything")
        context.complain("Büro")
        self.assertFalse(context.stdout.isatty())

    def test_any_letter(self) -> None:
        """Letters that the encoding lacks are printed as escapes."""
        written = BytesIO()
        self.patch(sys, "stdout", TextIOWrapper(written, "latin-1"))
        CommandContext.of_process().say("Büro-機器")
        self.assertEqual(written.getvalue().decode("latin-1"), "Büro-\\u6a5f\\u5668\n")

    def test_terminal(self) -> None:
        """Nothing that is said speaks to a terminal, whatever a peer had put into it; lines stay lines."""
        context = CommandContext(StringIO(), StringIO(), {})
        attack = "refused: \x1b[2J\x1b]52;c;eA==\x07\x9b2J\r\nforged"
        context.say(attack)
        context.complain(attack)
        context.explain(ConnectionFailed(attack))
        assert isinstance(context.stdout, StringIO) and isinstance(context.stderr, StringIO)
        said = "refused: \\x1b[2J\\x1b]52;c;eA==\\x07\\x9b2J\\r\nforged\n"
        self.assertEqual(context.stdout.getvalue(), said)
        self.assertTrue(context.stderr.getvalue().startswith(said + said))

    def test_one_writer(self) -> None:
        """Whoever else writes to a terminal is known: nobody goes past what escapes."""
        writing = {"print", "echo", "secho", "input_prompt"}
        found = set()
        for path in modules():
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                of = called.value if isinstance(called, ast.Attribute) else None
                stream = getattr(of, "attr", getattr(of, "id", ""))
                if name in writing or (name in ("write", "writelines") and stream in ("stdout", "stderr")):
                    found.add(str(path))
        self.assertEqual(
            found,
            {
                "relaykit/commands/context.py",
                # click's own texts: the version and the help.
                "relaykit/commands/program.py",
                # Snapshots, all of whose texts can be printed.
                "relaykit/commands/status/live.py",
                # Warnings about a file, before there is a daemon.
                "relaykit/tap/options.py",
            },
        )

    def test_explained(self) -> None:
        """An error is told with what is known of its problem."""
        context = CommandContext(StringIO(), StringIO(), {})
        context.explain(ConnectionFailed("no way", problem="connection-refused"))
        context.explain("nobody knows")
        assert isinstance(context.stderr, StringIO)
        lines = context.stderr.getvalue().splitlines()
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
