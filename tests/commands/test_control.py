"""Tests for the commands that ask a program which runs."""

from __future__ import annotations

import json
from typing import Any

from relaykit.control_sockets import socket_name
from tests.commands.programs import AskingTestCase, FakeProgram
from tests.commands.terminal import Printed

CLIENT = {
    "role": "client",
    "version": "1",
    "pid": 7,
    "config": "/etc/c.toml",
    "server": "relay.example:7000",
    "connected": True,
    "stopping": False,
    "for_seconds": 5.0,
    "next_try_seconds": None,
    "users": 1,
    "proxies": [
        {
            "name": "web",
            "type": "tcp",
            "state": "refused",
            "address": "",
            "reason": "port already used",
            "users": 0,
            "way": "",
        }
    ],
    "visitors": [{"name": "v", "address": "127.0.0.1:1", "reason": "", "users": 1, "way": "directly"}],
}
SERVER = {
    "role": "server",
    "version": "1",
    "pid": 8,
    "config": "",
    "state": "ready",
    "port": 7000,
    "users": 2,
    "clients": [{"hostname": "h", "client_id": "c", "version": "1", "address": "192.0.2.1:5"}],
    "proxies": [{"name": "web", "type": "tcp", "address": ":6000", "users": 2, "client_id": "c"}],
}


