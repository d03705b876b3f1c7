"""Tests for frp's commands for a running client."""

from __future__ import annotations

import base64
import json
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.commands.terminal import Printed, run_printed


class WebServer:
    """Answers one request."""

    def __init__(self, status: int, body: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.head = b""
        self._answer = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Waits until it has answered."""
        self._thread.join()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, self._socket:
            self.head = connection.recv(10_000)
            connection.sendall(self._answer)


class AdministrationTests(SynchronousTestCase):
    """Tests for ``reload``, ``status`` and ``stop``."""

    def ask(self, command: str, status: int, body: bytes = b"", keys: str = "", *words: str) -> Printed:
        """Runs a command before a client that answers so; keeps the head of what it was asked."""
        server = WebServer(status, body)
        path = Path(self.mktemp())
        path.write_text(f"webServer.port = {server.port}\n{keys}")
        printed = run_printed(["frpc", command, "-c", str(path), *words])
        server.stop()
        self.head = server.head.decode()
        return printed

    def test_requests(self) -> None:
        """Each command asks for what frp's asks for, with the password, and says that it went well."""
        keys = 'webServer.user = "u"\nwebServer.password = "p"\n'
        for command, words, line in (
            ("reload", (), "GET /api/reload?strictConfig=true "),
            ("reload", ("--strict_config=false",), "GET /api/reload "),
            ("stop", (), "POST /api/stop "),
        ):
            printed = self.ask(command, 200, b"", keys, *words)
            self.assertEqual(printed, Printed(0, f"{command} success\n"))
            self.assertTrue(self.head.startswith(line), self.head)
            self.assertIn(f"Authorization: Basic {base64.b64encode(b'u:p').decode()}\r\n", self.head)

    def test_refused(self) -> None:
        """Any other status is a failure."""
        for command in ("reload", "status", "stop"):
            self.assertEqual(self.ask(command, 401), Printed(1, "api status code [401]\n"))

    def test_status(self) -> None:
        """The proxies are shown in a table for each type, in frp's order; types of others come last."""
        entry = {"status": "running", "err": "", "local_addr": "127.0.0.1:22", "plugin": ""}
        body = {
            "knock": [{**entry, "name": "k"}],
            "udp": [{**entry, "name": "u", "remote_addr": "r:1", "err": "a\nb"}],
            "tcp": [{**entry, "name": "ssh", "remote_addr": "127.0.0.1:6000"}],
        }
        self.assertEqual(
            self.ask("status", 200, json.dumps(body).encode()).stdout,
            "Proxy Status...\n\n"
            "TCP\n"
            "Name  Status   LocalAddr     Plugin  RemoteAddr      Error  \n"
            "ssh   running  127.0.0.1:22          127.0.0.1:6000         \n"
            "\n"
            "UDP\n"
            "Name  Status   LocalAddr     Plugin  RemoteAddr  Error  \n"
            "u     running  127.0.0.1:22          r:1         a      \n"
            "                                                 b      \n"
            "\n"
            "KNOCK\n"
            "Name  Status   LocalAddr     Plugin  RemoteAddr  Error  \n"
            "k     running  127.0.0.1:22                             \n"
            "\n",
        )
        self.assertEqual(self.ask("status", 200, b"{}"), Printed(0, "Proxy Status...\n\n"))
        self.assertEqual(self.ask("status", 200, b"no"), Printed(1, "unmarshal http response error: no\n"))
