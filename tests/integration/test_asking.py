"""Commands that ask programs which run: their logs, what is busy, whether users are served."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.integration.programs import PATIENCE_S, Program, free_port, relaykit_command
from tests.integration.relays import TOKEN, RelayTestCase, Table
from tests.integration.terminals import TerminalTestCase
from tests.integration.traffic import LOOPBACK, dial, receive_exactly
from tests.layering import ROOT


class AskingTestCase(RelayTestCase):
    """A server whose control socket has a short path, and a client."""

    server_command = relaykit_command("server")
    client_command = relaykit_command("client")

    def setUp(self) -> None:
        super().setUp()
        self.state = Path(tempfile.mkdtemp(dir="/tmp"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.state)], check=True)
        self.port = free_port()
        self.service = self.start_service()
        self.file = ""

    def serve(self, **table: object) -> Program:
        """The server."""
        self.file = self.write_configuration(
            {
                "bindAddr": LOOPBACK,
                "bindPort": self.bind_port,
                "auth.token": TOKEN,
                "stateDir": str(self.state),
                **table,
            }
        )
        server = self.start_file(self.server_command, self.file)
        server.wait_for("started successfully")
        return server

    def publish_one(self) -> Program:
        """A client with a proxy."""
        proxy: Table = {
            "name": "web",
            "type": "tcp",
            "localPort": self.service.port,
            "remotePort": self.port,
        }
        client = self.start_client({}, [proxy])
        client.wait_for("start proxy success")
        return client

    @property
    def variables(self) -> dict[str, str]:
        """Variables of commands: nothing that leads to programs of whoever runs the tests."""
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}

    def words(self, command: str, *more: str) -> tuple[str, ...]:
        """A command line that asks the server."""
        return (*relaykit_command(command), *more, "-c", self.file, "--state-dir", str(self.state))

    def ask(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that ends by itself."""
        return subprocess.run(
            self.words(command, *more),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env=self.variables,
        )


class LogsTests(AskingTestCase):
    """Tests for ``relaykit logs``."""

    def follow(self, *more: str) -> Program:
        """A command that follows the log."""
        following = Program(self.words("logs", "-f", *more), self.folder)
        self.addCleanup(following.kill)
        return following

    def test_followed(self) -> None:
        """Lines are followed over a reload, also one that changes the level, until the program is killed."""
        server = self.serve()
        following = self.follow()
        following.wait_for("the server started successfully")
        path = Path(self.file)
        path.write_text(path.read_text().replace("{", '{"log": {"level": "debug"}, ', 1))
        self.assertEqual(self.ask("reload").returncode, 0)
        self.publish_one()
        following.wait_for("new proxy [web] type [tcp] success")
        with dial(self.port) as user:
            user.sendall(b"x")
            receive_exactly(user, 1)
        following.wait_for("[D]")
        server.kill()
        self.assertEqual(following.wait_for_end(), 1)
        self.assertIn("the program has ended", following.output)

    def test_stopped_reader(self) -> None:
        """While a reader stands still others are served; what came meanwhile is there once it goes on."""
        self.serve()
        following = self.follow()
        following.wait_for("the server started successfully")
        following.freeze()
        self.publish_one()
        with dial(self.port) as user:
            user.sendall(b"x")
            self.assertEqual(receive_exactly(user, 1), b"x")
        self.assertEqual(self.ask("status").returncode, 0)
        following.thaw()
        following.wait_for("new proxy [web]")

    def test_nothing(self) -> None:
        """Once the program has ended there is nothing to ask, and what to do is said."""
        server = self.serve()
        server.stop()
        done = self.ask("logs")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no server or client runs with", done.stderr)


class ApiTests(AskingTestCase):
    """The control socket of a server without a web server."""

    def test_probe(self) -> None:
        """A proxy is looked at without a port or a password."""
        self.serve()
        self.publish_one()
        done = self.ask("probe", "web")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("web: online; a probe got to the service", done.stdout)
        self.service.stop()
        done = self.ask("probe", "web")
        self.assertEqual(done.returncode, 1)
        self.assertIn("connection refused", done.stderr)
        self.assertIn("NOT SERVED", self.ask("status").stdout)
        self.assertIn("NOT SERVED", self.ask("top").stdout)


class OneLineTests(AskingTestCase):
    """A program of one line, which has no file."""

    def test_asked(self) -> None:
        """It can be asked and ended like any other, by its number or because it is the only one."""
        self.start_server()
        (self.folder / "token").write_text(TOKEN)
        line = (
            *relaykit_command("tcp", str(self.service.port), "--server", f"{LOOPBACK}:{self.bind_port}"),
            *("--remote-port", str(self.port), "--name", "web", "--plain", "--token-file", "token"),
            *("--state-dir", str(self.state)),
        )
        program = Program(line, self.folder)
        self.end_with_test(program)
        program.wait_for("[web] open")

        def asked(command: str, *more: str) -> subprocess.CompletedProcess[str]:
            words = (*relaykit_command(command), *more, "--state-dir", str(self.state), "--role", "client")
            return subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=self.variables
            )

        report = json.loads(asked("status", "--json").stdout)
        self.assertEqual([each["state"] for each in report["proxies"]], ["running"])
        number = str(report["pid"])
        self.assertIn("start proxy success", asked("logs", "--process", number).stdout)
        self.assertEqual(asked("status", "--process", "1").returncode, 1)
        self.assertEqual(asked("stop", "--process", number).returncode, 0)
        self.assertEqual(program.wait_for_end(), 0)


class TopTests(TerminalTestCase, AskingTestCase):
    """Tests for ``relaykit top`` on a terminal."""

    def setUp(self) -> None:
        AskingTestCase.setUp(self)
        TerminalTestCase.setUp(self)

    def test_watched(self) -> None:
        """What is busy is drawn again and again, until a key ends it."""
        self.serve()
        self.publish_one()
        with dial(self.port) as user:
            user.sendall(b"x" * 1000)
            receive_exactly(user, 1000)
            self.run_in_terminal(shlex.join(self.words("top")))
            self.seen("relaykit top: server", "1 client; 1 proxy; 1 user", "web", "2.0 kB", "q ends it")
        self.seen("0 users")
        self.tmux("send-keys", "q")
        self.seen("status 0", "0 users")

    def test_killed(self) -> None:
        """A program that is gone ends it, and that is said."""
        server = self.serve()
        self.publish_one()
        self.run_in_terminal(shlex.join(self.words("top")))
        self.seen("1 client; 1 proxy")
        server.kill()
        self.seen("status 1", "does not answer")
