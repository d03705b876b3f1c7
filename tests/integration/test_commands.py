"""Tests that run the commands as programs of their own: signals, exit status, the log, the demonstration."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command, wait_for_file
from tests.integration.traffic import end_of

CONFIG = """
bindAddr = "127.0.0.1"
bindPort = {port}
auth.token = "a token"
"""


class SignaledProgram(Program):
    """A program that can be sent any signal, and be looked at."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def send(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)


class CommandTestCase(SynchronousTestCase):
    """Has a folder with a server's file."""

    def setUp(self) -> None:
        """Writes the file."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.port = free_port()
        (self.folder / "relay.toml").write_text(CONFIG.format(port=self.port))

    def program(self, *words: str) -> SignaledProgram:
        """Starts a command in the folder; it is stopped at the end."""
        program = SignaledProgram(relaykit_command(*words), self.folder)
        self.addCleanup(program.stop)
        return program

    def serving(self, *words: str) -> SignaledProgram:
        """A server that certainly runs: it has answered somebody, if only by closing."""
        program = self.program(*words)
        program.wait_for("started successfully")
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as user:
            user.sendall(b"GET / HTTP/1.0\r\n\r\n")
            end_of(user)
        return program


class SignalTests(CommandTestCase):
    """Tests for how programs end."""

    def test_server(self) -> None:
        """``relaykit server`` drains on SIGTERM and on SIGINT, and that is a success."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serving("server", "-c", "relay.toml")
            server.send(number)
            self.assertEqual(server.wait_for_end(), 0, server.output)

    def test_frps(self) -> None:
        """``relaykit frps`` ends by the signal that it got, as frp does."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serving("frps", "-c", "relay.toml")
            server.send(number)
            self.assertEqual(server.wait_for_end(), -number, server.output)

    def test_ignored(self) -> None:
        """Signals that frp lives on through do no harm."""
        server = self.serving("frps", "-c", "relay.toml")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE):
            server.send(number)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as user:
            user.sendall(b"GET / HTTP/1.0\r\n\r\n")
            end_of(user)
        server.send(signal.SIGTERM)
        self.assertEqual(server.wait_for_end(), -signal.SIGTERM)

    def test_hangup(self) -> None:
        """SIGHUP ends no program, however it was started: it says what it did, and serves on."""
        for words in (("frps", "-c", "relay.toml"), ("server", "relay.toml")):
            server = self.serving(*words)
            server.send(signal.SIGHUP)
            server.wait_for("the configuration was read again")
            server.send(signal.SIGTERM)
            self.assertIn(server.wait_for_end(), (0, -signal.SIGTERM), server.output)
        (self.folder / "token").write_text("a token")
        where = ("--server", f"127.0.0.1:{self.port}", "--token-file", "token")
        tunnel = self.serving_tunnel(where)
        tunnel.send(signal.SIGHUP)
        tunnel.send(signal.SIGTERM)
        self.assertEqual(tunnel.wait_for_end(), 0, tunnel.output)
        self.assertNotIn("hang", tunnel.output)

    def serving_tunnel(self, where: Sequence[str]) -> SignaledProgram:
        """A one-line command that has published something."""
        self.serving("server", "-c", "relay.toml")
        tunnel = self.program("tcp", "22", *where)
        tunnel.wait_for("open: ")
        return tunnel

    def test_dump(self) -> None:
        """SIGQUIT shows where the program is, and ends it."""
        server = self.serving("frps", "-c", "relay.toml")
        server.send(signal.SIGQUIT)
        self.assertEqual(server.wait_for_end(), 2)
        self.assertIn("most recent call first", server.output)

    def test_while_logging_in(self) -> None:
        """A client that waits for its server ends at once."""
        (self.folder / "client.toml").write_text(f'serverAddr = "127.0.0.1"\nserverPort = {self.port}\n')
        client = self.program("client", "-c", "client.toml")
        client.wait_for("connect to server error", 2)
        client.send(signal.SIGTERM)
        self.assertEqual(client.wait_for_end(), 0, client.output)


class ServerTests(CommandTestCase):
    """Tests for what a server shows and keeps."""

    def test_port_taken(self) -> None:
        """A port that is taken ends the server with status 1, and the port is named."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.port))
            taken.listen()
            for command in ("server", "frps"):
                server = self.program(command, "-c", "relay.toml")
                self.assertEqual(server.wait_for_end(), 1)
                self.assertIn(f"cannot listen on 127.0.0.1:{self.port}", server.output)

    def test_certificate_is_kept(self) -> None:
        """The fingerprint is shown at every start, and is the same."""
        shown = []
        for _ in range(2):
            server = self.serving("server", "-c", "relay.toml", "--state-dir", "state")
            shown.append(server.wait_for("certificate fingerprint").split()[-1])
            server.stop()
        self.assertEqual(shown[0], shown[1])
        self.assertEqual(os.stat(self.folder / "state").st_mode & 0o777, 0o700)

    def test_log_file(self) -> None:
        """With a log file, the console stays silent."""
        with (self.folder / "relay.toml").open("a") as file:
            file.write('log.to = "logs/relay.log"\n')
        server = self.program("frps", "-c", "relay.toml")
        path = self.folder / "logs" / "relay.log"
        wait_for_file(path, "started successfully")
        self.assertRegex(
            path.read_text().splitlines()[0],
            r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[I\] \[frp/frps\.py:\d+\] "
            r"frps uses config file: relay\.toml$",
        )
        self.assertEqual(server.output, "")

    def test_moved_log_file(self) -> None:
        """SIGHUP begins a new log where somebody has moved the file away, as logrotate does."""
        with (self.folder / "relay.toml").open("a") as file:
            file.write('log.to = "relay.log"\n')
        server = self.program("server", "-c", "relay.toml")
        path = self.folder / "relay.log"
        wait_for_file(path, "started successfully")
        path.rename(self.folder / "relay.log.1")
        server.send(signal.SIGHUP)
        wait_for_file(path, "the log file was opened again")
        self.assertNotIn("opened again", (self.folder / "relay.log.1").read_text())

    def test_json_log(self) -> None:
        """With the format json, every line of the log is an object."""
        with (self.folder / "relay.toml").open("a") as file:
            file.write('log.format = "json"\n')
        server = self.serving("server", "-c", "relay.toml")
        self.assertIn('"level": "info"', server.wait_for("started successfully"))

    def test_descriptors(self) -> None:
        """The soft limit of descriptors is the hard one."""
        server = self.serving("server", "-c", "relay.toml")
        limits = Path(f"/proc/{server.pid}/limits").read_text().splitlines()
        (row,) = [line for line in limits if line.startswith("Max open files")]
        soft, hard = row.split()[3:5]
        self.assertEqual(soft, hard)


