"""The foreign package of ``tests/third_party/``: used from configuration files, through both programs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.load import load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.plugins import ProxyTypes
from tests.integration.datagram_traffic import DatagramService, DatagramUser
from tests.integration.programs import FORKED, PATIENCE_S, Program, free_ports, relaykit_command
from tests.integration.traffic import LOOPBACK, Pattern, end_of, exchange, receive_exactly
from tests.layering import ROOT

PACKAGE = ROOT / "tests" / "third_party"

INSTALLED = importlib.util.find_spec("relaykit_knock")

READY = {
    "server": "started successfully",
    "piped-server": "started successfully",
    "alice": "start proxy success",
    "bob": "start visitor success",
    "carol": "[speech] start proxy success",
    "dave": "start visitor success",
    "erin": "start proxy success",
}
"""What each program of the example says when users may come."""

JOINED = "/run/relaykit/pipe"
"""The socket of the example."""

SSH = f'"ssh", "relay.example", "python3", "-m", "relaykit_knock.join", "{JOINED}"'
"""Its command."""

GREETING = b"Welcome to Alice's.\r\n"

ELSEWHERE = "127.0.0.2"
"""An address of this machine that nobody knocks from."""

MIB = 1024 * 1024


class _Shouted(Pattern):
    """The answer to the pattern of the same seed."""

    def at(self, position: int, count: int) -> bytes:
        return super().at(position, count).upper()


class _ExampleTestCase(SynchronousTestCase):
    """Runs the package's example, each time at ports of its own."""

    if INSTALLED is None:
        skip = f"the foreign package is not installed: pip install --no-deps {PACKAGE}"

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ports = dict(zip(range(7000, 7007), free_ports(7), strict=True))
        self.bind_port, self.remote_port, self.visitor_port, self.door, *_ = self.ports.values()

    def write(self, name: str, before: str = "", after: str = "") -> str:
        """Writes a file of the example, with one text replaced by another; answers its path."""
        text = (PACKAGE / "example" / f"{name}.toml").read_text("utf-8")
        self.assertIn(before, text)
        text = text.replace(before, after) if before else text
        text = re.sub(r"\b700[0-6]\b", lambda shown: str(self.ports[int(shown[0])]), text)
        path = self.folder / f"{name}.toml"
        path.write_text(text, "utf-8")
        return str(path)

    def run_command(self, *arguments: str) -> Program:
        """Runs the ``relaykit`` command."""
        program = Program(relaykit_command(*arguments), self.folder, self.environ, forked=FORKED)
        self.addCleanup(program.stop)
        return program

    @property
    def environ(self) -> Mapping[str, str]:
        """Where programs find the package, which may be installed beside this environment."""
        assert INSTALLED is not None and INSTALLED.origin is not None
        return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(INSTALLED.origin).parents[1])])}

    def start(self, name: str, before: str = "", after: str = "") -> Program:
        """Starts a program of the example, changed like :meth:`write`, and waits until it is ready."""
        role = "server" if name.endswith("server") else "client"
        program = self.run_command(role, "-c", self.write(name, before, after))
        program.wait_for(READY[name])
        return program

    def dial(self, port: int, source: str = LOOPBACK) -> socket.socket:
        """A user's connection."""
        user = socket.create_connection((LOOPBACK, port), PATIENCE_S, (source, 0))
        self.addCleanup(user.close)
        return user

    def assert_closed(self, port: int, source: str = LOOPBACK) -> None:
        """Fails if a user who dials this port gets anything but the end."""
        try:
            user = self.dial(port, source)
        except ConnectionResetError:
            return  # so quickly that connecting itself was told of it
        self.assertEqual(end_of(user), b"")

    def assert_open(self, port: int) -> socket.socket:
        """Fails if a user who dials this port is not greeted and shouted at; answers the connection."""
        user = self.dial(port)
        user.sendall(b"is anybody there?")
        self.assertEqual(receive_exactly(user, len(GREETING)), GREETING)
        self.assertEqual(receive_exactly(user, 17), b"IS ANYBODY THERE?")
        return user


class GreetTests(_ExampleTestCase):
    """Tests for the smallest proxy type, in real programs."""

    def test_greeted(self) -> None:
        """Who dials the proxy's port is greeted by the server, then served."""
        self.start("server")
        self.start("erin")
        user = self.dial(self.remote_port)
        user.sendall(b"hello")
        self.assertEqual(receive_exactly(user, 14), b"welcome\r\nHELLO")


