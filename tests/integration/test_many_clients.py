"""A server with more clients than it has descriptors to waste, asked all the while how it stands."""

from __future__ import annotations

import http.client
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command
from tests.integration.relays import TOKEN, RelayTestCase
from tests.integration.traffic import LOOPBACK

CLIENTS = 600
DESCRIPTORS = 1024
TARGETS = ("/api/clients", "/api/proxy/stcp", "/api/v2/clients?pageSize=200", "/api/serverinfo")


class ManyClientsTests(RelayTestCase):
    """Hundreds of clients, and a limit of a thousand open files that the server cannot raise."""

    def setUp(self) -> None:
        super().setUp()
        self.web = free_port()

    def ask(self, target: str) -> tuple[int, Any]:
        """What the API answers, on a connection of its own."""
        connection = http.client.HTTPConnection(LOOPBACK, self.web, timeout=PATIENCE_S)
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body)

    def test_asked(self) -> None:
        """Each question is answered, while they come and once all are there, and keeps no descriptor."""
        path = self.write_configuration(
            {
                "bindAddr": LOOPBACK,
                "bindPort": self.bind_port,
                "auth.token": TOKEN,
                "webServer.port": self.web,
            }
        )
        limited = f"ulimit -n {DESCRIPTORS}; exec {shlex.join(relaykit_command('server'))} -c {path}"
        server = Program(("sh", "-c", limited), self.folder)
        self.end_with_test(server)
        server.wait_for("the web server listens on")
        script = Path(__file__).with_name("many_clients.py")
        clients = Program(
            (sys.executable, str(script), str(self.bind_port), TOKEN, str(CLIENTS)), self.folder
        )
        self.addCleanup(clients.kill)
        statuses = []

        def all_are_there() -> bool:
            status, overview = self.ask("/api/relaykit/v1/overview")
            statuses.append(status)
            return bool(overview["clients"] == CLIENTS and overview["proxies"] == CLIENTS)

        self.wait_for_it(all_are_there)
        clients.wait_for("all are there")
        before = server.descriptors()
        for target in TARGETS * 5:
            statuses.append(self.ask(target)[0])
        self.assertEqual(set(statuses), {200})
        self.assertEqual(len(self.ask("/api/clients")[1]), CLIENTS)
        self.assertEqual(self.ask("/api/relaykit/v1/proxies?q=shop")[1]["total"], CLIENTS)
        self.assertLessEqual(server.descriptors(), before + 2)
        self.assertLess(before, DESCRIPTORS)
