"""Tests for ``relaykit probe``."""

from __future__ import annotations

import json
from typing import Any

from relaykit.administration.own.openapi import PREFIX
from tests.commands.programs import AskingTestCase

TOLD: dict[str, Any] = {"online": True, "reached": "service", "seconds": 0.0341, "error": "", "problem": ""}


class ProbeTests(AskingTestCase):
    """Tests for looking at a proxy."""

    def test_served(self) -> None:
        """What is well is said, with how far it got, in a status as well; names may have anything in them."""
        program = self.program("server", {"POST": TOLD})
        printed = self.ask("probe", "a/b c")
        self.assertEqual(printed.stdout, "a/b c: online; a probe got to the service in 0.034 s\n")
        self.assertEqual(printed.status, 0)
        self.assertEqual(program.asked, [f"POST {PREFIX}/proxies/a%2Fb%20c/probe"])

    def test_not_served(self) -> None:
        """What is not is said with why, and what to do."""
        wrong = {**TOLD, "online": False, "error": "connection refused", "problem": "local-service"}
        self.program("server", {"POST": wrong})
        printed = self.ask("probe", "web")
        self.assertEqual(printed.status, 1)
        self.assertIn("web: connection refused\n", printed.stderr)
        self.assertIn("Start the service", printed.stderr)

    def test_json(self) -> None:
        """With --json it is an object."""
        self.program("server", {"POST": TOLD})
        self.assertEqual(json.loads(self.ask("probe", "web", "--json").stdout), TOLD)

    def test_refused(self) -> None:
        """Where it cannot be found out, it is said why; a client is not asked."""
        self.program("server", {"POST": (404, {"error": "no proxy [web] is open"})}, "s.toml")
        self.program("client", {"POST": TOLD})
        printed = self.ask("probe", "web")
        self.assertEqual((printed.status, printed.stdout), (1, ""))
        self.assertIn("no proxy [web] is open", printed.stderr)