class KnockTests(_ExampleTestCase):
    """Tests for the proxy type and the endpoint, in real programs."""

    def test_carrier(self) -> None:
        """Its carrier brings the streams of a client, TLS and mux included, to a server that has it, too."""
        word = '\ntransport.hail.word = "AHOY"'
        self.start("server", "bindPort = 7000", f"bindPort = 7000{word}")
        port = "serverPort = 7000"
        client = self.start("alice", port, f'{port}\ntransport.protocol = "hail"{word}')
        self.assertIn("login to server success", client.output)
        self.assert_closed(self.remote_port)

    def test_listed(self) -> None:
        """The command lists the type and the module that it comes from."""
        listing = self.run_command("plugins")
        self.assertEqual(listing.wait_for_end(), 0)
        self.assertRegex(listing.output, r"(?m)^knock +\S.* relaykit_knock\.knock +gate, knock +a port ")

    def test_knock(self) -> None:
        """The port is closed before the knock; after it, to everybody but those who have knocked.

        What the local service gets and answers is whole, and in order.
        """
        # Longer than the exchange takes on a busy machine.
        server, alice = self.start("server"), self.start("alice", "openSeconds = 60", "openSeconds = 600")
        self.start("bob")
        self.assert_closed(self.remote_port)
        exchange(self.assert_open(self.visitor_port), Pattern(1), _Shouted(1), 16 * MIB)
        self.assertIn("[alice.door] open to 127.0.0.1 for 600 s", server.wait_for("open to"))
        self.assertIn("[door] open to 127.0.0.1 for 600 s: user [bob]", alice.wait_for("knocked"))
        self.assert_open(self.remote_port)
        self.assert_closed(self.remote_port, ELSEWHERE)

    def test_keep_open(self) -> None:
        """A visitor without a port of its own opens the server's port."""
        self.start("server")
        alice = self.start("alice")
        bob = self.write("bob", f"bindPort = {7002}", "bindPort = -1\nkeepOpen = true")
        self.run_command("client", "-c", bob)
        alice.wait_for("user [bob] knocked")
        self.assert_open(self.remote_port)

    def test_closes_again(self) -> None:
        """The port closes when the time is up that the server allows; users that are inside stay."""
        # Whoever knocks gets in even if the machine stands still between the knock and the visit.
        server = self.start("server", "MostSeconds = 600", "MostSeconds = 8")
        self.start("alice")
        self.start("bob")
        inside = self.assert_open(self.visitor_port)
        server.wait_for("closed to 127.0.0.1")
        self.assert_closed(self.remote_port)
        inside.sendall(b"still here")
        self.assertEqual(receive_exactly(inside, 10), b"STILL HERE")

    def test_wrong_secret(self) -> None:
        """Whoever knocks with another secret stays outside; both logs say so, and not the secret."""
        server, alice = self.start("server"), self.start("alice")
        bob = self.start("bob", "open sesame", "open barley")
        self.assert_closed(self.visitor_port)
        self.assert_closed(self.remote_port)
        self.assertIn("wrong secret", bob.wait_for("no visit"))
        server.wait_for("knocked in vain: wrong secret")
        self.assertNotIn("barley", server.output + alice.output + bob.output)

    def test_older_wire(self) -> None:
        """Where signals cannot travel, users are let go at once, and the log says why."""
        self.start("server")
        self.start("alice")
        bob = self.start("bob", "[[visitors]]", 'transport.wireProtocol = "v1"\n\n[[visitors]]')
        self.assert_closed(self.visitor_port)
        self.assertIn("takes no signals", bob.wait_for("no visit"))


