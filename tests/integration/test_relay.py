"""Our server and our client, as programs of their own."""

from __future__ import annotations

import socket
import threading

from tests.integration.programs import Program, free_port, relaykit_command
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way, every_way
from tests.integration.scenarios import (
    EACH_CONNECTION,
    ENOUGH_BYTES,
    EVERY_CARRIER,
    MUCH_BYTES,
    SOME_WAYS,
    SOME_WEBSOCKETS,
    SOME_WSS,
    EveryPair,
    test_each,
)
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    LOOPBACK,
    converse,
    dial,
    end_of,
    obey,
    order_download,
    receive,
    receive_exactly,
    send,
)


@test_each("check_traffic", (*every_way("v1", "v2"), *SOME_WEBSOCKETS, *SOME_WSS))
@test_each("check_one_direction_ends", every_way("v1", transforms=[False]))
@test_each("check_server_killed", SOME_WAYS + SOME_WEBSOCKETS[2:] + SOME_WSS)
@test_each("check_client_killed", SOME_WAYS + SOME_WEBSOCKETS[:2] + SOME_WSS)
class OurPairTests(EveryPair):
    """Both ends are ours."""

    def bytes_of(self, way: Way) -> int:
        """Much only where nothing but our own speed limits it; against frp all ways are tried with much."""
        return MUCH_BYTES if way.wire == "v2" and not way.transforms else ENOUGH_BYTES


ANSWER = b"all of it arrived, and you had ended before this was sent"


@test_each("check_half_close", every_way("auto"))
@test_each("check_half_close", every_way("auto", transforms=[False], carrier="websocket"))
@test_each("check_half_close", [Way("auto", True, mux, carrier="wss") for mux in (False, True)])
@test_each("check_half_close", EVERY_CARRIER[-2:] + EACH_CONNECTION[-1:])
class HalfCloseTests(RelayTestCase):
    """Where both ends are ours, the end of one direction does not end the other."""

    def check_half_close(self, way: Way) -> None:
        """Who has said all, and says so, still hears the other: the user, then the service."""

        def serve(connection: socket.socket) -> None:
            receive(connection, FROM_USER, ENOUGH_BYTES)
            self.assertEqual(connection.recv(1), b"")
            connection.sendall(ANSWER)

        def serve_in_turn(connection: socket.socket) -> None:
            connection.sendall(ANSWER)
            connection.shutdown(socket.SHUT_WR)
            receive(connection, FROM_USER, ENOUGH_BYTES)
            self.assertEqual(connection.recv(1), b"")

        turns = iter((serve, serve, serve_in_turn, serve_in_turn))
        service = self.start_service(lambda connection: next(turns)(connection))
        self.start_server(way.server(self.bind_port))
        published = self.publish(way, service)
        for port in (published.tcp, published.stcp):
            with dial(port) as user:
                send(user, FROM_USER, ENOUGH_BYTES)
                user.shutdown(socket.SHUT_WR)
                self.assertEqual(end_of(user), ANSWER)
        for port in (published.tcp, published.stcp):
            with dial(port) as user:
                self.assertEqual(end_of(user), ANSWER)
                send(user, FROM_USER, ENOUGH_BYTES)
        service.wait_served(4)


class SpeedTests(RelayTestCase):
    """The slow end decides, and loses nothing."""

    def check_slow_reader(self, way: Way) -> None:
        """A user who reads little at a time, through a small window, gets every byte."""
        service = self.start_service(obey)
        self.start_server()
        published = self.publish(way, service)
        order_download(published.tcp, ENOUGH_BYTES, piece=997, buffers=4096)
        order_download(published.stcp, ENOUGH_BYTES, piece=997, buffers=4096)

    def test_slow_reader_mux(self) -> None:
        """A user who reads little at a time, through a small window, gets every byte."""
        self.check_slow_reader(Way("v2", tls=True, mux=True))

    def test_slow_reader_direct(self) -> None:
        """The same where each user has a connection, and the kernel moves the bytes."""
        self.check_slow_reader(Way("v2", tls=False, mux=False))

    def test_slow_reader_websocket(self) -> None:
        """The same over WebSocket."""
        self.check_slow_reader(Way("v2", tls=False, mux=False, carrier="websocket"))

    def test_slow_reader_transforms(self) -> None:
        """The same through encryption and compression."""
        self.check_slow_reader(Way("v2", tls=False, mux=True, transforms=True))


