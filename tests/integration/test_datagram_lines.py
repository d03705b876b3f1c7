"""The howtos about UDP, and one-line commands for datagrams, with our programs."""

from __future__ import annotations

from pathlib import Path

from tests.integration.datagram_traffic import DatagramService, ask_all
from tests.integration.programs import Program, free_port, free_ports
from tests.integration.traffic import LOOPBACK
from tests.integration.walkthrough import HOST, WalkTestCase


class DatagramLinesTests(WalkTestCase):
    """Has a server whose token is in a file, and a local service that echoes."""

    def setUp(self) -> None:
        """Starts them."""
        super().setUp()
        # The STUN service of the server has the UDP ports of its number and of the next one.
        self.bind_port, _, self.remote_port = free_ports(3)
        self.service = DatagramService()
        self.addCleanup(self.service.stop)
        self.replace(
            "relaykit server --quick", f"relaykit server --quick --host {HOST} --port {self.bind_port}"
        )
        server = self.begin(self.listing("five-minutes/server.sh"))
        kept = server.wait_for("TOKEN is in ").removeprefix("TOKEN is in ").partition(";")[0]
        (self.folder / "token").write_text(Path(kept).read_text())

    def started(self, name: str, command: str, port: int) -> Program:
        """Starts a listing of a howto, that publishes this port."""
        line = self.listing(name).replace(HOST, f"{LOOPBACK}:{self.bind_port}")
        line = line.replace(f"{command} {port} ", f"{command} {self.service.port} ")
        return self.begin(line.replace(f"--remote-port {port}", f"--remote-port {self.remote_port}"))

    def test_secret(self) -> None:
        """A flag makes the lines of secret services those of secret datagrams; one hints at the other."""
        visiting = free_port()
        owner = self.started("wireguard/secret.sh", "secret", 51820)
        opened = owner.wait_for("[wireguard] open: on the other machine: ")
        self.assertIn(f"relaykit visit --udp wireguard --port {self.service.port} ", opened)
        self.replace("51821", visiting)
        visitor = self.started("wireguard/visit.sh", "visit", 51821)
        self.assertIn(f"open: {LOOPBACK}:{visiting} -> wireguard", visitor.wait_for("open: "))
        ask_all(visiting, users=10, size=1420)

    def test_publish(self) -> None:
        """One line publishes a local service that takes datagrams, and its users are told apart."""
        for name, port in (("game-server/line.sh", 34197), ("wireguard/relay.sh", 51820)):
            line = self.started(name, "udp", port)
            opened = line.wait_for("open: ")
            self.assertIn(f"open: {LOOPBACK}:{self.remote_port} -> {LOOPBACK}:{self.service.port}", opened)
            ask_all(self.remote_port, users=10, size=1420)
            line.stop()
