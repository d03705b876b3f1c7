"""Programs without standard streams, and with some whose encoding lacks letters."""

from __future__ import annotations

import time

from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command
from tests.integration.relays import TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse

WITHOUT_STREAMS = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
"""Becomes a program that has none, as some service managers start them."""

IN_LATIN_1 = ("env", "PYTHONIOENCODING=latin-1")


class StreamTests(RelayTestCase):
    """A server and a client of ours."""

    def start_both(self, before: tuple[str, ...], name: str, log: str) -> tuple[Program, Program]:
        """A server and a client that publishes an echo; ``log`` is where each logs to, by its role."""
        self.port = free_port()
        tables: dict[str, Table] = {
            "server": {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": ""},
            "client": {
                "serverAddr": LOOPBACK,
                "serverPort": self.bind_port,
                "proxies": [
                    {
                        "name": name,
                        "type": "tcp",
                        "localPort": self.start_service().port,
                        "remotePort": self.port,
                    }
                ],
            },
        }
        server, client = (
            self.start(
                (*before, *relaykit_command(role)),
                {**table, "auth.token": TOKEN, "log.to": log.format(role=role)},
            )
            for role, table in tables.items()
        )
        return server, client

    def test_no_streams(self) -> None:
        """Without any of the three they serve all the same, and write their log to a file."""
        self.start_both(WITHOUT_STREAMS, "echo", str(self.folder / "{role}.txt"))
        deadline = time.monotonic() + PATIENCE_S
        log = self.folder / "client.txt"
        while not log.exists() or "start proxy success" not in log.read_text():
            self.assertLess(time.monotonic(), deadline, "nothing is published")
            time.sleep(0.05)
        converse(self.port)
        self.assertIn("new proxy [echo] type [tcp] success", (self.folder / "server.txt").read_text())

    def test_no_streams_for_the_log(self) -> None:
        """The same where the log would go to the console: it goes nowhere."""
        self.start_both(WITHOUT_STREAMS, "echo", "console")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                converse(self.port)
                return
            except OSError:
                self.assertLess(time.monotonic(), deadline, "nobody is served")
                time.sleep(0.1)

    def test_other_encoding(self) -> None:
        """A line with letters that the encoding lacks is written with escapes."""
        server, client = self.start_both(IN_LATIN_1, "Büro-機器", "console")
        self.assertIn("ro-\\u6a5f\\u5668]", server.wait_for("new proxy"))
        self.assertIn("ro-\\u6a5f\\u5668]", client.wait_for("start proxy success"))
