"""Proxies come and go with their local services: real services, our client, either server."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from typing import Any

from tests.integration.programs import PATIENCE_S, Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.traffic import PIECE_BYTES, converse, dial, end_of, receive_exactly

BECAME_WELL = "health check status change to success"
BECAME_ILL = "health check status change to failed"

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell"
SILENCE = b""
NO_ANSWER = None
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /well\r\nContent-Length: 4\r\n\r\nmove"


UNHURRIED_S = 30
"""A time-out that no service which is well meets, however busy the machine is."""


def named(name: str) -> bytes:
    """The answer of a service that is well, with its name."""
    return WELL.replace(b"well", name.encode() * 4)


class WebService:
    """A web service that says what it is told to, and may stay silent, or close without an answer."""

    def __init__(self, answer: bytes | None) -> None:
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
            if self.answer is NO_ANSWER:
                return
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
        check = {"timeoutSeconds": UNHURRIED_S, "intervalSeconds": 1, **check}
        health = {f"healthCheck.{key}": value for key, value in check.items()}
        proxy = {"name": "web", "type": "tcp", "remotePort": port, **local, **health}
        return port, server, self.start_client(NOTHING, [proxy])

    def check_refused(self, port: int) -> None:
        """Nobody listens there."""
        self.assertRaises(ConnectionRefusedError, dial, port)

    def test_refusing(self) -> None:
        """A proxy is registered while its service takes connections; users that are there go on."""
        local = free_port()
        check = {"type": "tcp"}
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
        """A service that says it cannot serve is as good as none until it is well."""
        web = WebService(BUSY)
        service = self.start_service(web.serve)
        check = {"type": "http", "path": "/", "httpHeaders": [{"name": "Host", "value": "app.example"}]}
        port, server, client = self.publish_checked(check, localPort=service.port)
        for times in (1, 2):
            self.assertIn("it answers with status 503", client.wait_for(BECAME_ILL, times))
            self.check_refused(port)
            self.assertIn(b"\r\nHost: app.example\r\n", web.asked[-1])
            web.answer = MOVED
            client.wait_for("start proxy success", times)
            with dial(port) as user:
                user.sendall(b"GET /well HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(end_of(user), WELL)
            web.answer = BUSY
            server.wait_for("close proxy [web] success", times)

    def test_silent(self) -> None:
        """So is one that takes the question and says nothing."""
        web = WebService(SILENCE)
        service = self.start_service(web.serve)
        check = {"type": "http", "path": "/", "timeoutSeconds": 1}
        port, _, client = self.publish_checked(check, localPort=service.port)
        self.assertIn("no answer within 1 seconds", client.wait_for(BECAME_ILL))
        self.check_refused(port)
        web.answer = WELL
        client.wait_for("start proxy success")
        web.answer = SILENCE
        client.wait_for(BECAME_ILL, 2)

    def test_unix_socket(self) -> None:
        """A service that an endpoint string names is checked, too."""
        # The folder of the test may have a longer path than a socket can.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        web = WebService(WELL)
        self.start_service(web.serve, path=f"{folder.name}/web")
        check = {"type": "http", "path": "/"}
        port, _, client = self.publish_checked(check, local=f"unix:{folder.name}/web")
        client.wait_for("start proxy success")
        with dial(port) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(end_of(user), WELL)

    def test_server_killed(self) -> None:
        """After the server was lost, only what is well comes back."""
        service = self.start_service(port=free_port())
        check = {"type": "tcp"}
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


class GroupTests(RelayTestCase):
    """Members of a group whose services fail: each is a web service that answers with its own name."""

    def setUp(self) -> None:
        """Makes a group of three at a server."""
        super().setUp()
        self.port = free_port()
        self.server = self.start_server()
        self.services = {name: WebService(named(name)) for name in ("a", "b", "c")}
        ports = {name: self.start_service(web.serve).port for name, web in self.services.items()}
        self.client = self.start_client(NOTHING, [self.member(name, port) for name, port in ports.items()])
        self.client.wait_for("start proxy success", 3)

    def member(self, name: str, port: int, key: str = "k") -> Table:
        """A member of the group."""
        return {
            "name": name,
            "type": "tcp",
            "localPort": port,
            "remotePort": self.port,
            "loadBalancer.group": "g",
            "loadBalancer.groupKey": key,
            "healthCheck.type": "http",
            "healthCheck.path": "/",
            "healthCheck.timeoutSeconds": UNHURRIED_S,
            "healthCheck.intervalSeconds": 1,
        }

    def answer(self) -> bytes:
        """What a user gets."""
        with dial(self.port) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return end_of(user)

    def check_served_by(self, *names: str) -> None:
        """Every user is served well, and each of these members serves some of them."""
        good = {named(name) for name in names}
        seen: set[bytes] = set()
        deadline = time.monotonic() + PATIENCE_S
        while seen != good:
            self.assertLess(time.monotonic(), deadline, f"only {sorted(seen)} serve users")
            answer = self.answer()
            self.assertIn(answer, good)
            seen.add(answer)

    def test_failing_members(self) -> None:
        """Once one that fails was noticed, no user meets it; when it is well again it serves as before."""
        self.check_served_by("a", "b", "c")
        self.services["b"].answer = BUSY
        self.services["c"].answer = NO_ANSWER
        self.client.wait_for(BECAME_ILL, 2)
        for name in ("b", "c"):
            self.server.wait_for(f"close proxy [{name}] success")
        for _ in range(20):
            self.check_served_by("a")
        for name in ("b", "c"):
            self.services[name].answer = named(name)
        self.client.wait_for("start proxy success", 5)
        self.check_served_by("a", "b", "c")

    def test_last_member(self) -> None:
        """A group whose last member is withdrawn gives back its port and its key, which count until then."""
        other = self.start_service(WebService(named("d")).serve)
        stranger = self.start_client(NOTHING, [self.member("d", other.port, key="another")])
        self.assertIn("group auth failed", stranger.wait_for("start error"))
        stranger.stop()
        for web in self.services.values():
            web.answer = BUSY
        for name in self.services:
            self.server.wait_for(f"close proxy [{name}] success")
        self.assertRaises(ConnectionRefusedError, dial, self.port)
        self.start_client(NOTHING, [self.member("d", other.port, key="another")]).wait_for(
            "start proxy success"
        )
        self.check_served_by("d")


class FrpsHealthCheckTests(HealthCheckTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")


class FrpsGroupTests(GroupTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
