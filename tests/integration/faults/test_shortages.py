"""Too many users at once, too few descriptors, no room on the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.integration.faults.case import ATTEMPT_S, FaultTestCase, takes_long
from tests.integration.programs import Program
from tests.integration.relays import NOTHING, TOKEN, Table
from tests.integration.traffic import LOOPBACK, dial, receive_exactly

DIRECT: Table = {"transport.tcpMux": False}

FULL = "cannot be written: No space left on device"
LOST = "lines of this log could not be written"
READY = "started successfully"

ENOUGH = "there are enough open files again"


class RushTests(FaultTestCase):
    """Everybody comes at the same moment."""

    users = 1000

    def check_rush(self, table: Table) -> None:
        """Each is served, each gets its own bytes, and nobody has to come twice."""
        # A user and a service's connection each, in this process.
        self.allow_descriptors(4 * self.users)
        server = self.start_server(table)
        client = self.publish_echo(table)
        crowd = self.crowd(self.users, pause_s=2.0, most_bytes=4000, again=False)
        all_s = crowd.wait_served()
        first = min(stay.began for user in crowd.users for stay in user.stays)
        waited = sorted((user.stays[0].answered or 0.0) - first for user in crowd.users)
        crowd.stop()
        self.assertEqual(crowd.connections, self.users)
        self.figure("until half of the users were served", waited[len(waited) // 2])
        self.figure("until the last user was served", waited[-1])
        self.figure("until each was served again", all_s)
        self.figure("bytes checked", crowd.content, "bytes")
        for name, program in (("server", server), ("client", client)):
            self.figure(f"most memory of the {name}", program.peak_resident_bytes() / 2**20, "MiB")
        self.until("the descriptors are free again", lambda: server.descriptors() < 100)

    def test_mux(self) -> None:
        """A thousand users, with mux."""
        self.check_rush(NOTHING)

    @takes_long
    def test_direct(self) -> None:
        """A thousand users, without mux: as many connections to the server, each with TLS."""
        self.check_rush(DIRECT)

    def test_few_pending(self) -> None:
        """Some hundred users, without mux, where less than a hundred connections may be without a login: no
        more work connections are asked for at a time than have room, and none of them is dropped.
        """
        server = self.start_server(DIRECT, limited(self.server_command, 1024))
        self.publish_echo(DIRECT)
        crowd = self.crowd(300, pause_s=2.0, most_bytes=4000, again=False)
        crowd.wait_undisturbed()
        crowd.stop()
        self.assertNotIn("there is no room for more connections without a login", server.output)


def limited(command: Sequence[str], descriptors: int) -> list[str]:
    """The command line of a program that may open so many descriptors and no more."""
    return ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]


class DescriptorTests(FaultTestCase):
    """A program may open few descriptors, and more users come than it can serve."""

    descriptors = 96
    users = 300

    def check_short(self, short: Program, sign: str, least: int = 30) -> None:
        """Those whom it can serve it serves; the others are let go; afterwards all is as before."""
        self.allow_descriptors(4 * self.users)
        self.until_served()
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(dial(self.port)) for _ in range(self.users)]
            served = refused = 0
            for user in crowd:
                with contextlib.suppress(ConnectionError):
                    user.sendall(b"hello?")
            for user in crowd:
                heard = b""
                with contextlib.suppress(ConnectionError):
                    heard = receive_exactly(user, 6)
                served += heard == b"hello?"
                refused += not heard
            self.assertEqual(served + refused, self.users)
            self.assertGreater(served, least)
            self.assertGreater(refused, 10)
            self.figure("users served", served, "users")
            self.figure("users let go", refused, "users")
            # Who is served goes on being served.
            for user in crowd:
                with contextlib.suppress(ConnectionError):
                    user.sendall(b"still?")
            again = 0
            for user in crowd:
                with contextlib.suppress(ConnectionError):
                    again += receive_exactly(user, 6) == b"still?"
            self.assertEqual(again, served)
        self.figure("until a user was served again", self.until_served())
        # It says so when the lack begins and when it is over, and not for each user.
        said = [line for line in short.output.splitlines() if sign in line or ENOUGH in line]
        self.assertTrue(said, short.output[-3000:])
        for number, line in enumerate(said):
            self.assertIn(ENOUGH if number % 2 else sign, line, said)

    def test_server(self) -> None:
        """The server has too few."""
        server = self.start_server(command=limited(self.server_command, self.descriptors))
        self.publish_echo()
        self.check_short(server, "no more connections can be accepted")

    @takes_long
    def test_server_direct(self) -> None:
        """The server has too few, and its client needs one more for each user."""
        server = self.start_server(DIRECT, limited(self.server_command, self.descriptors))
        self.publish_echo(DIRECT)
        self.check_short(server, "no more connections can be accepted", least=20)

    def test_client(self) -> None:
        """The client has too few."""
        self.start_server()
        service = self.start_service()
        client = self.start_client(
            NOTHING,
            [{"name": "echo", "type": "tcp", "localPort": service.port, "remotePort": self.port}],
            command=limited(self.client_command, self.descriptors),
        )
        client.wait_for("start proxy success")
        self.check_short(client, "no more connections can be made")


class FullDiskTests(FaultTestCase):
    """There is no room where the log and the state are kept."""

    skip = (
        None
        if os.geteuid() == 0 and shutil.which("mount") and shutil.which("umount")
        else "mounting a small file system needs root"
    )

    def setUp(self) -> None:
        """Mounts a small file system."""
        super().setUp()
        self.small = self.folder / "small"
        self.small.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(self.small)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            self.skipTest(f"no small file system can be mounted: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.small)], check=True)

    def fill(self) -> Path:
        """Takes all the room; answers what to remove to give it back."""
        path = self.small / "ballast"
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(b"x")
        return path

    def start_pair(self, log: Table) -> tuple[Program, Program]:
        """A server and a client that keep their state there."""
        server = self.start_server({"stateDir": str(self.small / "server"), **log})
        client = self.publish_echo({"stateDir": str(self.small / "client")})
        return server, client

    def test_state(self) -> None:
        """Programs that can keep nothing serve all the same, and say so."""
        self.fill()
        for program in self.start_pair({}):
            program.wait_for("cannot write")
            program.wait_for("No space left on device")
        self.until_served()

    def test_log(self) -> None:
        """A disk that is full stops nobody; that the log cannot be written is said where it can be."""
        self.start_full_log()
        crowd = self.crowd(10)
        crowd.wait_served()
        ballast = self.fill()
        for _ in range(50):
            self.check_served()
        crowd.wait_served()
        self.server.wait_for(FULL)
        self.assertEqual(self.server.output.count(FULL), 1, self.server.output)
        ballast.unlink()
        self.until("the log goes on", lambda: self.is_served(ATTEMPT_S) and LOST in self.log.read_text())
        crowd.wait_undisturbed()
        crowd.stop()

    def start_full_log(self) -> None:
        """A server whose log is there, and a client."""
        self.log = self.small / "relay.log"
        self.server = self.start(
            self.server_command,
            {
                "bindAddr": LOOPBACK,
                "bindPort": self.bind_port,
                "auth.token": TOKEN,
                "log.to": str(self.log),
                "log.level": "debug",
            },
        )
        self.until("the server is ready", lambda: self.log.exists() and READY in self.log.read_text())
        self.publish_echo()
