"""Names that are as long as a message, and texts for terminals, from clients, strangers and servers."""

from __future__ import annotations

import contextlib
import socket
import time

from relaykit.sansio.control import events
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.messages import (
    MOST_NAME,
    Login,
    LoginResp,
    NewVisitorConn,
    NewWorkConn,
    StartWorkConn,
)
from tests.integration.peers import FalseServer, HandClient, answer_of
from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command
from tests.integration.relays import RelayTestCase, Table
from tests.integration.traffic import converse, dial, end_of, receive_exactly

LONGEST = "<" * MOST_NAME
"""The longest name that there is; each letter has six bytes in JSON."""

TOO_LONG = "<" * 1600
"""One that fits into a request of version 1, and hardly into an answer."""

ATTACK = "no\x1b[2J\x1b]0;title\x07\x1b]52;c;eA==\x07\r\n2026-01-01 00:00:00.000 [I] forged"
"""Clears the screen, sets title and clipboard, and begins a line."""

PLAIN: Table = {
    "transport.tls.enable": False,
    "transport.tcpMux": False,
    "transport.wireProtocol": "v1",
}


class LongNameTests(RelayTestCase):
    """A server whose clients and strangers have names without end."""

    server_command = relaykit_command("server")

    def setUp(self) -> None:
        """Starts a server with a client that is served all the time."""
        super().setUp()
        self.server = self.start_server({"auth.bound": "off", "transport.tcpMux": False})
        self.port = free_port()
        client = self.start_client(
            {"transport.tcpMux": False},
            [
                {
                    "name": "echo",
                    "type": "tcp",
                    "localPort": self.start_service().port,
                    "remotePort": self.port,
                }
            ],
        )
        client.wait_for("start proxy success")
        self.sockets = self.server.sockets()

    def check_nothing_left(self) -> None:
        """No connection of the server is left, and who was served is served."""
        converse(self.port)
        deadline = time.monotonic() + PATIENCE_S
        while self.server.sockets() > self.sockets:
            self.assertLess(time.monotonic(), deadline, "some are left")
            time.sleep(0.05)

    def say(self, content: bytes) -> bytes:
        """What is answered to a first message."""
        with dial(self.bind_port) as peer, contextlib.suppress(ConnectionError):
            peer.sendall(content)
            return end_of(peer)
        return b""

    def test_before_login(self) -> None:
        """Strangers with names that do not fit into the answer get none of them back."""
        for _ in range(20):
            for message in (
                NewVisitorConn(run_id=TOO_LONG, proxy_name="x"),
                NewVisitorConn(run_id=LONGEST, proxy_name=LONGEST),
                NewVisitorConn(proxy_name=TOO_LONG),
                NewWorkConn(run_id=TOO_LONG),
                NewWorkConn(run_id=LONGEST),
            ):
                answer = self.say(encode_v1(message))
                self.assertLess(len(answer), 6 * MOST_NAME + 1000)
        self.check_nothing_left()

    def test_run_id(self) -> None:
        """A run id that does not fit into the answer leaves no session behind."""
        for _ in range(20):
            body = encode_v1(Login(run_id=TOO_LONG, version="0"))
            self.assertEqual(self.say(body), b"")
        client = HandClient(self.bind_port, Login(version="0", run_id=LONGEST, user=LONGEST))
        client.socket.close()
        self.check_nothing_left()

    def test_proxy_name(self) -> None:
        """Users of a proxy with the longest name are served; one with a longer name is none."""
        port = free_port()
        client = HandClient(self.bind_port)
        client.register(LONGEST, "tcp", {"remote_port": port})
        self.assertEqual(client.wait_for(events.ProxyRegistered).name, LONGEST)
        users = [dial(port) for _ in range(50)]
        client.wait_for(events.WorkRequested)
        with dial(self.bind_port) as work:
            work.sendall(encode_v1(NewWorkConn(run_id=client.run_id)))
            head = receive_exactly(work, 9)
            assigned = answer_of(head + receive_exactly(work, int.from_bytes(head[1:])))
            assert isinstance(assigned, StartWorkConn)
            self.assertEqual(assigned.proxy_name, LONGEST)
        # This one would fit into the answer, and not into the message that tells of a user.
        client.register("x" * 10_150, "tcp", {"remote_port": free_port()})
        end_of(client.socket)
        for user in users:
            end_of(user)
            user.close()
        client.socket.close()
        self.check_nothing_left()

    def test_empty_name(self) -> None:
        """A proxy without a name is refused, as its own client's file would be."""
        client = HandClient(self.bind_port)
        client.register("", "tcp", {"remote_port": free_port()})
        self.assertIn("name: must be given", client.wait_for(events.ProxyRefused).text)
        client.socket.close()


class HostileServerTests(RelayTestCase):
    """Whoever answers in the server's place says something to the terminal."""

    def refused(self, command: tuple[str, ...], table: Table) -> Program:
        """A client that this server does not let in."""

        def refuse(client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(encode_v1(LoginResp(error=ATTACK)))
            end_of(client)

        server = FalseServer(refuse)
        self.addCleanup(server.stop)
        return self.start_client({**PLAIN, "serverPort": server.port, **table}, command=command)

    def test_refused_login(self) -> None:
        """The reason of a refused login is shown with escapes, in one line, whatever shows it."""
        for command, table in (
            (relaykit_command("client"), {"loginFailExit": True}),
            (relaykit_command("frpc"), {}),
        ):
            client = self.refused(command, table)
            self.assertEqual(client.wait_for_end(), 1)
            self.assertIn("no\\x1b[2J\\x1b]0;title\\x07", client.output)
            # The log of frpc has colors of its own.
            for control in ("\x1b[2J", "\x1b]", "\x07", "\r"):
                self.assertNotIn(control, client.output)
            self.assertFalse([line for line in client.output.splitlines() if line.startswith("2026-01-01 ")])
