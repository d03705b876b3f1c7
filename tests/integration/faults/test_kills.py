"""A program is killed and comes back: what its users notice, and how soon others are served."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.faults.case import FaultTestCase, takes_long, why_short
from tests.integration.programs import Program
from tests.integration.relays import NOTHING, SECRET_KEY, Table

USERS = 50

NO_MUX: Table = {"transport.tcpMux": False}


class KillTestCase(FaultTestCase):
    """SIGKILL under users who talk all the time."""

    def check_killed(self, program: Program, restart: Callable[[], object]) -> None:
        """Every user's connection ends, and every user is served again."""
        crowd = self.crowd(USERS)
        crowd.wait_served()
        killed = time.monotonic()
        program.kill()
        noticed_s = crowd.wait_ended(killed)
        restart()
        restarted = time.monotonic()
        first_s = self.until_served()
        crowd.wait_served()
        self.figure("until every user knew", noticed_s)
        self.figure("from the restart to the first user", first_s)
        self.figure("from the restart until every user was served", time.monotonic() - restarted)
        crowd.stop()
        self.figure("bytes checked", crowd.content, "bytes")


class KillTests(KillTestCase):
    """Users come to a port of the server."""

    def check_server(self, table: Table) -> None:
        """The server is killed."""
        server = self.start_server()
        self.publish_echo(table)
        self.check_killed(server, self.start_server)

    def check_client(self, table: Table) -> None:
        """The client is killed."""
        self.start_server()
        service = self.start_service()
        client = self.publish_echo(table, service)
        self.check_killed(client, lambda: self.publish_echo(table, service, wait=False))

    def test_server(self) -> None:
        """The server, with mux."""
        self.check_server(NOTHING)

    @takes_long
    def test_server_direct(self) -> None:
        """The server, without mux."""
        self.check_server(NO_MUX)

    @takes_long
    def test_client(self) -> None:
        """The client, with mux."""
        self.check_client(NOTHING)

    def test_client_direct(self) -> None:
        """The client, without mux."""
        self.check_client(NO_MUX)


class VisitedKillTests(KillTestCase):
    """Users come to a visitor's port."""

    skip = why_short()

    def setUp(self) -> None:
        """Starts all that it takes."""
        super().setUp()
        self.server = self.start_server()
        self.service = self.start_service()
        self.owner = self.own()
        self.owner.wait_for("start proxy success")
        self.visitor = self.visit()
        self.visitor.wait_for("start visitor success")

    def own(self) -> Program:
        """Who publishes the service."""
        return self.start_client(
            NO_MUX,
            [{"name": "secret", "type": "stcp", "localPort": self.service.port, "secretKey": SECRET_KEY}],
        )

    def visit(self) -> Program:
        """Who visits it."""
        return self.start_client(
            {"stateDir": str(self.folder / "visitor")},
            visitors=[
                {
                    "name": "visitor",
                    "type": "stcp",
                    "serverName": "secret",
                    "secretKey": SECRET_KEY,
                    "bindPort": self.port,
                }
            ],
        )

    def test_server(self) -> None:
        """The server, between the two."""
        self.check_killed(self.server, self.start_server)

    def test_owner(self) -> None:
        """The client that is visited."""
        self.check_killed(self.owner, self.own)

    def test_visitor(self) -> None:
        """The client that visits."""
        self.check_killed(self.visitor, self.visit)
