"""Servers by names that only the name server of the test knows."""

from __future__ import annotations

from typing import Any

from twisted.names.dns import Record_A, Record_SRV

from tests.integration.forward_proxies import NotingProxy
from tests.integration.names import Names
from tests.integration.programs import Program, free_port
from tests.integration.relays import RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse


class ServerNameTests(RelayTestCase):
    """One client of ours, one server of ours."""

    def setUp(self) -> None:
        """Runs both ends of it, but for the client."""
        super().setUp()
        self.start_server()
        self.port = free_port()
        service = b"_relaykit._tcp.example"
        self.names = Names(
            {
                (b"relay.example", Record_A.TYPE): [Record_A(LOOPBACK)],
                (service, Record_SRV.TYPE): [
                    Record_SRV(0, 0, free_port(), b"relay.example"),
                    Record_SRV(1, 0, self.bind_port, b"relay.example"),
                ],
            }
        )
        self.addCleanup(self.names.stop)

    def start_named(self, **table: object) -> Program:
        """A client that asks the name server of the test."""
        keys: Table = {"dnsServer": f"{LOOPBACK}:{self.names.port}", "loginFailExit": True, **table}
        proxy = {
            "name": "open",
            "type": "tcp",
            "localPort": self.start_service().port,
            "remotePort": self.port,
        }
        return self.start_client(keys, [proxy])

    def check_served(self, client: Program) -> None:
        """A user is served."""
        client.wait_for("start proxy success")
        converse(self.port)

    def test_name_server(self) -> None:
        """The server's name is looked up where the file says; one that is not known there is told so."""
        self.check_served(self.start_named(serverAddr="relay.example"))
        client = self.start_named(serverAddr="other.example")
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn(f"the name server {LOOPBACK}:{self.names.port} knows no such name", client.output)

    def test_service(self) -> None:
        """A record names host and port; where nobody is at the first the next one is tried."""
        table: dict[str, Any] = {"serverAddr": "_relaykit._tcp.example"}
        # The port comes with the record: the file has none.
        self.check_served(self.start_named(**table, serverPort=0))

    def test_service_through_a_proxy(self) -> None:
        """A proxy is asked for what the record names."""
        proxy = NotingProxy((LOOPBACK, self.bind_port), lambda head: [b"HTTP/1.1 200 OK\r\n\r\n"])
        self.addCleanup(proxy.stop)
        table: dict[str, Any] = {"transport.proxyURL": f"http://{LOOPBACK}:{proxy.port}"}
        self.check_served(self.start_named(serverAddr="_relaykit._tcp.example", serverPort=0, **table))
        self.assertIn(b"CONNECT relay.example:", proxy.asked[0])
