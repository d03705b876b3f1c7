"""The proxy type ``tcpmux`` on real sockets: with frp at one end, and with programs that use CONNECT."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
from collections.abc import Sequence

from relaykit.proxies.tcpmux import CONNECTED, NOT_FOUND, UNAUTHORIZED
from tests.integration.programs import PATIENCE_S, Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way, every_way
from tests.integration.scenarios import OVER_DATAGRAMS, SOME_WEBSOCKETS, test_each
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    LOOPBACK,
    dial,
    end_of,
    receive,
    receive_exactly,
    send,
    take_head,
)
from tests.integration.walkthrough import need

NAME_BYTES = 16
"""A service says its name first, so long."""

EACH_WAY_BYTES = 1024 * 1024
"""What goes each way then."""


def connect(host: str, user: str = "") -> bytes:
    """A request for a tunnel, by a user that is given with its password."""
    said = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n" if user else ""
    return f"CONNECT {host}:22 HTTP/1.1\r\nHost: {host}:22\r\n{said}\r\n".encode()


class TcpmuxTestCase(RelayTestCase):
    """Services behind one port."""

    def setUp(self) -> None:
        """Chooses the port."""
        super().setUp()
        self.port = free_port()

    def start_multiplexer(self, table: Table = NOTHING) -> Program:
        """A server with the port."""
        return self.start_server({"tcpmuxHTTPConnectPort": self.port, **table})

    def proxy(self, name: str, domains: Sequence[str], **more: object) -> Table:
        """A service that says its name, takes so many bytes, and sends as many; the table of its proxy."""

        def serve(connection: socket.socket) -> None:
            connection.sendall(name.ljust(NAME_BYTES).encode())
            receive(connection, FROM_USER, EACH_WAY_BYTES)
            send(connection, FROM_SERVICE, EACH_WAY_BYTES)
            end_of(connection)

        return {
            "name": name,
            "type": "tcpmux",
            "multiplexer": "httpconnect",
            "localPort": self.start_service(serve).port,
            "customDomains": list(domains),
            **more,
        }

    def visit(self, host: str, user: str = "") -> str:
        """The name of the service that a user gets, after much has gone both ways."""
        with dial(self.port) as connection:
            connection.sendall(connect(host, user))
            self.assertEqual(receive_exactly(connection, len(CONNECTED)), CONNECTED)
            said = receive_exactly(connection, NAME_BYTES).decode().strip()
            send(connection, FROM_USER, EACH_WAY_BYTES)
            receive(connection, FROM_SERVICE, EACH_WAY_BYTES)
        return said

    def answer_to(self, data: bytes) -> bytes:
        """All that comes back to who says this."""
        with dial(self.port) as user:
            user.sendall(data)
            return end_of(user)

    def check_traffic(self, way: Way) -> None:
        """Users get the service of the host and the user that they name; others are told what is wrong."""
        self.start_multiplexer({**way.server(self.bind_port), "subDomainHost": "sub.example"})
        client = self.start_client(
            way.client,
            [
                self.proxy("all", ["a.example", "*.b.example"], subdomain="one", **way.flow),
                self.proxy("bob", ["a.example"], routeByHTTPUser="bob", **way.flow),
                self.proxy("auth", ["c.example"], httpUser="u", httpPassword="p", **way.flow),
            ],
        )
        client.wait_for("start proxy success", 3)
        for host, user, name in (
            ("a.example", "", "all"),
            ("x.b.example", "eve:x", "all"),
            ("one.sub.example", "", "all"),
            ("a.example", "bob:x", "bob"),
            ("c.example", "u:p", "auth"),
        ):
            self.assertEqual(self.visit(host, user), name)
        not_found, unauthorized = (
            self.answer_to(connect(*each)) for each in (("b.example",), ("c.example",))
        )
        self.assertTrue(not_found.startswith(b"HTTP/1.1 404 Not Found\r\n"), not_found)
        # Frp says before that the tunnel were there.
        self.assertEqual(unauthorized.removeprefix(CONNECTED), UNAUTHORIZED)
        for nonsense in (b"HELLO\r\n\r\n", b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"):
            self.assertEqual(self.answer_to(nonsense), b"")

    def check_passthrough(self, way: Way) -> None:
        """With passthrough the service gets the request, and what came with it, and answers itself."""
        early = connect("a.example") + b"EARLY"

        def serve(connection: socket.socket) -> None:
            if receive_exactly(connection, len(early)) == early:
                connection.sendall(b"HTTP/1.1 299 By The Service\r\n\r\n")

        self.start_multiplexer({**way.server(self.bind_port), "tcpmuxPassthrough": True})
        service = self.start_service(serve)
        proxy = {**self.proxy("a", ["a.example"], **way.flow), "localPort": service.port}
        self.start_client(way.client, [proxy]).wait_for("start proxy success")
        self.assertEqual(self.answer_to(early), b"HTTP/1.1 299 By The Service\r\n\r\n")


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS))
@test_each("check_passthrough", every_way("v2", transforms=(False,)))
class OursTests(TcpmuxTestCase):
    """Both ends are ours."""

    def test_answers(self) -> None:
        """Our answers are complete, and come first; bytes behind the request are the service's."""
        heard: list[bytes] = []
        early = b"SSH-2.0-early\r\n"

        def serve(connection: socket.socket) -> None:
            heard.append(receive_exactly(connection, len(early)))

        self.start_multiplexer()
        service = self.start_service(serve)
        proxy = {**self.proxy("a", ["a.example"], httpPassword="p"), "localPort": service.port}
        self.start_client({}, [proxy]).wait_for("start proxy success")
        self.assertEqual(self.answer_to(connect("a.example") + early), UNAUTHORIZED)
        self.assertEqual(self.answer_to(connect("b.example") + early), NOT_FOUND)
        self.assertEqual(self.answer_to(connect("a.example", ":p") + early), CONNECTED)
        service.wait_served(1)
        self.assertEqual(heard, [early])

    def test_shared(self) -> None:
        """The port may be the one that clients dial, or that of another proxy type."""
        for port in (self.bind_port, self.port):
            with self.subTest(port):
                self.port = port
                server = self.start_multiplexer({"vhostHTTPSPort": port} if port != self.bind_port else {})
                client = self.start_client({}, [self.proxy("a", ["a.example"])])
                client.wait_for("start proxy success")
                self.assertEqual(self.visit("a.example"), "a")
                client.stop()
                server.stop()

    def test_curl(self) -> None:
        """Curl takes the server for a proxy that it has to tell who it is."""
        need("curl")

        def serve(connection: socket.socket) -> None:
            take_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        self.start_multiplexer()
        service = self.start_service(serve)
        proxy = self.proxy("a", ["a.example"], httpUser="u", httpPassword="p")
        self.start_client({}, [{**proxy, "localPort": service.port}]).wait_for("start proxy success")
        curl = ("curl", "-sS", "--proxytunnel", "-x", f"http://{LOOPBACK}:{self.port}")
        for more, status, text in (
            (("-U", "u:p", "http://a.example:8080/"), 0, "hello"),
            (("-U", "u:x", "http://a.example:8080/"), 56, "407"),
            (("http://b.example/",), 56, "404"),
        ):
            done = subprocess.run(
                (*curl, *more),
                # Without the settings and the proxies of whoever runs these tests.
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_S,
                check=False,
            )
            self.assertEqual(done.returncode, status, done.stdout)
            self.assertIn(text, done.stdout.decode())


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS))
@test_each("check_passthrough", every_way("v1", transforms=(False,)))
class FrpcTests(TcpmuxTestCase):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS))
@test_each("check_passthrough", every_way("v1", transforms=(False,)))
class FrpsTests(TcpmuxTestCase):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")


class GroupTests(TcpmuxTestCase):
    """Members of a group that are ours and frp's, at our server."""

    skip = missing_frp()

    def test_turns(self) -> None:
        """Users get each of them in turn; who has another password is refused."""
        self.start_multiplexer()
        more = {
            "httpUser": "u",
            "httpPassword": "p",
            "loadBalancer": {"group": "g", "groupKey": "k"},
        }
        for name, command, wire in (
            ("ours", self.client_command, "v2"),
            ("frpc-v1", frp_command("frpc"), "v1"),
            ("frpc-v2", frp_command("frpc"), "v2"),
        ):
            member = self.proxy(name, ["a.example"], **more)
            client = self.start_client({"transport.wireProtocol": wire}, [member], command=command)
            client.wait_for("start proxy success")
        self.assertEqual(
            [self.visit("a.example", "u:p") for _ in range(6)], 2 * ["ours", "frpc-v1", "frpc-v2"]
        )
        for command in (self.client_command, frp_command("frpc")):
            other = self.proxy("other", ["a.example"], **{**more, "httpPassword": "x"})
            client = self.start_client({}, [other], command=command)
            client.wait_for("group params invalid")
            client.stop()
