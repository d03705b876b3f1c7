"""A server that is started with sockets, as by a socket unit of systemd."""

from __future__ import annotations

import socket

from tests.integration.datagram_traffic import DatagramService, ask_all
from tests.integration.programs import Program, free_ports
from tests.integration.relays import TOKEN, RelayTestCase
from tests.integration.traffic import LOOPBACK, converse


class PassedSocketsTests(RelayTestCase):
    """The ports of a server that cannot open them itself: the test has them open."""

    def bound(self, kind: socket.SocketKind, port: int) -> socket.socket:
        """A socket for one of its ports."""
        plain = socket.socket(socket.AF_INET, kind)
        self.addCleanup(plain.close)
        plain.bind((LOOPBACK, port))
        if kind == socket.SOCK_STREAM:
            plain.listen()
        return plain

    def test_used(self) -> None:
        """Each socket is a port of who asks for that, again and again; it is told which ones wait."""
        port, unasked = free_ports(2)
        sockets = [
            self.bound(socket.SOCK_DGRAM, port),
            self.bound(socket.SOCK_STREAM, unasked),
            self.bound(socket.SOCK_STREAM, self.bind_port),
            self.bound(socket.SOCK_STREAM, port),
        ]
        configuration = {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": TOKEN}
        path = self.write_configuration(configuration)
        server = self.start_file(self.server_command, path, sockets)
        told = server.wait_for("wait for proxies with their ports: ")
        for each in (f"udp {LOOPBACK}:{port}", f"tcp {LOOPBACK}:{unasked}", f"tcp {LOOPBACK}:{port}"):
            self.assertIn(each, told)
        self.assertNotIn(str(self.bind_port), told.partition("ports: ")[2])
        for _ in range(2):
            client = self.publish_both(port)
            converse(port)
            ask_all(port, 2)
            client.kill()
            server.wait_for("client exit success")
        self.assertTrue({port, unasked, self.bind_port} <= server.listening_ports())

    def publish_both(self, port: int) -> Program:
        """A client with a proxy at the TCP port, and one at the UDP port."""
        datagrams = DatagramService()
        self.addCleanup(datagrams.stop)
        client = self.start_client(
            proxies=[
                {"name": "t", "type": "tcp", "localPort": self.start_service().port, "remotePort": port},
                {"name": "u", "type": "udp", "localPort": datagrams.port, "remotePort": port},
            ]
        )
        client.wait_for("start proxy success", 2)
        return client
