"""``xtcp`` between clients of frp's that our server brings together; no byte of theirs passes through it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import product

from attrs import frozen

from tests.integration.programs import PATIENCE_S, Program, free_ports, frp_command, missing_frp
from tests.integration.relays import SECRET_KEY, RelayTestCase, Table
from tests.integration.scenarios import test_each
from tests.integration.traffic import LOOPBACK, receive_exactly

SENT = os.urandom(200_000)
"""What a user sends, and gets back: many datagrams."""


@frozen
class Pair:
    """Two clients of frp's that speak this version of the wire, with this protocol on their path."""

    wire: str
    protocol: str

    @property
    def name(self) -> str:
        """For the names of tests."""
        return f"{self.wire}_{self.protocol}"


def pairs() -> Iterator[Pair]:
    """All of them."""
    for wire, protocol in product(("v1", "v2"), ("quic", "kcp")):
        yield Pair(wire, protocol)


@test_each("check_pair", pairs())
class FrpPairTests(RelayTestCase):
    """Two clients of frp's, our server, which is their STUN server, too, and a service that echoes."""

    skip = missing_frp()

    def setUp(self) -> None:
        """Starts the server and the service."""
        super().setUp()
        self.server = self.start_server({"log.level": "debug"})
        self.service = self.start_service()
        (self.port,) = free_ports(1)

    def client(self, pair: Pair, proxies: list[Table], visitors: list[Table]) -> Program:
        """One of the clients."""
        table = {
            "transport.wireProtocol": pair.wire,
            "natHoleStunServer": f"{LOOPBACK}:{self.bind_port}",
            "log.level": "debug",
        }
        return self.start_client(table, proxies, visitors, command=frp_command("frpc"))

    def provide(self, pair: Pair) -> None:
        """The proxy, ready."""
        proxy = {"name": "direct", "type": "xtcp", "localPort": self.service.port, "secretKey": SECRET_KEY}
        self.client(pair, [proxy], []).wait_for("start proxy success")

    def visit(self, pair: Pair, secret: str = SECRET_KEY) -> Program:
        """A visitor of it, ready."""
        visitor = {
            "name": "visitor",
            "type": "xtcp",
            "serverName": "direct",
            "secretKey": secret,
            "protocol": pair.protocol,
            "bindPort": self.port,
        }
        visiting = self.client(pair, [], [visitor])
        visiting.wait_for("start visitor success")
        return visiting

    def user(self) -> socket.socket:
        """Somebody at the visitor's port."""
        user = socket.create_connection((LOOPBACK, self.port), PATIENCE_S)
        self.addCleanup(user.close)
        return user

    def check_pair(self, pair: Pair) -> None:
        """Users get through a hole what the service says, one after the other on one path."""
        self.provide(pair)
        visiting = self.visit(pair)
        for _ in range(3):
            user = self.user()
            user.sendall(SENT)
            self.assertEqual(receive_exactly(user, len(SENT)), SENT)
            user.close()
        visiting.wait_for("establishing nat hole connection successful")
        self.server.wait_for("both ends have it")
        self.assertEqual(visiting.output.count("establishing nat hole connection successful"), 1)
        self.assertNotIn("get a user connection", self.server.output)

    def test_wrong_secret(self) -> None:
        """A visitor that does not know the secret is told so in frp's words, and its user is let go."""
        pair = Pair("v2", "quic")
        self.provide(pair)
        visiting = self.visit(pair, "another secret")
        self.user()
        visiting.wait_for("xtcp connection of [direct] auth failed")

    def test_no_such_proxy(self) -> None:
        """A visitor of a proxy that is not there is told so in frp's words."""
        visiting = self.visit(Pair("v1", "kcp"))
        self.user()
        visiting.wait_for("xtcp server for [direct] doesn't exist")