class DemoTests(CommandTestCase):
    """Tests for the demonstration."""

    def test_once(self) -> None:
        """The page is fetched through the relay, and that is told."""
        demo = self.program("demo", "--once")
        self.assertEqual(demo.wait_for_end(), 0, demo.output)
        self.assertIn("Hello from behind the relay", demo.output)


class NatCommandTests(CommandTestCase):
    """``relaykit nat`` and the STUN server of a relay server."""

    def test_asks_a_relay_server(self) -> None:
        """A relay server answers on its bind port, well enough to tell the filter, too."""
        self.serving("server", "-c", "relay.toml", "--state-dir", "state")
        found: tuple[str, bool] | None = None
        # Answers that come too late, on a machine that stood still, are none.
        for _ in range(5):
            nat = self.program("nat", "--server", f"127.0.0.1:{self.port}", "--json")
            if nat.wait_for_end() == 0:
                four = json.loads(nat.output)["four"]
                found = four["mapping"], four["server_changes"]
                if found == ("endpoint-independent", True):
                    return
        self.fail(f"{found} was found out")

    def test_switched_off(self) -> None:
        """A server whose STUN port is negative answers nothing, and the command says so by its status."""
        (self.folder / "relay.toml").write_text("stunPort = -1\n" + CONFIG.format(port=self.port))
        self.serving("server", "-c", "relay.toml", "--state-dir", "state")
        nat = self.program("nat", "--server", f"127.0.0.1:{self.port}")
        self.assertEqual(nat.wait_for_end(), 1)
