"""A program is killed and comes back: what its users notice, and how soon others are served."""

from __future__ import annotations

import time

from tests.integration.faults.case import FaultTestCase, takes_long
from tests.integration.relays import NOTHING, Table

USERS = 50

NO_MUX: Table = {"transport.tcpMux": False}


class KillTests(FaultTestCase):
    """SIGKILL under users who talk all the time."""

    def check_killed(self, which: str, table: Table = NOTHING) -> None:
        """Every user's connection ends, and every user is served again."""
        server = self.start_server()
        service = self.start_service()
        client = self.publish_echo(table, service)
        crowd = self.crowd(USERS)
        crowd.wait_served(30)
        program = server if which == "server" else client
        killed = time.monotonic()
        program.kill()
        noticed_s = crowd.wait_ended(killed, 30)
        if which == "server":
            self.start_server()
        else:
            self.publish_echo(table, service, wait=False)
        restarted = time.monotonic()
        first_s = self.until_served(30)
        crowd.wait_served(30)
        self.figure("until every user knew", noticed_s)
        self.figure("from the restart to the first user", first_s)
        self.figure("from the restart until every user was served", time.monotonic() - restarted)
        crowd.stop()
        self.figure("octets checked", crowd.octets, "octets")

    def test_server(self) -> None:
        """The server, with mux."""
        self.check_killed("server")

    @takes_long
    def test_server_direct(self) -> None:
        """The server, without mux."""
        self.check_killed("server", NO_MUX)

    @takes_long
    def test_client(self) -> None:
        """The client, with mux."""
        self.check_killed("client")

    def test_client_direct(self) -> None:
        """The client, without mux."""
        self.check_killed("client", NO_MUX)
