"""Tests for what a program lets itself be told."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.steering import STOP_S, Steering, steering_routes
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.config.rules.changing import changes
from relaykit.config.schema import ClientConfig
from relaykit.errors import LoginRefusedError, RefusalCode
from tests.administration.exchanges import KNOWN, SECURED, Connection, Told, whole


class SteeringTests(SynchronousTestCase):
    """Tests for the routes."""

    def setUp(self) -> None:
        self.steering = Steering()
        self.path = Path(self.mktemp())
        self.asked: list[bool | None] = []
        self.error: Exception | None = None

    def reload(self, strict: bool | None) -> Awaitable[Any]:
        """Notes what was asked for."""
        self.asked.append(strict)
        return fail(self.error) if self.error else succeed(changes(ClientConfig(), ClientConfig()))

    def told(
        self, method: str, target: str, body: bytes = b"", path: str | None = None, **headers: str
    ) -> Told:
        """What is answered."""
        self.clock = Clock()
        path = str(self.path) if path is None else path
        site, _ = whole(steering_routes(self.steering, path, self.clock), SECURED)
        connection = Connection(site)
        connection.ask(method, target, body, Authorization=KNOWN, **headers)
        (answer,) = connection.answers()
        return answer

    def test_reload(self) -> None:
        """A reload is strict where that is asked for; the answer is empty."""
        self.steering.reload = self.reload
        for query in ("", "?strictConfig=true", "?strictConfig=maybe", "?strictConfig=1"):
            answer = self.told("GET", f"/api/reload{query}")
            self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.asked, [False, True, False, True])

    def test_reload_that_fails(self) -> None:
        """Wrong files are the caller's fault; what cannot be done with right ones is not."""
        answer = self.told("GET", "/api/reload")
        self.assertEqual(
            (answer.status, answer.json),
            (400, {"Code": 400, "Msg": "invalid argument: frpc has no config file path"}),
        )
        self.steering.reload = self.reload
        self.error = ConfigurationProblems([ConfigurationProblem(what="is odd", key="start")])
        answer = self.told("GET", "/api/reload")
        self.assertEqual((answer.status, answer.json["Msg"]), (400, "invalid argument: start: is odd"))
        self.error = LoginRefusedError(RefusalCode.OTHER, "no")
        answer = self.told("GET", "/api/reload")
        self.assertEqual((answer.status, answer.json["Msg"]), (500, "apply config failed: no"))

    def test_pages_of_others(self) -> None:
        """A page of another server can neither reload nor stop anything."""
        self.steering.reload = self.reload
        for method, target in (("GET", "/api/reload"), ("POST", "/api/stop"), ("PUT", "/api/config")):
            self.assertEqual(self.told(method, target, Origin="http://evil.example").status, 403)
        self.assertEqual(self.asked, [])

    def test_write(self) -> None:
        """The file is replaced as a whole and keeps its mode, or is made for its owner alone.

        An empty one is refused.
        """
        answer = self.told("PUT", "/api/config", b"serverPort = 1")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.path.read_bytes(), b"serverPort = 1")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.path.chmod(0o644)
        self.told("PUT", "/api/config", b"nonsense")
        self.assertEqual(self.path.read_bytes(), b"nonsense")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o644)
        answer = self.told("PUT", "/api/config")
        self.assertEqual((answer.status, answer.json["Msg"]), (400, "body can't be empty"))
        link = self.path.with_name("link")
        link.symlink_to(self.path.name)
        with open(self.path, "rb") as reader:
            self.told("PUT", "/api/config", b"by a link", path=str(link))
            self.assertEqual(reader.read(), b"nonsense")
        self.assertEqual((link.is_symlink(), self.path.read_bytes()), (True, b"by a link"))
        self.assertEqual(
            sorted(each.name for each in self.path.parent.iterdir()), sorted(["link", self.path.name])
        )
        self.assertEqual(self.told("PUT", "/api/config", b"x", path="/no/such/file").status, 500)
        self.assertEqual(self.told("PUT", "/api/config", b"x", path="").status, 400)

    def test_stop(self) -> None:
        """The program ends once the answer is on its way."""
        self.assertEqual(self.told("POST", "/api/stop").status, 503)
        stopped: list[int] = []
        self.steering.stop = lambda: stopped.append(1)
        answer = self.told("POST", "/api/stop")
        self.assertEqual((answer.status, answer.body, stopped), (200, b"", []))
        self.clock.advance(STOP_S)
        self.assertEqual(stopped, [1])
