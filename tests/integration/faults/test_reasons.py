"""Every end has a reason, told once, in fields that a program can read."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from relaykit.values import Ended
from tests.integration.faults.case import FaultTestCase, takes_long
from tests.integration.programs import Program, free_port
from tests.integration.relays import Table
from tests.integration.traffic import dial, end_of, receive_exactly, reset

JSON: Table = {"log.format": "json", "log.level": "debug", "log.disablePrintColor": True}

FLOWS = 12


class ReasonTests(FaultTestCase):
    """A server and a client whose logs a program reads."""

    def events(self, program: Program) -> list[dict[str, Any]]:
        """All that a program has logged."""
        return [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]

    def ends(self, program: Program, text: str) -> list[dict[str, Any]]:
        """The events of ends whose message has a text in it."""
        found = [each for each in self.events(program) if "ended" in each and text in each["message"]]
        for each in found:
            self.assertIn(each["ended"], {ended.value for ended in Ended})
        return found

    def flows(self, program: Program) -> list[dict[str, Any]]:
        """The events of ends of flows of the echo."""
        return [each for each in self.ends(program, "flow from") if each["proxy"] == "echo"]

    def wait_flows(self, program: Program) -> None:
        """Waits until a program has told of the end of every flow."""
        self.until("every flow has ended", lambda: len(self.flows(program)) >= FLOWS)

    def check_reasons(self, table: Table) -> None:
        """Flows, proxies and sessions begin, end in several ways, and each is told of once at each end."""
        server = self.start_server(JSON)
        down = free_port()
        service = self.start_service()
        client = self.start_client(
            {**JSON, **table},
            [
                {"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port},
                {"name": "down", "type": "tcp", "localPort": free_port(), "remotePort": down},
                {"name": "taken", "type": "tcp", "localPort": service.port, "remotePort": down},
            ],
        )
        client.wait_for("start proxy success", 2)
        client.wait_for("start error")
        users = []
        for number in range(FLOWS):
            user = dial(self.port)
            users.append("{}:{}".format(*user.getsockname()))
            user.sendall(b"hello")
            self.assertEqual(receive_exactly(user, 5), b"hello")
            if number % 2:
                reset(user)
            else:
                user.close()
        with dial(down) as user:
            let_go = "{}:{}".format(*user.getsockname())
            self.assertEqual(end_of(user), b"")
        for program in (server, client):
            self.wait_flows(program)
        client.terminate()
        client.wait_for_end()
        server.wait_for("client exit success")
        server.stop()
        for program in (server, client):
            flows = self.flows(program)
            self.assertEqual(Counter(each["origin"] for each in flows), Counter(users))
            self.assertEqual({(each["sent"], each["received"]) for each in flows}, {(5, 5)})
            ends = {each["ended"] for each in flows}
            self.assertLessEqual(ends, {"finished", "near-lost", "far-lost", "reset"})
        (unserved,) = self.ends(client, "connect to local service")
        self.assertEqual((unserved["origin"], unserved["ended"]), (let_go, "unreachable"))
        closed = self.ends(server, "proxy closing")
        self.assertEqual(sorted(each["proxy"] for each in closed), ["down", "echo"])
        self.assertEqual({each["ended"] for each in closed}, {"withdrawn"})
        withdrawn = self.ends(client, "is not published any more")
        self.assertEqual(sorted(each["proxy"] for each in withdrawn), ["down", "echo"])
        for program in (server, client):
            refused = self.ends(program, "taken") + self.ends(program, "start error")
            self.assertEqual({each["ended"] for each in refused}, {"refused"})
        (at_server,) = self.ends(server, "client exit success")
        (at_client,) = self.ends(client, "the session ended")
        self.assertEqual(at_client["ended"], "stopped")
        self.assertEqual(at_server["run"], at_client["run"])

    def test_mux(self) -> None:
        """With mux."""
        self.check_reasons({})

    @takes_long
    def test_direct(self) -> None:
        """Without mux."""
        self.check_reasons({"transport.tcpMux": False})
