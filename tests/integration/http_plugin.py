"""A plugin over HTTP as a program: says what it is asked, and behaves as the name of the user wants it."""

from __future__ import annotations

import json
import ssl
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.programs import Program
from tests.integration.traffic import LOOPBACK

__all__ = ["Plugin"]

_HUGE_PIECES = 16_384
"""Pieces of 64 KiB: 1 GiB of them."""


class Plugin:
    """Runs it, over TLS where it is shown a certificate and its key."""

    def __init__(self, folder: Path, port: int, shown: Sequence[str] = ()) -> None:
        command = (sys.executable, "-m", __spec__.name, str(port), *shown)
        self.program = Program(command, folder)
        self.program.wait_for("ready")

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What it was asked, in order."""
        lines = self.program.output.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def asked(self, operation: str) -> dict[str, Any]:
        """The content of the first question about an operation, once there is one."""
        self.program.wait_for(f'{{"op": "{operation}"')
        content: dict[str, Any] = next(each for each in self.questions if each["op"] == operation)["content"]
        return content


# --- the program ----------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Says what it is asked, and answers."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        operation, content = body["op"], body["content"]
        asked = {
            "op": operation,
            "content": content,
            "target": self.path,
            "from": self.client_address[1],
            "authorization": self.headers.get("authorization", ""),
        }
        print(json.dumps(asked), flush=True)
        user = content["user"]
        name = user["user"] if isinstance(user, dict) else user
        try:
            getattr(self, f"_{name}", self._well)(operation, content)
        except OSError:
            # Who asked has gone.
            self.close_connection = True

    def _well(self, operation: str, content: dict[str, Any]) -> None:
        self._say({"reject": False, "unchange": True})

    def _rejecting(self, operation: str, content: dict[str, Any]) -> None:
        self._say({"reject": True, "reject_reason": f"no {operation} today"})

    def _picky(self, operation: str, content: dict[str, Any]) -> None:
        """Rejects users."""
        if operation == "NewUserConn":
            self._rejecting(operation, content)
        else:
            self._well(operation, content)

    def _changing(self, operation: str, content: dict[str, Any]) -> None:
        """Lets in as another user, and opens the next port."""
        if operation == "Login":
            content["user"] = "changed"
            content["metas"] = {"team": "red"}
        self._say({"reject": False, "unchange": False, "content": content})

    def _changed(self, operation: str, content: dict[str, Any]) -> None:
        if operation == "NewProxy":
            content["remote_port"] += 1
        self._say({"reject": False, "unchange": False, "content": content})

    def _renaming(self, operation: str, content: dict[str, Any]) -> None:
        if operation == "NewProxy":
            content["proxy_name"] = "other"
        self._say({"reject": False, "unchange": False, "content": content})

    def _hanging(self, operation: str, content: dict[str, Any]) -> None:
        self.rfile.read()

    def _closing(self, operation: str, content: dict[str, Any]) -> None:
        self.close_connection = True

    def _failing(self, operation: str, content: dict[str, Any]) -> None:
        self._say({"reject": False, "unchange": True}, status=500)

    def _empty(self, operation: str, content: dict[str, Any]) -> None:
        self._say({})

    def _slow(self, operation: str, content: dict[str, Any]) -> None:
        """A byte now and then, for longer than anybody waits."""
        self._begin(200, 1000)
        for _ in range(1000):
            self.wfile.write(b" ")
            time.sleep(0.1)

    def _huge(self, operation: str, content: dict[str, Any]) -> None:
        self._begin(200, _HUGE_PIECES * 65_536)
        for _ in range(_HUGE_PIECES):
            self.wfile.write(b" " * 65_536)

    def _say(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self._begin(status, len(body))
        self.wfile.write(body)

    def _begin(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("content-length", str(length))
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """What matters is said elsewhere."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _run(port: int, certificate: str = "", key: str = "") -> None:
    server = _Server((LOOPBACK, port), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake is left to the thread of a connection.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _run(int(sys.argv[1]), *sys.argv[2:])
