"""The history of real programs: what is there after one was killed, and what damage or a disk costs."""

from __future__ import annotations

import base64
import http.client
import json
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from relaykit.state import StateDirectory
from tests.integration.programs import PATIENCE_S, Program, free_port
from tests.integration.relays import TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse

_SECONDS = """\
import os, sys, time
from relaykit.history import service
service.MINUTE_S = 1
if "RELAYKIT_TEST_CLOCK" in os.environ:
    from relaykit.administration import attaching
    def read_clock():
        with open(os.environ["RELAYKIT_TEST_CLOCK"]) as file:
            return time.time() + float(file.read() or 0)
    attaching._wall_clock = read_clock
from relaykit.commands.main import main
sys.exit(main())
"""
"""Runs a program that writes each second what it would write each minute; its wall clock may be set."""

_DAY_S = 24 * 3600

_SAID = 40 * len("user 000000 of port 00000\n")
"""Bytes that one user says and hears."""

_AGAIN_S = 0.2
"""Seconds until it is asked again."""


def _is(told: Callable[[int], int], days: int, expected: int) -> bool:
    return told(days) == expected


class HistoryTests(RelayTestCase):
    """Tests for histories of running programs."""

    def setUp(self) -> None:
        """Reserves ports, and has both roles keep a history."""
        super().setUp()
        self.server_web, self.client_web, self.user_port = free_port(), free_port(), free_port()
        self.state = self.folder / "state"
        self.service = self.start_service()
        self.server_path = self.write_configuration(
            {
                "bindAddr": LOOPBACK,
                "bindPort": self.bind_port,
                "auth.token": TOKEN,
                **self.web(self.server_web),
            }
        )
        self.client_path = self.write_configuration(
            {
                "serverAddr": LOOPBACK,
                "serverPort": self.bind_port,
                "auth.token": TOKEN,
                "clientID": "c1",
                "user": "ann",
                "proxies": [
                    {
                        "name": "web",
                        "type": "tcp",
                        "localPort": self.service.port,
                        "remotePort": self.user_port,
                    }
                ],
                **self.web(self.client_web),
            }
        )

    def web(self, port: int) -> Table:
        """A web server, and where the history goes."""
        return {
            "webServer.port": port,
            "webServer.user": "admin",
            "webServer.password": "a password",
            "stateDir": str(self.state),
        }

    def run_role(
        self, command: str, path: str, ready: str, environ: Mapping[str, str] | None = None
    ) -> Program:
        """Starts a program of a file, which writes each second."""
        program = self.start_file((sys.executable, "-c", _SECONDS, command), path, environ=environ)
        program.wait_for(ready)
        return program

    def run_server(self) -> Program:
        """Starts the server."""
        return self.run_role("frps", self.server_path, "started successfully")

    def run_client(self) -> Program:
        """Starts the client."""
        return self.run_role("frpc", self.client_path, "start proxy success")

    def ask(self, port: int, target: str) -> Any:
        """What is answered to a question."""
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
        credentials = base64.b64encode(b"admin:a password").decode()
        connection.request("GET", target, headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.assertEqual(answer.status, 200, body)
        return json.loads(body)

    def moved(self, port: int, query: str = "") -> tuple[int, int, int]:
        """What the history has of the last hours."""
        told = self.ask(port, f"/api/relaykit/v1/history?grain=hour{query}")
        return sum(told["bytesIn"]), sum(told["bytesOut"]), sum(told["connections"])

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        """Asks again and again."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(_AGAIN_S)

    def files(self) -> list[Path]:
        """The histories that there are."""
        return sorted(self.state.glob("history-*.sqlite"))

    def test_killed(self) -> None:
        """What was written is there after a program was killed, for the own API and for both of frp's."""
        server, client = self.run_server(), self.run_client()
        converse(self.user_port, 3)
        expected = (3 * _SAID, 3 * _SAID, 3)
        self.wait_until(lambda: self.moved(self.server_web) == expected, "the server has a history")
        self.wait_until(lambda: self.moved(self.client_web) == expected, "the client has a history")
        for program in (client, server):
            program.kill()
            program.wait_for_end()
        server, client = self.run_server(), self.run_client()
        for query in ("", "&proxy=ann.web", "&client=ann.c1"):
            self.assertEqual(self.moved(self.server_web, query), expected)
        self.assertEqual(self.moved(self.client_web, "&proxy=web"), expected)
        self.wait_until(
            lambda: self.ask(self.server_web, "/api/serverinfo")["totalTrafficIn"] == expected[0],
            "the totals of today are those of before",
        )
        traffic = self.ask(self.server_web, "/api/traffic/ann.web")
        self.assertEqual(sum(traffic["trafficIn"]), expected[0])
        history = self.ask(self.server_web, "/api/v2/proxies/ann.web/traffic")["data"]["history"]
        self.assertEqual(sum(each["trafficOut"] for each in history), expected[1])
        converse(self.user_port, 1)
        client.stop()
        server.stop()
        server = self.run_server()
        self.assertEqual(self.moved(self.server_web), (4 * _SAID, 4 * _SAID, 4))
        self.assertEqual([stat.S_IMODE(each.stat().st_mode) for each in self.files()], [0o600, 0o600])

    def test_clock_that_jumps(self) -> None:
        """A clock that is set far ahead, and back, costs nothing of what was, nor of what comes."""
        ahead = self.folder / "ahead"
        ahead.write_text("0")
        clock = {**os.environ, "RELAYKIT_TEST_CLOCK": str(ahead)}
        server = self.run_role("frps", self.server_path, "started successfully", clock)
        self.run_client()

        def told(days: int) -> int:
            at = max(0.0, time.time() + days * _DAY_S)
            begin, end = max(0.0, at - _DAY_S), at + _DAY_S
            target = f"/api/relaykit/v1/history?grain=day&from={begin}&to={end}"
            return sum(self.ask(self.server_web, target)["connections"])

        for days, expected in ((0, 1), (400, 1), (-30_000, 1), (0, 2)):
            ahead.write_text(str(max(days * _DAY_S, 1 - int(time.time()))))
            converse(self.user_port)
            self.wait_until(partial(_is, told, days, expected), f"what came on day {days} is told")
        self.assertEqual(told(400), 1)
        self.assertNotIn("Traceback", server.output)

    def test_damaged(self) -> None:
        """A damaged history is set aside, which is said once, and all else works."""
        server = self.run_server()
        client = self.run_client()
        converse(self.user_port)
        self.wait_until(lambda: self.moved(self.server_web)[2] == 1, "there is a history")
        server.stop()
        (path,) = self.state.glob("history-server-*.sqlite")
        with path.open("r+b") as file:
            file.write(b"\xff" * 2000)
        server = self.run_server()
        client.wait_for("start proxy success", 2)
        converse(self.user_port)
        self.wait_until(lambda: self.moved(self.server_web)[2] == 1, "there is a new history")
        self.assertEqual(server.output.count("is damaged"), 1)
        self.assertTrue(path.with_name(f"{path.name}.damaged").exists())

    def test_unwritable(self) -> None:
        """Where the history cannot be written that is said once, and users are served."""
        self.state.mkdir(mode=0o700)
        for role, configuration in (("server", self.server_path), ("client", self.client_path)):
            StateDirectory(self.state).file_of(f"history-{role}.sqlite", configuration).mkdir()
        server = self.run_server()
        client = self.run_client()
        for number in range(3):
            converse(self.user_port, number + 1)
            server.wait_for("the history of traffic has gaps")
            client.wait_for("the history of traffic has gaps")
        self.assertEqual(server.output.count("has gaps"), 1)

    def test_read_by_others(self) -> None:
        """Whoever reads the file with a program of their own, or keeps it for a while, costs nothing."""
        self.run_server()
        self.run_client()
        converse(self.user_port)
        self.wait_until(lambda: self.moved(self.server_web)[2] == 1, "there is a history")
        (path,) = self.state.glob("history-server-*.sqlite")
        with sqlite3.connect(path, isolation_level=None) as database:
            database.execute("BEGIN IMMEDIATE")
            converse(self.user_port)
            database.execute("ROLLBACK")
        database.close()
        self.wait_until(lambda: self.moved(self.server_web)[2] == 2, "what was moved meanwhile is there")
