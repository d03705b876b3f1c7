"""A program is killed and comes back: what its users notice, and how soon others are served."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.faults.case import FaultTestCase, why_short
from tests.integration.programs import Program
from tests.integration.relays import SECRET_KEY, Table, Way
from tests.integration.scenarios import EACH_CONNECTION, EVERY_CARRIER, test_each

USERS = 50

INTERVAL_S = 2
"""Seconds between signs of life, where nothing else tells that a server is gone."""

NO_MUX: Table = {"transport.tcpMux": False}


class KillTestCase(FaultTestCase):
    """SIGKILL under users who talk all the time."""

    def check_killed(self, program: Program, restart: Callable[[], object], is_told: bool = True) -> None:
        """Every user's connection ends, and every user is served again.

        :param is_told: whether the system tells the other end; else the one that comes back does.
        """
        crowd = self.crowd(USERS)
        crowd.wait_served()
        killed = time.monotonic()
        program.kill()
        if is_told:
            crowd.wait_ended(killed)
        restart()
        restarted = time.monotonic()
        noticed_s = crowd.wait_ended(killed)
        first_s = self.until_served()
        crowd.wait_served()
        self.figure("until every user knew", noticed_s)
        self.figure("from the restart to the first user", first_s)
        self.figure("from the restart until every user was served", time.monotonic() - restarted)
        crowd.stop()
        self.figure("bytes checked", crowd.content, "bytes")


@test_each("check_server", [EVERY_CARRIER[0], EVERY_CARRIER[3]])
@test_each("check_server", [*EVERY_CARRIER[1:3], EVERY_CARRIER[4], *EACH_CONNECTION], why_short())
@test_each("check_client", EACH_CONNECTION[:1])
@test_each("check_client", EVERY_CARRIER + EACH_CONNECTION[1:], why_short())
class KillTests(KillTestCase):
    """Users come to a port of the server."""

    def check_server(self, way: Way) -> None:
        """The server is killed."""
        server = self.begin_server(way)
        self.publish_echo({**way.client, **way.client_pings(INTERVAL_S)})
        self.check_killed(server, lambda: self.begin_server(way), way.tells_ends)

    def check_client(self, way: Way) -> None:
        """The client is killed."""
        self.begin_server(way)
        service = self.start_service()
        client = self.publish_echo(way.client, service)
        self.check_killed(client, lambda: self.publish_echo(way.client, service, wait=False), way.tells_ends)

    def begin_server(self, way: Way) -> Program:
        """One for such clients."""
        return self.start_server(way.server(self.bind_port))


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
