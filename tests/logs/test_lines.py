"""Tests for the forms of log lines."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.logs.lines import colored, frp_line, json_line
from relaykit.values import Secret

AT = 1715000000.25
"""2024-05-06 12:53:20.25 UTC."""


def event(text: str, level: Any = LogLevel.info, **fields: Any) -> dict[str, Any]:
    """A log event as Twisted makes them."""
    return {"log_format": text, "log_level": level, "log_time": AT, "log_namespace": "relaykit.x", **fields}


def failure() -> Failure:
    """A failure with a traceback."""
    try:
        raise ValueError("bad\nnews")
    except ValueError:
        return Failure()


class InUtc(SynchronousTestCase):
    """Runs with UTC as local time."""

    def setUp(self) -> None:
        """Sets the time zone, and puts the former one back."""
        former = os.environ.get("TZ")

        def put_back() -> None:
            if former is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = former
            time.tzset()

        self.addCleanup(put_back)
        os.environ["TZ"] = "UTC"
        time.tzset()


class FrpLineTests(InUtc):
    """Tests for :func:`frp_line`."""

    def test_form(self) -> None:
        """A line has time, level, source and text."""
        self.assertEqual(
            frp_line(event("login of {user}", user="me"), "server/service.py:21"),
            "2024-05-06 12:53:20.250 [I] [server/service.py:21] login of me\n",
        )

    def test_levels(self) -> None:
        """Each level has its letter; what Twisted calls critical is an error."""
        letters = {
            LogLevel.debug: "D",
            LogLevel.info: "I",
            LogLevel.warn: "W",
            LogLevel.error: "E",
            LogLevel.critical: "E",
        }
        for level, letter in letters.items():
            self.assertIn(f" [{letter}] ", frp_line(event("x", level), "s"))

    def test_context(self) -> None:
        """Run id and proxy are put in front, unless the text itself has them."""
        for text, line in (
            ("opened", "[r1] [web] opened"),
            ("[{run}] login, run id [{run}]", "[web] [r1] login, run id [r1]"),
            ("[{run}] [{proxy}] opened", "[r1] [web] opened"),
            ("{proxy!r} opened", "[r1] 'web' opened"),
        ):
            self.assertTrue(frp_line(event(text, run="r1", proxy="web"), "s").endswith(f"[s] {line}\n"), text)

    def test_empty_context(self) -> None:
        """What is empty or None is no context."""
        self.assertTrue(frp_line(event("x", run="", proxy=None), "s").endswith("[s] x\n"))

    def test_one_line_stays_one(self) -> None:
        """Line ends and terminal sequences in what a peer sent are shown, not obeyed."""
        line = frp_line(event("user {name}", name="a\n2024-01-01 [I] forged\x1b[2J\r\udcff"), "s")
        self.assertTrue(line.endswith("user a\\n2024-01-01 [I] forged\\x1b[2J\\r\\udcff\n"))
        self.assertEqual(line.count("\n"), 1)

    def test_context_is_cleaned_too(self) -> None:
        """The name of a proxy cannot forge a line either."""
        self.assertIn("[a\\nb] x", frp_line(event("x", proxy="a\nb"), "s"))

    def test_letters_of_the_world(self) -> None:
        """What can be printed is not escaped."""
        self.assertIn("[prüfung] 日本", frp_line(event("日本", proxy="prüfung"), "s"))

    def test_traceback(self) -> None:
        """A failure's traceback follows, indented."""
        rows = frp_line(event("went wrong", LogLevel.critical, log_failure=failure()), "s").splitlines()
        self.assertTrue(rows[0].endswith("[E] [s] went wrong"))
        self.assertTrue(all(row.startswith("    ") for row in rows[1:]))
        self.assertIn("ValueError", "".join(rows[1:]))

    def test_color(self) -> None:
        """A colored line is wrapped whole, with its newline."""
        for level, color in (
            (LogLevel.debug, "36"),
            (LogLevel.info, "34"),
            (LogLevel.warn, "33"),
            (LogLevel.error, "31"),
        ):
            line = colored(frp_line)(event("x", level), "s")
            self.assertTrue(line.startswith(f"\x1b[1;{color}m2024-"))
            self.assertTrue(line.endswith("x\n\x1b[0m"))


class JsonLineTests(InUtc):
    """Tests for :func:`json_line`."""

    def entry(self, **fields: Any) -> dict[str, Any]:
        """What is read of a line with these fields."""
        line = json_line(event("login of {user}", user="me\n", **fields), "s.py:1")
        self.assertEqual(line.count("\n"), 1)
        read: dict[str, Any] = json.loads(line)
        return read

    def test_form(self) -> None:
        """A line is one object with the event's fields beside time, level, source and message."""
        self.assertEqual(
            self.entry(count=3, share=0.5, absent=None),
            {
                "time": "2024-05-06T12:53:20.250+00:00",
                "level": "info",
                "source": "s.py:1",
                "namespace": "relaykit.x",
                "message": "login of me\n",
                "user": "me\n",
                "count": 3,
                "share": 0.5,
                "absent": None,
            },
        )

    def test_any_value(self) -> None:
        """What JSON cannot say is written as text; a secret stays one."""
        entry = self.entry(
            token=Secret("t0p"), odd=float("nan"), names=("a", b"b"), table={1: Secret("x")}, lone="\udcff"
        )
        self.assertEqual(entry["token"], "<secret>")
        self.assertEqual(entry["odd"], "nan")
        self.assertEqual(entry["names"], ["a", "b'b'"])
        self.assertEqual(entry["table"], {"1": "<secret>"})
        self.assertEqual(entry["lone"], "\udcff")

    def test_fields_cannot_pose(self) -> None:
        """A field named like one of ours does not replace it."""
        entry = self.entry(message="no", time="never")
        self.assertEqual((entry["message"], entry["time"][:4]), ("login of me\n", "2024"))

    def test_traceback(self) -> None:
        """A failure's traceback is in a field."""
        entry = self.entry(log_failure=failure())
        self.assertIn("ValueError", entry["traceback"])