class PipeTests(_ExampleTestCase):
    """Tests for the carrier that runs a command, in real programs."""

    def setUp(self) -> None:
        """Chooses a socket for the commands."""
        super().setUp()
        # A path of a unix socket has to be short.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.socket = f"{folder.name}/pipe"

    def start_server(self) -> Program:
        """One that commands can join."""
        return self.start("piped-server", JOINED, self.socket)

    def write_client(self, *command: str, more: str = "") -> str:
        """A client that runs a command to reach its server."""
        return self.write("frank", f"{SSH}]", f"{json.dumps(command)[1:]}\n{more}\n")

    def start_client(self, more: str = "") -> Program:
        """One whose command reaches the server, with a login that is bound to TLS inside."""
        join = (sys.executable, "-m", "relaykit_knock.join", self.socket)
        path = self.write_client(*join, more=f'auth.bound = "require"\n{more}')
        client = self.run_command("client", "-c", path)
        client.wait_for("start proxy success")
        return client

    def assert_served(self) -> socket.socket:
        """Fails if a user is not greeted and shouted at; answers the connection."""
        user = self.dial(self.remote_port)
        user.sendall(b"hello")
        self.assertEqual(receive_exactly(user, 14), b"welcome\r\nHELLO")
        return user

    def test_streams(self) -> None:
        """What is sent comes whole, ends of directions included, with mux and without; the commands end."""
        self.start_server()
        for more in ("", "transport.tcpMux = false"):
            client = self.start_client(more)
            exchange(self.assert_served(), Pattern(3), _Shouted(3), 4 * MIB)
            users = [self.assert_served() for _ in range(20)]
            for user in users:
                user.shutdown(socket.SHUT_WR)
                self.assertEqual(end_of(user), b"")
            commands = [os.pidfd_open(each) for each in client.children()]
            client.stop()
            for command in commands:
                self.assertEqual(select.select([command], [], [], PATIENCE_S)[0], [command], more)
                os.close(command)

    def test_killed(self) -> None:
        """Where the command is killed below a flow the user is told, and the session comes again."""
        self.start_server()
        client = self.start_client()
        user = self.assert_served()
        (command,) = client.children()
        os.kill(command, signal.SIGKILL)
        self.assertEqual(end_of(user), b"")
        client.wait_for("start proxy success", 2)
        self.assert_served()
        (other,) = client.children()
        self.assertNotEqual(command, other)

    def test_refused(self) -> None:
        """How the command ended is told, with what it said, and so is a command that is not there."""
        for command, said in (
            (
                ("sh", "-c", "echo Permission denied >&2; exit 255"),
                "ended with status 255: Permission denied",
            ),
            (("sh", "-c", "echo Welcome to host"), "said b'Welcome to host"),
            ((f"{self.folder}/nowhere",), "No such file or directory"),
            ((sys.executable, "-m", "relaykit_knock.join", self.socket), "there is no relay at"),
        ):
            client = self.run_command("client", "-c", self.write_client(*command))
            client.wait_for(said)
            self.assertNotIn("Traceback", client.output)
            client.stop()

    def test_taken(self) -> None:
        """Where the socket cannot be made the server does not start, and says why."""
        path = self.write("piped-server", JOINED, f"{self.folder}/nowhere/pipe")
        server = self.run_command("server", "-c", path)
        self.assertEqual(server.wait_for_end(), 1)
        self.assertIn("cannot listen at", server.output)
        self.assertNotIn("Traceback", server.output)


class RoomTests(_ExampleTestCase):
    """Tests for the type whose proxies share a port of the server."""

    def enter(self, room: str, port: int | None = None) -> socket.socket:
        """A user who names a room at the door."""
        user = self.dial(self.door if port is None else port)
        user.sendall(f"room {room}\r\n".encode())
        return user

    def test_shared_port(self) -> None:
        """Who names a room gets its service, with nothing lost behind the name; other names get nothing."""
        self.start("server")
        self.start("carol")
        user = self.enter("kitchen")
        user.sendall(b"what is for supper?")
        self.assertEqual(receive_exactly(user, 19), b"WHAT IS FOR SUPPER?")
        exchange(user, Pattern(2), _Shouted(2), 4 * MIB)
        self.assertEqual(end_of(self.enter("cellar")), b"there is no such room\r\n")
        self.assertEqual(end_of(self.enter("no name at all")), b"")

    def test_on_the_bind_port(self) -> None:
        """The port may be the one that clients dial."""
        server = self.start("server", "port = 7003", "port = 7000")
        carol = self.start("carol")
        user = self.enter("kitchen", self.bind_port)
        user.sendall(b"hello")
        self.assertEqual(receive_exactly(user, 5), b"HELLO")
        self.assertNotIn("Traceback", server.output + carol.output)

    def test_taken(self) -> None:
        """Where the port cannot be opened the server does not start, and says which key is about it."""
        with socket.create_server((LOOPBACK, 0)) as other:
            path = self.write("server", "port = 7003", f"port = {other.getsockname()[1]}")
            server = self.run_command("server", "-c", path)
            self.assertEqual(server.wait_for_end(), 1)
        self.assertIn("proxyTypes.room.port", server.output)


