"""Dials of ports in the range that the system takes its own ports from: a dial may meet itself.

The range is that of a network namespace of this test's own, and so small that each dial does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.errors import RelaykitError
from tests.integration.faults.wires import missing_namespaces
from tests.integration.programs import PATIENCE_S, Program, relaykit_command
from tests.integration.traffic import LOOPBACK, end_of
from tests.natlab.namespaces import entered, ip_batch, run, within

SERVER_PORT, TCP_PORT, UDP_PORT, USER_PORT = 17000, 16000, 16001, 15000
"""Ports outside of every range here; the namespace has all of them to itself."""

DEAD_PORT = 40010
"""Where nobody listens."""

SERVER = f"""
bindAddr = "{LOOPBACK}"
bindPort = {{port}}
auth.token = "a token"
"""

CLIENT = f"""
serverAddr = "{LOOPBACK}"
serverPort = {{port}}
auth.token = "a token"

[[proxies]]
name = "tcp"
type = "tcp"
localPort = {DEAD_PORT}
remotePort = {TCP_PORT}

[[proxies]]
name = "udp"
type = "udp"
localPort = {DEAD_PORT}
remotePort = {UDP_PORT}
"""


class SelfConnectionTests(SynchronousTestCase):
    """A dial that met itself is one that was refused."""

    def setUp(self) -> None:
        """Makes the namespace."""
        reason = missing_namespaces()
        if reason:
            raise SkipTest(reason)
        self.name = f"rkself{os.getpid()}"
        run(["ip", "netns", "add", self.name])
        self.addCleanup(run, ["ip", "netns", "del", self.name], check=False)
        ip_batch(["link set lo up"], self.name)
        self.own_ports(32768, 60999)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def own_ports(self, first: int, last: int) -> None:
        """Sets the range that the system chooses from."""
        where = "/proc/sys/net/ipv4/ip_local_port_range"
        try:
            run([*within(self.name), "sh", "-c", f"echo {first} {last} > {where}"])
        except RelaykitError as error:
            raise SkipTest(f"the range of local ports cannot be set here: {error}") from error

    def program(self, role: str, port: int) -> Program:
        """Starts one role; it is stopped at the end."""
        text = {"server": SERVER, "client": CLIENT}[role].format(port=port)
        (self.folder / f"{role}.toml").write_text(text)
        words = ("-c", f"{role}.toml", "--state-dir", f"{role}-state")
        command: Sequence[str] = [*within(self.name), *relaykit_command(role, *words)]
        program = Program(command, self.folder)
        self.addCleanup(program.stop)
        return program

    def test_local_service(self) -> None:
        """Users hear nothing of what they say themselves, and the service can start while they come."""
        server = self.program("server", SERVER_PORT)
        server.wait_for("started successfully")
        client = self.program("client", SERVER_PORT)
        client.wait_for("start proxy success", 2)
        self.own_ports(DEAD_PORT, DEAD_PORT)
        with entered(self.name):
            for number in range(3):
                where, own = (LOOPBACK, TCP_PORT), (LOOPBACK, USER_PORT + number)
                with socket.create_connection(where, PATIENCE_S, own) as user:
                    user.sendall(b"a password")
                    self.assertEqual(end_of(user), b"")
            with socket.socket(type=socket.SOCK_DGRAM) as user:
                user.bind((LOOPBACK, USER_PORT))
                user.sendto(b"a password", (LOOPBACK, UDP_PORT))
                client.wait_for(f"[udp:{LOOPBACK}:{DEAD_PORT}] error: ")
            with socket.socket() as service:
                service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                service.bind((LOOPBACK, DEAD_PORT))
        refused = f"cannot connect to {LOOPBACK}:{DEAD_PORT}: connection refused"
        self.assertEqual(client.output.count(refused), 4, client.output)

    def test_server(self) -> None:
        """A client takes no connection to itself for one to its server, and finds that when it is there."""
        self.own_ports(DEAD_PORT, DEAD_PORT)
        client = self.program("client", DEAD_PORT)
        said = client.wait_for("connect to server error", 2)
        self.assertIn(f"cannot connect to {LOOPBACK}:{DEAD_PORT}: connection refused", said)
        self.own_ports(32768, 60999)
        self.program("server", DEAD_PORT)
        client.wait_for("login to server success")
