"""Tests for ``relaykit top``; on a terminal it is tried with real programs."""

from __future__ import annotations

import json
import time
from typing import Any

from relaykit.administration.own.openapi import PREFIX
from tests.commands.programs import AskingTestCase

OVERVIEW: dict[str, Any] = {
    **{"state": "ready", "clients": 1, "proxies": 1, "users": 1},
    **{"bytesIn": 10, "bytesOut": 20},
}
PROXY: dict[str, Any] = {
    **{"name": "web\x1b", "type": "tcp", "client": "ann.c1", "state": "open", "users": 1},
    **{"bytesIn": 10, "bytesOut": 20, "probe": {"online": False}},
}
USER: dict[str, Any] = {
    **{"address": "192.0.2.1:5", "proxy": "web", "path": "relay", "isWaiting": False, "since": 0.0},
    **{"bytesIn": 10, "bytesOut": 20},
}
ANSWERS: dict[str, Any] = {
    f"GET {PREFIX}/overview": OVERVIEW,
    f"GET {PREFIX}/users": {"items": [USER]},
    f"GET {PREFIX}/proxies": {"items": [PROXY]},
}


class TopTests(AskingTestCase):
    """Tests for one look, into a pipe."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(time, "sleep", lambda seconds: None)

    def test_once(self) -> None:
        """It is printed once, over two samples."""
        program = self.program("server", ANSWERS)
        printed = self.ask("top")
        self.assertEqual((printed.status, printed.stderr), (0, ""))
        self.assertIn("ready; 1 client; 1 proxy; 1 user;", printed.stdout)
        self.assertIn("web\\x1b  tcp  ann.c1  NOT SERVED", printed.stdout)
        self.assertEqual(len(program.asked), 6)

    def test_json(self) -> None:
        """With --json it is an object."""
        self.program("server", ANSWERS)
        told = json.loads(self.ask("top", "--json").stdout)
        self.assertEqual((told["role"], told["proxies"], told["busiest"][0]["type"]), ("server", 1, "tcp"))
        self.assertEqual(told["user_rows"][0]["rate"], [0.0, 0.0])

    def test_fails(self) -> None:
        """A program that does not answer is said to."""
        self.program("server", {"GET": (500, {"error": "a defect"})})
        printed = self.ask("top")
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("a defect", printed.stderr)
