"""A proxy whose local service is its own port of the server, as a wrong number makes it."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.programs import PATIENCE_S, Program, free_ports, relaykit_command
from tests.integration.traffic import LOOPBACK, end_of

SERVER = """
bindAddr = "{host}"
bindPort = {port}
auth.token = "a token"
"""

CLIENT = """
serverAddr = "{host}"
serverPort = {port}
auth.token = "a token"

[[proxies]]
name = "own"
type = "tcp"
localPort = {own}
remotePort = {own}
"""

FEW = 16
"""Descriptors beside those of a client without users: far fewer than a user without end would take."""


class LeadsBackTests(SynchronousTestCase):
    """One user takes the descriptors of one user."""

    def test_own_port(self) -> None:
        """A user is let go at once, with the reason in the client's log, and all is as before."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        port, own = free_ports(2)
        for role, text in (("server", SERVER), ("client", CLIENT)):
            (folder / f"{role}.toml").write_text(text.format(host=LOOPBACK, port=port, own=own))
        programs = []
        for role, ready in (("server", "started successfully"), ("client", "start proxy success")):
            words = (role, f"{role}.toml", "--state-dir", f"{role}-state")
            programs.append(Program(relaykit_command(*words), folder))
            self.addCleanup(programs[-1].stop)
            programs[-1].wait_for(ready)
        server, client = programs
        before = client.descriptors()
        for _ in range(3):
            with socket.create_connection((LOOPBACK, own), PATIENCE_S) as user:
                user.sendall(b"hello")
                self.assertEqual(end_of(user), b"")
        client.wait_for("the local service is a port that leads back here", 3)
        self.assertLess(client.descriptors(), before + FEW)
        self.assertNotIn("open files", server.output + client.output)