class BeaconTests(_ExampleTestCase):
    """Tests for the type that carries datagrams."""

    def setUp(self) -> None:
        """Starts the local service."""
        super().setUp()
        self.service = DatagramService(lambda datagram: datagram[::-1])
        self.addCleanup(self.service.stop)
        self.ports[7005] = self.service.port

    def test_datagrams(self) -> None:
        """Datagrams of any size come whole, and the answers to whoever asked, through a socket of its own."""
        self.start("server")
        carol = self.start("carol", "remotePort = 7004", "remotePort = 0")
        told = carol.wait_for("[lamp] users reach it at ")
        self.check(int(told.rpartition(":")[2]))

    def test_visitor(self) -> None:
        """The same is true of who comes through a visitor."""
        self.start("server")
        self.start("carol", "remotePort = 7004", "remotePort = 0")
        self.start("dave")
        self.check(self.ports[7006])

    def check(self, port: int) -> None:
        """Two users of a port ask and are answered."""
        for source in (LOOPBACK, ELSEWHERE):
            user = DatagramUser(port, source=source)
            self.addCleanup(user.close)
            for payload in (b"ping", b"", bytes(range(256)) * 255 + bytes(227)):
                user.ask(payload, payload[::-1])
        self.assertGreaterEqual(len(self.service.peers), 2)


class MistakeTests(_ExampleTestCase):
    """Tests for what is said of mistakes in a configuration."""

    def problems(self, name: str, before: str, after: str) -> str:
        """What the loader says of a file of the example with this change."""
        path, types = self.write(name, before, after), ProxyTypes.installed()
        load = load_server if name == "server" else load_client
        error = self.assertRaises(ConfigurationProblems, load, path, types=types, environ={})
        return str(error).replace(str(self.folder), "")

    def test_keys_of_the_type(self) -> None:
        """A mistake in a key of the foreign type is told with its file, line, key and reason."""
        for name, before, after, said in (
            (
                "alice",
                "openSeconds = 60",
                "openSeconds = 0",
                '/alice.toml:12: proxies[0].openSeconds (proxy "door"): must be in the range 1..86400',
            ),
            (
                "alice",
                "openSeconds = 60",
                'openSeconds = "long"',
                '[0].openSeconds (proxy "door"): must be a whole number, not the text "long"',
            ),
            (
                "alice",
                "openSeconds",
                "openSecond",
                '[0].openSecond (proxy "door"): unknown key (did you mean openSeconds?)',
            ),
            (
                "alice",
                '"open sesame"',
                '""',
                '/alice.toml:11: proxies[0].secretKey (proxy "door"): must be given, and not ',
            ),
            (
                "bob",
                "bindPort",
                "keepOpen = 1\nbindPort",
                '/bob.toml:12: visitors[0].keepOpen (visitor "to-alice"): must be true or false, not',
            ),
            (
                "bob",
                "bindPort",
                'greeting = "Hello."\nbindPort',
                '/bob.toml:12: visitors[0].greeting (visitor "to-alice"): unknown key',
            ),
            (
                "server",
                "600",
                "86401",
                "/server.toml:3: knockMostSeconds: must be in the range 1..86400",
            ),
            (
                "server",
                "proxyTypes.room",
                "proxyTypes.rom",
                '/server.toml:5: proxyTypes.rom: unknown proxy type "rom" (installed: beacon, ',
            ),
        ):
            self.assertIn(said, self.problems(name, before, after))

    def test_verify(self) -> None:
        """``relaykit verify`` says every mistake at once, and fails."""
        path = self.write("alice", "openSeconds = 60", 'openSeconds = 0\ngreting = "Hello."')
        verify = self.run_command("verify", "-c", path)
        self.assertEqual(verify.wait_for_end(), 1)
        self.assertIn("openSeconds", verify.output)
        self.assertIn("did you mean greeting?", verify.output)
