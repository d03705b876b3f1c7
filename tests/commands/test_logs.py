"""Tests for ``relaykit logs``."""

from __future__ import annotations

import json
from typing import Any

from relaykit.administration.own.openapi import PREFIX
from tests.commands.programs import AskingTestCase


def line(number: int, text: str, level: str = "info") -> dict[str, Any]:
    """A line, as a program tells it."""
    told = {"number": number, "at": 1.5, "level": level, "source": "a/b.py:1", "text": text, "problem": ""}
    return told


class LogsTests(AskingTestCase):
    """Tests for the lines of a program."""

    def answers(self) -> dict[str, Any]:
        """What a program has."""
        stream = b"HTTP/1.1 200 OK\r\n\r\n:\n\ndata: %b\n\n" % json.dumps(line(3, "third")).encode()
        return {
            f"GET {PREFIX}/log/stream": stream,
            f"GET {PREFIX}/log": {"last": 2, "items": [line(1, "first"), line(2, "x\x1b[1m\n    y", "warn")]},
        }

    def test_printed(self) -> None:
        """Lines have the form that the log has them in, and nothing in them speaks to a terminal."""
        program = self.program("client", self.answers())
        printed = self.ask("logs", "-n", "7", "--level", "info")
        first, second, third = printed.stdout.splitlines()
        self.assertRegex(first, r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.500 \[I\] \[a/b\.py:1\] first\Z")
        self.assertTrue(second.endswith("[W] [a/b.py:1] x\\x1b[1m"), second)
        self.assertEqual((third, printed.status), ("    y", 0))
        self.assertEqual(program.asked, [f"GET {PREFIX}/log?limit=7&level=info"])

    def test_json(self) -> None:
        """With --json each line is an object."""
        self.program("client", self.answers())
        printed = self.ask("logs", "--json")
        self.assertEqual([json.loads(each)["number"] for each in printed.stdout.splitlines()], [1, 2])

    def test_followed(self) -> None:
        """Those that come are printed until the program ends, which is said."""
        program = self.program("server", self.answers())
        printed = self.ask("logs", "--follow")
        self.assertTrue(printed.stdout.splitlines()[-1].endswith("third"))
        self.assertEqual((printed.status, printed.stderr), (1, "the program has ended\n"))
        self.assertEqual(program.asked[1], f"GET {PREFIX}/log/stream?after=2&level=debug")

    def test_color(self) -> None:
        """On a terminal lines have the color of their level."""
        self.program("client", self.answers())
        self.assertIn("\x1b[1;33m", self.ask("logs", on_terminal=True).stdout)

    def test_nobody(self) -> None:
        """Where no program runs, it is said, and what to do."""
        printed = self.ask("logs")
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("no server or client runs", printed.stderr)

    def test_refused(self) -> None:
        """A program without a log to tell says so."""
        self.program("client", {f"GET {PREFIX}/log": (404, {"error": "there is none"})})
        self.assertIn("there is none", self.ask("logs").stderr)