class ControlTests(AskingTestCase):
    """Tests for ``relaykit status``, ``reload`` and ``stop``."""

    def answering(self, role: str, answer: Any, config: str = "c.toml", status: int = 200) -> FakeProgram:
        """A program that answers whatever it is asked with the same."""
        return self.program(role, {"": answer if isinstance(answer, bytes) else (status, answer)}, config)

    def test_client(self) -> None:
        """A client is shown with each proxy and visitor in a row."""
        program = self.answering("client", CLIENT)
        for words in (("status", "c.toml"), ("status",), ("status", "--role", "client", "-c", "c.toml")):
            self.assertEqual(
                self.ask(*words),
                Printed(
                    0,
                    "relaykit client 1, process 7, /etc/c.toml\n"
                    "connected to relay.example:7000 for 5 s; 1 user\n"
                    "\n"
                    "web  tcp      refused    0 users  port already used\n"
                    "v    visitor  listening  1 user   127.0.0.1:1 directly\n",
                ),
            )
        self.assertEqual(program.asked, ["GET /control/status"] * 3)
        printed = self.ask("status", "--json")
        self.assertEqual(json.loads(printed.stdout), CLIENT)

    def test_standing(self) -> None:
        """A visitor that connects a local service is shown with that, and with why it is not connected."""
        visitor = {"name": "v", "address": "", "local": "virtual_net:", "way": ""}
        for name, users, reason, line in (
            ("a.toml", 1, "", "v  visitor  connected  1 user  virtual_net:\n"),
            ("b.toml", 0, "nobody there", "v  visitor  closed  0 users  virtual_net: nobody there\n"),
        ):
            entry = {**visitor, "users": users, "reason": reason}
            self.answering("client", {**CLIENT, "proxies": [], "visitors": [entry]}, name)
            self.assertIn(line, self.ask("status", name).stdout)

    def test_not_connected(self) -> None:
        """Where a client is not connected it says when it tries again, or that it ends."""
        answer = {**CLIENT, "connected": False, "next_try_seconds": 3.0, "proxies": [], "visitors": []}
        self.answering("client", answer)
        self.assertIn(
            "not connected to relay.example:7000, the next try is in 3 s", self.ask("status").stdout
        )
        self.answering("client", {**answer, "stopping": True}, "d.toml")
        self.assertIn("being stopped; 1 user\n", self.ask("status", "d.toml").stdout)

    def test_server(self) -> None:
        """A server is shown with its clients and its proxies."""
        self.answering("server", SERVER)
        self.assertEqual(
            self.ask("status").stdout,
            "relaykit server 1, process 8\n"
            "ready, port 7000; 2 users\n"
            "\n"
            "h    client  1      192.0.2.1:5\n"
            "web  tcp     :6000  2 users      of c\n",
        )

    def test_truth(self) -> None:
        """What came of the last look is beside a proxy, and what went wrong is told below."""
        probe = {"online": True, "reached": "service", "seconds": 0.034, "error": "", "seconds_ago": 12.0}
        wrong = {**probe, "online": False, "error": "connection refused"}
        server: dict[str, Any] = SERVER
        web = server["proxies"][0]
        seen = {"last_error": "the session ended", "last_error_seconds": 75.0}
        proxies = [{**web, "probe": probe}, {**web, "name": "db", "probe": wrong, **seen}]
        self.answering("server", {**SERVER, "proxies": proxies})
        self.assertEqual(
            self.ask("status").stdout.splitlines()[3:],
            [
                "h    client  1      192.0.2.1:5",
                "web  tcp     :6000  2 users      of c; online, 34 ms, looked at 0:00:12 ago",
                "db   tcp     :6000  2 users      of c; NOT SERVED, looked at 0:00:12 ago",
                "",
                "db: users would not be served: connection refused",
                "db: 0:01:15 ago a user was not served: the session ended",
            ],
        )

    def test_reload(self) -> None:
        """What changes is said by when it counts; what is wrong is said as well, and a failure."""
        program = self.answering(
            "client", {"at once": ["log.level"], "at a login": [], "after a restart": ["user", "store.path"]}
        )
        self.assertEqual(
            self.ask("reload"),
            Printed(
                0,
                "Read again: proxies and visitors are as the file says.\n"
                "From now on: log.level\n"
                "Only after a restart: user, store.path\n",
            ),
        )
        self.assertEqual(program.asked, ["POST /control/reload"])
        self.answering("client", {"Msg": "invalid argument: d.toml:1: start: is odd"}, "d.toml", 400)
        self.assertEqual(
            self.ask("reload", "d.toml"), Printed(1, "", "d.toml:1: start: is odd\nNothing has changed.\n")
        )

    def test_stop(self) -> None:
        """A program is told to end."""
        program = self.answering("client", {})
        self.assertEqual(self.ask("stop"), Printed(0, "It ends once its users have had their seconds.\n"))
        self.assertEqual(program.asked, ["POST /control/stop"])

    def test_several(self) -> None:
        """Where several run, one has to be named; which there are is said."""
        self.answering("client", CLIENT)
        self.answering("client", {**CLIENT, "config": "/etc/d.toml"}, "d.toml")
        printed = self.ask("status")
        self.assertEqual(printed.status, 1)
        self.assertIn("several run, name one with -c FILE, --process, or --role:\n", printed.stderr)
        for path in ("/etc/c.toml", "/etc/d.toml"):
            self.assertIn(f"process 7, client, {path}", printed.stderr)

    def test_process(self) -> None:
        """One that has no file is named by its number."""
        self.answering("client", CLIENT)
        self.answering("client", {**CLIENT, "config": "", "pid": 8}, "d.toml")
        self.assertIn("process 8\n", self.ask("status", "--process", "8").stdout)
        printed = self.ask("status", "--process", "9")
        self.assertIn("runs with a control socket as process 9", printed.stderr)

    def test_none(self) -> None:
        """What does not run, or has ended and left its socket, is told as such."""
        self.assertTrue(
            self.ask("status").stderr.startswith("no server or client runs with a control socket")
        )
        FakeProgram(self.folder, socket_name("client", "c.toml"), {"": CLIENT}).stop()
        for words in (
            ("reload", "c.toml"),
            ("stop", "-c", "c.toml", "--role", "client"),
            ("status", "c.toml"),
        ):
            printed = self.ask(*words)
            self.assertEqual((printed.status, printed.stdout), (1, ""))
            self.assertIn("runs with c.toml", printed.stderr)

    def test_no_answer(self) -> None:
        """An answer that makes no sense is told."""
        self.answering("client", b"no json")
        for words in (("status",), ("stop",), ("reload",)):
            printed = self.ask(*words)
            self.assertEqual(printed.status, 1)
            self.assertIn("does not answer", printed.stderr)
