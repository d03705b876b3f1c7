"""A browser at the proxy type ``http``: a page with images, a WebSocket and server-sent events."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import zlib
from collections.abc import Mapping

from twisted.trial.unittest import SkipTest

from tests.integration.programs import PATIENCE_S, free_port
from tests.integration.relays import RelayTestCase
from tests.integration.traffic import receive_exactly, take_head

HOST = "shop.example"

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""What Chromium is called, here and there."""

IMAGES = 24
"""Images of the page, each of another width: more than a browser asks for at once."""

EVENTS = 5

MESSAGE_BYTES = 200_000
"""Bytes of the longest message of the WebSocket: more than a frame, a segment and a window have."""

PAGE = f"""\
<!DOCTYPE html>
<title>A shop</title>
{"".join(f'<img src="/image/{width}">' for width in range(1, IMAGES + 1))}
<script>
const report = {{widths: [], messages: [], events: []}};
const images = Promise.all([...document.images].map((image) => image.decode().then(
    () => report.widths.push(image.naturalWidth))));
const messages = new Promise((done) => {{
    const socket = new WebSocket(`ws://${{location.host}}/socket`);
    const said = ["hello", "x".repeat({MESSAGE_BYTES}), "bye"];
    socket.onopen = () => said.forEach((each) => socket.send(each));
    socket.onmessage = (message) => {{
        report.messages.push(message.data.length);
        if (report.messages.length == said.length) socket.close();
    }};
    socket.onclose = done;
}});
const events = new Promise((done) => {{
    const source = new EventSource("/events");
    source.onmessage = async (event) => {{
        report.events.push(event.data);
        await fetch(`/heard/${{event.data}}`, {{method: "POST"}});
        if (report.events.length == {EVENTS}) {{ source.close(); done(); }}
    }};
}});
Promise.all([images, messages, events]).then(
    () => fetch("/report", {{method: "POST", body: JSON.stringify(report)}}));
</script>
"""

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455 section 1.3."""


def image(width: int) -> bytes:
    """A PNG of this width.  Source: RFC 2083."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    lines = zlib.compress(bytes(1 + width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


class Shop:
    """A web server with the page; it tells an event once the browser has heard the one before."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Mapping[str, object]] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def serve(self, connection: socket.socket) -> None:
        """Answers the requests of a connection."""
        while head := take_head(connection):
            line, *fields = head.decode("latin-1").split("\r\n")
            path = line.split(" ")[1]
            named = {
                name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)
            }
            body = receive_exactly(connection, int(named.get("content-length", "0")))
            if path == "/socket":
                self._echo(connection, named["sec-websocket-key"])
                return
            if path == "/events":
                self._tell(connection)
                return
            kind, content = "text/plain", b""
            if path == "/":
                kind, content = "text/html", PAGE.encode()
            elif path.startswith("/image/"):
                kind, content = "image/png", image(int(path.rpartition("/")[2]))
            elif path.startswith("/heard/"):
                self._heard.put(path.rpartition("/")[2])
            elif path == "/report":
                self.reports.put(json.loads(body))
            told = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(told.encode() + content)

    def _tell(self, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(EVENTS):
            event = f"data: {number}\n\n".encode()
            connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
            if self._heard.get(timeout=PATIENCE_S) != str(number):
                raise AssertionError("an event was heard twice, or before it was told")

    def _echo(self, connection: socket.socket, key: str) -> None:
        """Sends back each frame, until the browser closes.  Source: RFC 6455 sections 4.2 and 5.2."""
        accepted = base64.b64encode(hashlib.sha1(key.encode() + _WEBSOCKET).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )
        while start := receive_exactly(connection, 2):
            length = start[1] & 0x7F
            extended = receive_exactly(connection, {126: 2, 127: 8}.get(length, 0))
            mask = receive_exactly(connection, 4)
            size = int.from_bytes(extended) if extended else length
            masked = receive_exactly(connection, size)
            content = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
            connection.sendall(bytes([start[0], length]) + extended + content)


def _end(browser: subprocess.Popen[bytes]) -> None:
    """Ends all processes of a browser, which may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(browser.pid, signal.SIGKILL)


class BrowserTests(RelayTestCase):
    """Chromium, if it is there."""

    def browse(self, browser: str, *words: str) -> subprocess.Popen[bytes]:
        """Starts a browser, which is ended after the test."""
        started = subprocess.Popen(
            (
                *(browser, "--headless", "--disable-gpu", "--no-first-run"),
                "--disable-background-networking",
                # It sees its own pages only, and machines may lack what its sandbox or its memory takes.
                *("--no-sandbox", "--disable-dev-shm-usage"),
                *(f"--user-data-dir={self.folder}/profile", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"),
                *words,
            ),
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.addCleanup(started.wait, PATIENCE_S)
        self.addCleanup(_end, started)
        return started

    def test_page(self) -> None:
        """It shows the page and all its images, speaks over its WebSocket, and hears each event at once."""
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        if found is None:
            raise SkipTest("there is no Chromium on this machine")
        port = free_port()
        shop = Shop()
        service = self.start_service(shop.serve)
        self.start_server({"vhostHTTPPort": port})
        proxy = {"name": "shop", "type": "http", "localPort": service.port, "customDomains": [HOST]}
        self.start_client({}, [proxy]).wait_for("start proxy success")
        shown = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            shown = self.browse(found, "--dump-dom", "about:blank").wait(PATIENCE_S)
        if shown != 0:
            raise SkipTest(f"{found} does not run on this machine")
        # It stays until it is ended.
        self.browse(found, "--remote-debugging-port=0", f"http://{HOST}:{port}/")
        report = shop.reports.get(timeout=PATIENCE_S)
        self.assertEqual(
            {name: sorted(values) if name == "widths" else values for name, values in report.items()},  # type: ignore[call-overload]
            {
                "widths": list(range(1, IMAGES + 1)),
                "messages": [len("hello"), MESSAGE_BYTES, len("bye")],
                "events": [str(number) for number in range(EVENTS)],
            },
        )
