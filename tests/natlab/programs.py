"""Real programs in a laboratory: a server, clients behind routers, services and users beside them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from tests.integration.programs import PATIENCE_S, Program, relaykit_command
from tests.integration.relays import NOTHING, SECRET_KEY, TOKEN, RelayTestCase, Table
from tests.integration.traffic import Service, converse, obey
from tests.natlab.case import need_lab
from tests.natlab.lab import SERVER, NatLab
from tests.natlab.namespaces import entered, within
from tests.natlab.weather import READY

__all__ = ["MADE", "SECRET", "SERVICE_PORT", "STUN_ADDRS", "STUN_PORT", "LabProgramsCase"]

STUN_PORT = 3478
"""Where a server of ours answers STUN that is nothing else in a test, for a server without."""

SERVICE_PORT = 9000

SECRET: Table = {"type": "xtcp", "secretKey": SECRET_KEY}
"""What a proxy and its visitor have in common."""

EARLY: Table = {"keepTunnelOpen": True, "minRetryInterval": 1, "maxRetriesAnHour": 1000}
"""What has a visitor make its path before anybody comes, and try until there is one."""

MADE = "there is a direct path"
"""What a visitor says then."""

STUN_ADDRS: Table = {"stunAddrs": list(SERVER)}
"""What makes our server a STUN server that understands every NAT, as frp's clients need it."""


class LabProgramsCase(RelayTestCase):
    """A laboratory of its own for each test: services are on ``cb``, users on ``ca``, the server on ``s``."""

    routers = ("port", "portshift")
    """Those of side A, where the users are, and of side B."""

    server_command = relaykit_command("server")
    client_command = relaykit_command("client")

    def setUp(self) -> None:
        """Makes the laboratory."""
        need_lab()
        super().setUp()
        self.bind_port = 7000
        self.lab = NatLab(*self.routers)
        self.lab.up()
        self.addCleanup(self.lab.down)

    def at(self, role: str, command: Sequence[str]) -> tuple[str, ...]:
        """A command line that is run on a machine."""
        return (*within(self.lab.space(role)), *command)

    def run_at(self, role: str, command: Sequence[str]) -> Program:
        """A program on a machine, which ends with the test."""
        program = Program(self.at(role, command), self.folder)
        self.end_with_test(program)
        return program

    def weather(self, delay_s: float, loss: float = 0.0, jitter_s: float = 0.0) -> None:
        """From now on datagrams through the Internet are late, or lost; they stay in order."""
        figures = map(str, (delay_s, loss, jitter_s))
        self.run_at("core", (sys.executable, "-m", "tests.natlab.weather", *figures)).wait_for(READY)
        self.lab.route_through_weather()

    def serve(self, table: Table = STUN_ADDRS, command: Sequence[str] = ()) -> Program:
        """The server, ready."""
        anywhere = {"bindAddr": "0.0.0.0", **table}
        return self.start_server(anywhere, self.at("s", command or self.server_command))

    def serve_stun(self) -> None:
        """A server of ours that is only there for STUN, at :data:`STUN_PORT`, ready."""
        table = {"bindAddr": "0.0.0.0", "bindPort": STUN_PORT, "auth.token": TOKEN, **STUN_ADDRS}
        self.start(self.at("s", relaykit_command("server")), table).wait_for("started successfully")

    def client(
        self,
        role: str,
        proxies: Sequence[Table] = (),
        visitors: Sequence[Table] = (),
        table: Table = NOTHING,
        command: Sequence[str] = (),
    ) -> Program:
        """A client on a machine, ready."""
        client = self.start_client(
            {"serverAddr": SERVER[0], **table},
            proxies,
            visitors,
            command=self.at(role, command or self.client_command),
        )
        if proxies:
            client.wait_for("start proxy success", len(proxies))
        listening = [each for each in visitors if each["bindPort"] > 0]
        if listening:
            client.wait_for("start visitor success", len(listening))
        return client

    def service(self, serve: Callable[..., None] = obey, port: int = SERVICE_PORT) -> Service:
        """A service on ``cb``."""
        with entered(self.lab.space("cb")):
            return self.start_service(serve, port=port)

    # --- our clients, who meet by xtcp

    def offer(self, *ports: int) -> Program:
        """The client of these services on ``cb``."""
        return self.client("cb", [{"name": f"at-{port}", "localPort": port, **SECRET} for port in ports])

    def visit(self, *ports: int, role: str = "ca", way: Table = NOTHING) -> Program:
        """A client whose users find them at the same ports; ``way`` is what its visitors have besides."""
        visitors = [
            {"name": f"to-{port}", "serverName": f"at-{port}", "bindPort": port, **SECRET, **way}
            for port in ports
        ]
        return self.client(role, visitors=visitors)

    def connect(self, *ports: int) -> tuple[Program, Program]:
        """The server and both clients, with direct paths; answers the users' client and the services'."""
        self.serve()
        owner = self.offer(*ports)
        visitor = self.visit(*ports, way=EARLY)
        visitor.wait_for(MADE, len(ports))
        return visitor, owner

    def reach(self, port: int, before: bytes = b"", role: str = "ca") -> None:
        """A user of an echo comes until it is answered, for on a busy machine there may be no path in time.

        What it says ``before`` is not echoed.
        """
        deadline = time.monotonic() + PATIENCE_S
        with entered(self.lab.space(role)):
            while True:
                try:
                    return converse(port, before=before)
                except (AssertionError, OSError):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