class MagicCloser:
    """A server that knows only wire v1, as far as a client can tell: in front of one that knows both."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        self.closed = 0
        """Connections that began with the magic of wire v2."""
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Takes no more connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if client.recv(3, socket.MSG_PEEK) == b"FRP":
                self.closed += 1
                client.close()
                continue
            server = socket.create_connection((LOOPBACK, self._port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=[source, target], daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()


class AutoTests(RelayTestCase):
    """``transport.wireProtocol = "auto"``, the default."""

    def test_old_server(self) -> None:
        """A server that closes on wire v2 is spoken to in v1, at once."""
        self.start_server()
        front = MagicCloser(self.bind_port)
        self.addCleanup(front.stop)
        way = Way("auto", tls=False, mux=False)
        client = self.start_client(
            {**way.client, "serverPort": front.port},
            [{"name": "a", "type": "tcp", "localPort": self.start_service().port, "remotePort": free_port()}],
        )
        client.wait_for("start proxy success")
        self.assertEqual(front.closed, 1)

    def test_both_versions_at_one_server(self) -> None:
        """One server serves clients of every kind at the same time."""
        self.start_server()
        service = self.start_service()
        ports = []
        for number, way in enumerate(every_way("v1", "auto", transforms=[False])):
            port = free_port()
            self.start_client(
                {**way.client, "user": f"user{number}"},
                [{"name": "a", "type": "tcp", "localPort": service.port, "remotePort": port}],
            ).wait_for("start proxy success")
            ports.append(port)
        for port in ports:
            converse(port)


LITTLE_BYTES = 10_000
"""What any buffer on the way takes whole."""


class DrainTests(RelayTestCase):
    """SIGTERM ends a program after the flows that are running, and lets nobody new in."""

    server_command = relaykit_command("server")
    client_command = relaykit_command("client")

    def check_drained(self, way: Way, which: str) -> None:
        """The flow goes on to its end, new users are refused, and the program ends well."""
        service = self.start_service()
        server = self.start_server()
        published = self.publish(way, service)
        program = server if which == "server" else published.client
        with dial(published.tcp) as user:
            user.sendall(b"x")
            self.assertEqual(receive_exactly(user, 1), b"x")
            program.terminate()
            program.wait_for("no new users from now on")
            if which == "client":
                server.wait_for("close proxy [open] success")
            self.assertRaises(ConnectionRefusedError, dial, published.tcp)
            # Little, for it must be over before the program loses its patience, on a busy machine, too.
            for _ in range(3):
                send(user, FROM_SERVICE, LITTLE_BYTES)
                receive(user, FROM_SERVICE, LITTLE_BYTES)
        self.assertEqual(program.wait_for_end(), 0)

    def test_client_mux(self) -> None:
        """A client with mux."""
        self.check_drained(Way("v2", tls=True, mux=True), "client")

    def test_client_direct(self) -> None:
        """A client without mux."""
        self.check_drained(Way("v2", tls=False, mux=False), "client")

    def test_server_mux(self) -> None:
        """A server whose client has mux."""
        self.check_drained(Way("v2", tls=True, mux=True), "server")

    def test_server_direct(self) -> None:
        """A server whose client has none."""
        self.check_drained(Way("v2", tls=False, mux=False), "server")

    def test_idle(self) -> None:
        """Without flows both end at once, the client first or the server first."""
        server = self.start_server()
        published = self.publish(Way("v2", tls=True, mux=True), self.start_service())
        published.client.terminate()
        self.assertEqual(published.client.wait_for_end(), 0)
        server.terminate()
        self.assertEqual(server.wait_for_end(), 0)


class FirstLoginTests(RelayTestCase):
    """What a client does when its first login fails, by the command that it was started with."""

    def failing(self, command: str, table: Table = NOTHING) -> Program:
        """A client of a server that is not there."""
        return self.start_client(table, command=relaykit_command(command))

    def test_frpc_exits(self) -> None:
        """``relaykit frpc`` ends as frp's client does: status 1, and the reason in its last line."""
        client = self.failing("frpc")
        self.assertEqual(client.wait_for_end(), 1)
        last = client.output.splitlines()[-1]
        self.assertIn("login to the server failed", last)
        self.assertIn("With loginFailExit enabled, no additional retries will be attempted", last)

    def test_frpc_told_to_stay(self) -> None:
        """Told so, it tries until there is a server."""
        self.check_stays(self.failing("frpc", {"loginFailExit": False}))

    def test_client_stays(self) -> None:
        """``relaykit client`` tries until there is a server."""
        self.check_stays(self.failing("client"))

    def test_client_told_to_exit(self) -> None:
        """Told so, it ends with status 1 and says why."""
        client = self.failing("client", {"loginFailExit": True})
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn("connection refused", client.output)

    def check_stays(self, client: Program) -> None:
        """The client gets in once there is a server."""
        client.wait_for("connect to server error")
        self.start_server()
        client.wait_for("login to server success")

    def test_ended_while_it_tries(self) -> None:
        """SIGTERM ends a client that has not got in yet."""
        client = self.failing("client")
        client.wait_for("connect to server error")
        client.terminate()
        self.assertEqual(client.wait_for_end(), 0)
