"""Stopping: with users who stay, and with a peer that is dead, it ends in order within its limit."""

from __future__ import annotations

import time

from relaykit.commands.runner import DRAIN_LIMIT_S
from tests.integration.faults.case import ALLOWANCE_S, FaultTestCase
from tests.integration.faults.test_broken_off import ORDER, Supplier
from tests.integration.faults.test_endurance import DIRECT
from tests.integration.programs import Program
from tests.integration.relays import Table
from tests.integration.traffic import dial, receive_exactly


class StoppingTests(FaultTestCase):
    """A user has a download, and does not read on."""

    def check_stop(self, table: Table, frozen: bool, stopped: str) -> None:
        """One of the two is stopped, with the other one alive or dead, and ends in order."""
        programs: dict[str, Program] = {"server": self.start_server()}
        programs["client"] = self.publish_echo(table, self.start_service(Supplier()))
        with dial(self.port) as user:
            user.sendall(ORDER)
            self.assertTrue(receive_exactly(user, 1))
            if frozen:
                (other,) = (program for name, program in programs.items() if name != stopped)
                other.freeze()
                self.addCleanup(other.thaw)
            # Queues fill up that nobody will empty.
            self.rest(1.0)
            began = time.monotonic()
            programs[stopped].terminate()
            self.assertEqual(programs[stopped].wait_for_end(), 0)
            took_s = time.monotonic() - began
        self.took(f"until the {stopped} had stopped", took_s, DRAIN_LIMIT_S + ALLOWANCE_S)

    def test_client(self) -> None:
        """The client, whose server lives."""
        self.check_stop({}, False, "client")

    def test_client_of_a_dead_server(self) -> None:
        """The client, whose server is dead."""
        self.check_stop({}, True, "client")

    def test_client_of_a_dead_server_direct(self) -> None:
        """The client, whose server is dead, without mux."""
        self.check_stop(DIRECT, True, "client")

    def test_server(self) -> None:
        """The server, whose client lives."""
        self.check_stop({}, False, "server")

    def test_server_of_a_dead_client(self) -> None:
        """The server, whose client is dead."""
        self.check_stop({}, True, "server")
