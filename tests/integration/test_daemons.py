"""Tests that run ``twistd`` and ``twist`` with both roles."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from relaykit.certificates.own import self_signed
from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_port,
    free_privileged_port,
    wait_for_file,
)
from tests.integration.traffic import end_of
from tests.layering import ROOT

TWIST = (sys.executable, "-c", "from twisted.application.twist._twist import Twist; Twist.main()")
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
"""What the scripts of these names do, whether they are installed or not."""

SERVER = """
bindAddr = "127.0.0.1"
bindPort = {port}
auth.token = "a token"
"""

CLIENT = """
serverAddr = "127.0.0.1"
serverPort = {port}
auth.token = "{token}"
"""


class DaemonTestCase(SynchronousTestCase):
    """Has a folder with the files of both roles."""

    def setUp(self) -> None:
        """Writes the files."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.port = free_port()
        (self.folder / "relay.toml").write_text(SERVER.format(port=self.port))
        (self.folder / "client.toml").write_text(CLIENT.format(port=self.port, token="a token"))

    def program(self, *command: str) -> Program:
        """Starts a program in the folder; it is stopped at the end."""
        program = Program(command, self.folder)
        self.addCleanup(program.stop)
        return program


class TwistdTests(DaemonTestCase):
    """Tests for daemons."""

    def daemonize(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Starts a daemon with ``daemon.pid`` and ``daemon.log``; it is ended with the test."""
        self.addCleanup(self.end)
        return subprocess.run(
            [*TWISTD, "--pidfile=daemon.pid", "--logfile=daemon.log", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def pid(self) -> int:
        """The process of the daemon."""
        return int((self.folder / "daemon.pid").read_text())

    def end(self) -> None:
        """Ends the daemon that is still there."""
        for path in self.folder.rglob("daemon.pid"):
            os.kill(int(path.read_text()), signal.SIGKILL)

    def assert_no_daemon(self) -> None:
        """There is none: a daemon that fails says so first, and then removes its pid file."""
        deadline = time.monotonic() + PATIENCE_S
        while (self.folder / "daemon.pid").exists():
            self.assertLess(time.monotonic(), deadline, "the pid file is still there")
            time.sleep(0.05)  # a file tells nobody that it was removed

    def assert_serves(self) -> None:
        """Somebody listens on the bind port: ``twistd`` returns only when that is so."""
        socket.create_connection(("127.0.0.1", self.port), PATIENCE_S).close()

    def test_server(self) -> None:
        """A daemon serves when ``twistd`` returns; relative paths are those of where it was started."""
        (self.folder / "elsewhere").mkdir()
        started = self.daemonize(
            "--rundir=elsewhere", "relaykit-server", "-c", "relay.toml", "--state-dir", "state"
        )
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assert_serves()
        self.assertTrue((self.folder / "state" / "server-certificate.pem").exists())
        self.assertEqual(os.readlink(f"/proc/{self.pid()}/cwd"), str(self.folder / "elsewhere"))

    def test_certificate_of_a_relative_path(self) -> None:
        """A certificate is found though the daemon changed its folder before it was read."""
        pair = self_signed(datetime.now(UTC))
        (self.folder / "a.crt").write_bytes(pair.certificate)
        (self.folder / "a.key").write_bytes(pair.key)
        with (self.folder / "relay.toml").open("a") as file:
            file.write('transport.tls.certFile = "a.crt"\ntransport.tls.keyFile = "a.key"\n')
        started = self.daemonize(
            "--rundir=/", f"--pidfile={self.folder}/daemon.pid", "relaykit-server", "-c", "relay.toml"
        )
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertIn(pair.fingerprint, (self.folder / "daemon.log").read_text())

    def test_privileges(self) -> None:
        """A low port is bound before the daemon becomes another user."""
        if os.getuid() != 0:
            raise SkipTest("only root may bind a low port and become somebody else")
        nobody = pwd.getpwnam("nobody")
        try:
            subprocess.run(["true"], user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], check=True)
        except OSError as error:
            raise SkipTest(f"this root may not become somebody else: {error}") from error
        port = free_privileged_port()
        if port is None:
            raise SkipTest("no low port is free")
        self.port = port
        (self.folder / "relay.toml").write_text(SERVER.format(port=self.port))
        started = self.daemonize(
            f"--uid={nobody.pw_uid}", f"--gid={nobody.pw_gid}", "relaykit-server", "-c", "relay.toml"
        )
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assert_serves()
        self.assertEqual(os.stat(f"/proc/{self.pid()}").st_uid, nobody.pw_uid)

    def test_cannot_start(self) -> None:
        """When the port is taken, ``twistd`` says so and fails."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.port))
            taken.listen()
            started = self.daemonize("relaykit-server", "-c", "relay.toml")
        self.assertEqual(started.returncode, 1)
        self.assertIn(f"127.0.0.1:{self.port}", started.stderr)
        self.assert_no_daemon()

    def test_bad_file(self) -> None:
        """Every problem of a file is said on the terminal, and no daemon is made."""
        (self.folder / "relay.toml").write_text('bindPortt = 1\nlog.level = "loud"\n')
        started = self.daemonize("relaykit-server", "-c", "relay.toml")
        self.assert_no_daemon()
        self.assertIn("relay.toml:1: bindPortt", started.stdout)
        self.assertIn("relay.toml:2: log.level", started.stdout)

    def test_ends(self) -> None:
        """SIGTERM ends a daemon in order: it takes its pid file with it."""
        server = self.program(*TWISTD, "-n", "--pidfile=daemon.pid", "relaykit-server", "-c", "relay.toml")
        server.wait_for("started successfully")
        self.assertTrue((self.folder / "daemon.pid").exists())
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as user:
            user.sendall(b"GET / HTTP/1.0\r\n\r\n")
            end_of(user)  # whoever answers, if only by closing, has its signal handlers
        server.terminate()
        server.wait_for_end()
        self.assertFalse((self.folder / "daemon.pid").exists())

    def test_log_table(self) -> None:
        """The table ``log`` of the file counts, and SIGHUP opens the file again that somebody moved away."""
        with (self.folder / "relay.toml").open("a") as file:
            file.write('log.to = "logs/relay.log"\nlog.format = "json"\n')
        log = self.folder / "logs" / "relay.log"
        server = self.program(*TWISTD, "-n", "--pidfile=daemon.pid", "relaykit-server", "-c", "relay.toml")
        wait_for_file(log, "started successfully")
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as user:
            user.sendall(b"GET / HTTP/1.0\r\n\r\n")
            end_of(user)
        log.rename(log.with_suffix(".1"))
        server.signal(signal.SIGHUP)
        wait_for_file(log, "the log file was opened again")
        self.assert_serves()
        self.assertTrue(all(line.startswith("{") for line in log.read_text().splitlines()))
        self.assertEqual(server.output, "")

    def test_log_level(self) -> None:
        """What is less important than the file says is left out of the log of a daemon."""
        with (self.folder / "relay.toml").open("a") as file:
            file.write('log.level = "error"\n')
        started = self.daemonize("relaykit-server", "-c", "relay.toml")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assert_serves()
        self.assertEqual((self.folder / "daemon.log").read_text(), "")

    def test_client(self) -> None:
        """A client logs in to a server, both under ``twistd``."""
        server = self.program(*TWISTD, "-n", "--pidfile=", "relaykit-server", "-c", "relay.toml")
        server.wait_for("started successfully")
        client = self.program(*TWISTD, "-n", "--pidfile=", "relaykit-client", "-c", "client.toml")
        client.wait_for("login to server success, get run id")
        server.wait_for("client login info: ip [127.0.0.1:")

    def test_client_may_not_go_on(self) -> None:
        """A client whose file says so ends when its first login fails."""
        with (self.folder / "client.toml").open("a") as file:
            file.write("loginFailExit = true\n")
        client = self.program(*TWISTD, "-n", "--pidfile=", "relaykit-client", "-c", "client.toml")
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn("connection refused", client.output)


class TwistTests(DaemonTestCase):
    """Tests for ``twist``, which knows no privileged start."""

    def test_both_roles(self) -> None:
        """A client logs in to a server."""
        server = self.program(*TWIST, "--log-format=text", "relaykit-server", "-c", "relay.toml")
        server.wait_for("started successfully")
        client = self.program(*TWIST, "--log-format=text", "relaykit-client", "-c", "client.toml")
        client.wait_for("login to server success, get run id")
