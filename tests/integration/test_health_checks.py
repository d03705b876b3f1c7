"""Proxies come and go with their local services: real services, our client, either server."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from typing import Any

from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase
from tests.integration.traffic import PIECE_BYTES, converse, dial, end_of, receive_exactly

BECAME_WELL = "health check status change to success"
BECAME_ILL = "health check status change to failed"

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /well\r\nContent-Length: 4\r\n\r\nmove"


class WebService:
    """A web service that says what it is told to; nothing, for as long as it is told nothing."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        """Answers one request."""
        with contextlib.suppress(ConnectionError):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                data = connection.recv(PIECE_BYTES)
                if not data:
                    return
                request += data
            self.asked.append(request)
            if self.answer:
                connection.sendall(WELL if request.startswith(b"GET /well ") else self.answer)
            else:
                connection.recv(PIECE_BYTES)


class HealthCheckTests(RelayTestCase):
    """What becomes of a proxy whose service is well, and is not."""

    def publish_checked(self, check: dict[str, Any], **local: Any) -> tuple[int, Program, Program]:
        """A client that publishes a service and checks it; where, the server and the client."""
        port = free_port()
        server = self.start_server()
        health = {f"healthCheck.{key}": value for key, value in check.items()}
        proxy = {"name": "web", "type": "tcp", "remotePort": port, **local, **health}
        return port, server, self.start_client(NOTHING, [proxy])

    def check_refused(self, port: int) -> None:
        """Nobody listens there."""
        self.assertRaises(ConnectionRefusedError, dial, port)

    def test_refusing(self) -> None:
        """A proxy is registered while its service takes connections; users that are there go on."""
        local = free_port()
        check = {"type": "tcp", "intervalSeconds": 1}
        port, server, client = self.publish_checked(check, localPort=local)
        line = client.wait_for(BECAME_ILL)
        self.assertIn(f"{local}: connection refused", line)
        self.check_refused(port)
        service = self.start_service(port=local)
        client.wait_for("start proxy success")
        converse(port)
        with dial(port) as user:
            user.sendall(b"before")
            self.assertEqual(receive_exactly(user, 6), b"before")
            service.refuse()
            client.wait_for(BECAME_ILL, 2)
            server.wait_for("close proxy [web] success")
            self.check_refused(port)
            user.sendall(b"after")
            self.assertEqual(receive_exactly(user, 5), b"after")
        self.start_service(port=local)
        client.wait_for("start proxy success", 2)
        converse(port)

    def test_web(self) -> None:
        """A service that says it cannot serve, or says nothing, is as good as none until it is well."""
        web = WebService(BUSY)
        service = self.start_service(web.serve)
        header = {"name": "Host", "value": "app.example"}
        check = {
            "type": "http",
            "path": "/",
            "timeoutSeconds": 1,
            "intervalSeconds": 1,
            "httpHeaders": [header],
        }
        port, server, client = self.publish_checked(check, localPort=service.port)
        self.assertIn("it answers with status 503", client.wait_for(BECAME_ILL))
        self.check_refused(port)
        self.assertIn(b"\r\nHost: app.example\r\n", web.asked[-1])
        ill = (b"", "no answer within 1 seconds"), (BUSY, "it answers with status 503")
        for times, (answer, reason) in enumerate(ill, 1):
            web.answer = MOVED
            client.wait_for("start proxy success", times)
            with dial(port) as user:
                user.sendall(b"GET /well HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(end_of(user), WELL)
            web.answer = answer
            self.assertIn(reason, client.wait_for(BECAME_ILL, times + 1))
            server.wait_for("close proxy [web] success", times)
            self.check_refused(port)

    def test_unix_socket(self) -> None:
        """A service that an endpoint string names is checked, too."""
        # The folder of the test may have a longer path than a socket can.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        web = WebService(WELL)
        self.start_service(web.serve, path=f"{folder.name}/web")
        check = {"type": "http", "path": "/", "intervalSeconds": 1}
        port, _, client = self.publish_checked(check, local=f"unix:{folder.name}/web")
        client.wait_for("start proxy success")
        with dial(port) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(end_of(user), WELL)

    def test_server_killed(self) -> None:
        """After the server was lost, only what is well comes back."""
        service = self.start_service()
        check = {"type": "tcp", "intervalSeconds": 1}
        port, server, client = self.publish_checked(check, localPort=service.port)
        client.wait_for("start proxy success")
        server.kill()
        service.refuse()
        client.wait_for(BECAME_ILL)
        self.start_server()
        client.wait_for("login to server success", 2)
        self.check_refused(port)
        self.start_service(port=service.port)
        client.wait_for("start proxy success", 2)
        converse(port)


class FrpsHealthCheckTests(HealthCheckTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
