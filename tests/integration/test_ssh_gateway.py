"""The SSH gateway, used by OpenSSH's own client; and what frp's gateway shows for the same commands."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SkipTest

from relaykit.config.schema.server import SshTunnelGateway
from relaykit.ssh_gateway import texts
from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_port,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import NOTHING, RelayTestCase, Table
from tests.integration.terminals import TerminalTestCase
from tests.integration.traffic import (
    FROM_SERVICE,
    FROM_USER,
    LOOPBACK,
    Service,
    dial,
    exchange,
    receive,
    receive_exactly,
    send,
    take_head,
)
from tests.integration.walkthrough import LISTINGS, need, path_of

WORD = "tok"
"""The token: a word of a command."""

BULK_BYTES = 20 * 1024 * 1024
USERS = 40
SLOW_USERS = 8
SLOW_MOST_BYTES = 60 * 1024 * 1024
"""How much the server may grow by for users who do not read: their windows, and what was there before."""

ANNOUNCED = "RemoteAddress: "


def answer_hello(connection: socket.socket) -> None:
    """Answers a request of HTTP."""
    take_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


class GatewayTestCase(RelayTestCase):
    """A server with a gateway, and ssh."""

    def setUp(self) -> None:
        """Has ssh, or skips the test."""
        need("ssh", "ssh-keygen")
        super().setUp()
        self.ssh_port, self.http_port, self.https_port, self.mux_port = (free_port() for _ in range(4))

    def start_gateway(self, table: Table = NOTHING, command: Sequence[str] = ()) -> Program:
        """The server."""
        return self.start_server(
            {
                "auth.token": WORD,
                "vhostHTTPPort": self.http_port,
                "vhostHTTPSPort": self.https_port,
                "tcpmuxHTTPConnectPort": self.mux_port,
                "subDomainHost": "relay.example",
                "sshTunnelGateway.bindPort": self.ssh_port,
                "sshTunnelGateway.autoGenPrivateKeyPath": str(self.folder / "host-key"),
                **table,
            },
            command,
        )

    def ssh_command(self, *words: str, port: int = 0) -> tuple[str, ...]:
        """Its command line, with what keeps it from asking anybody anything."""
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
        )
        return (
            path_of("ssh"),
            "-F",
            "none",
            *(word for each in options for word in ("-o", each)),
            *words,
            "-p",
            str(port or self.ssh_port),
            f"v0@{LOOPBACK}",
        )

    def ssh(self, command: str, service: int | None = None, *words: str, port: int = 0) -> Program:
        """Publishes a service, until the test is over."""
        forward = () if service is None else ("-R", f":80:{LOOPBACK}:{service}")
        program = Program(
            (*self.ssh_command(*forward, *words, port=port), *shlex.split(command)), self.folder
        )
        self.end_with_test(program)
        return program

    def published(self, command: str, service: Service, *words: str) -> Program:
        """The same once users can come."""
        program = self.ssh(command, service.port, *words)
        program.wait_for(ANNOUNCED)
        return program

    def key(self, name: str, comment: str = "") -> tuple[str, str]:
        """A new key of a user: the words that have ssh use it, and its line."""
        path = self.folder / name
        make = [path_of("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
        subprocess.run(make, check=True, timeout=PATIENCE_S)
        return f"-oIdentityFile={path}", Path(f"{path}.pub").read_text()


class ScreenTests(TerminalTestCase):
    """What is shown on a terminal, by the files of the documentation."""

    def test_site(self) -> None:
        """A code of the URL, users as they come, and Ctrl+C, which ends it."""
        need("ssh")
        service = Service(answer_hello)
        self.addCleanup(service.stop)
        http_port = free_port()
        self.replace("7000", free_port())
        self.replace("2200", free_port())
        self.replace("8080", service.port)
        self.replace("80", http_port)
        self.replace("put the token of the server here", WORD)
        self.replace("TOKEN", WORD)
        self.copy("only-ssh/server.toml")
        self.begin("relaykit server -c server.toml").wait_for("started successfully")
        (self.folder / "ssh_config").write_text(
            f"Host relay.example\n HostName {LOOPBACK}\n StrictHostKeyChecking no\n LogLevel ERROR\n"
            " UserKnownHostsFile /dev/null\n"
        )
        self.command("ssh", f'exec {path_of("ssh")} -t -F ssh_config "$@"')
        self.run_in_terminal(self.listing("only-ssh/site.sh"))
        shown = self.seen(f"http://demo.relay.example:{http_port}", "0 users now, 0 in all")
        self.assertIn("\u2580", shown)
        with dial(http_port) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: demo.relay.example\r\nConnection: close\r\n\r\n")
            self.assertTrue(receive_exactly(user, 10_000).endswith(b"hello"))
        self.seen("1 in all")
        self.tmux("send-keys", "C-c")
        self.seen("status 0")


class TypeTests(GatewayTestCase):
    """Each type of proxy."""

    def setUp(self) -> None:
        super().setUp()
        self.service = self.start_service()
        self.server = self.start_gateway()

    def assert_echoes(self, user: socket.socket) -> None:
        """What a user sends comes back."""
        with user:
            exchange(user, FROM_USER, FROM_USER, 100_000)

    def test_tcp(self) -> None:
        """A port of the server; it is free again as soon as ssh has gone."""
        port = free_port()
        for _ in range(2):
            ssh = self.published(f"tcp --remote_port {port} --proxy_name web --token {WORD}", self.service)
            self.assert_echoes(dial(port))
            ssh.kill()
            self.server.wait_for("proxy closing", 1)

    def test_http(self) -> None:
        """A site, by the line of the documentation."""
        site = self.start_service(answer_hello)
        line = (LISTINGS / "only-ssh/site.sh").read_text()
        command = line.partition("2200 ")[2].replace("TOKEN", WORD)
        ssh = self.published(command, site)
        ssh.wait_for("\n", 8)
        announced = (LISTINGS / "only-ssh/announced.txt").read_text()
        self.assertEqual(ssh.output, announced.replace("example:80", f"example:{self.http_port}"))
        with dial(self.http_port) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: demo.relay.example\r\nConnection: close\r\n\r\n")
            self.assertTrue(receive_exactly(user, 10_000).endswith(b"hello"))

    def test_tcpmux(self) -> None:
        """A machine by CONNECT."""
        self.published(f"tcpmux --mux httpconnect --sd pi --token {WORD}", self.service)
        user = dial(self.mux_port)
        user.sendall(b"CONNECT pi.relay.example:22 HTTP/1.1\r\nHost: pi.relay.example:22\r\n\r\n")
        self.assertIn(b" 200 ", take_head(user))
        self.assert_echoes(user)

    def test_stcp(self) -> None:
        """A secret service, for a visitor of our own."""
        self.published(f'stcp --proxy_name db --sk KEY --allow_users "*" --token {WORD}', self.service)
        port = free_port()
        visitor = {"name": "v", "type": "stcp", "serverName": "db", "secretKey": "KEY", "bindPort": port}
        client = self.start_client({"auth.token": WORD}, visitors=[visitor])
        client.wait_for("start visitor success")
        self.assert_echoes(dial(port))

    def test_lines(self) -> None:
        """The other lines of the documentation are understood, too."""
        lines = (LISTINGS / "only-ssh/each-type.sh").read_text().splitlines()
        for line in lines:
            command = line.partition("2200 ")[2].replace("TOKEN", WORD).replace("6000", str(free_port()))
            self.published(command, self.service)
        shown = self.ssh((LISTINGS / "only-ssh/help.sh").read_text().partition("2200 ")[2], 1)
        self.assertEqual(shown.wait_for_end(), 0)
        self.assertIn("--host-header-rewrite", shown.output)


class RefusedTests(GatewayTestCase):
    """What is refused."""

    def test_refused(self) -> None:
        """Who runs ssh is told why, and ssh ends with an error."""
        self.start_gateway()
        for command, service, text in (
            ("tcp --token no", 1, "token in login doesn't match token from configuration"),
            ("tcp", 1, "token in login doesn't match token from configuration"),
            (f"tcp --nope --token {WORD}", 1, "unknown flag: --nope"),
            (f"udp --token {WORD}", 1, "invalid proxy type: udp"),
            (f"tcpmux -d a.example --token {WORD}", 1, "multiplexer: must be given"),
            (f"tcp --token {WORD}", None, texts.NO_FORWARD),
            ("", 1, texts.NO_COMMAND),
        ):
            ssh = self.ssh(command, service)
            self.assertNotEqual(ssh.wait_for_end(), 0, command)
            self.assertIn(text, ssh.output)
        ssh = self.ssh("", 1, "-N", "-oLogLevel=INFO")
        self.assertNotEqual(ssh.wait_for_end(), 0)
        self.assertIn(texts.NO_COMMAND, ssh.output)

    def test_keys(self) -> None:
        """With keys only those get in, who need no token; their comments are their users."""
        good, line = self.key("good", "anna")
        bad, other = self.key("bad")
        example = (LISTINGS / "only-ssh/authorized_keys").read_text()
        keys = self.folder / "keys"
        keys.write_text(f"{example}{line}# the end\n\n")
        server = self.start_gateway({"sshTunnelGateway.authorizedKeysFile": str(keys)})
        service = self.start_service()
        self.published("tcp --proxy_name web --user zed", service, good)
        server.wait_for("new proxy [anna.web] type [tcp] success")
        refused = self.ssh(f"tcp --token {WORD}", 1, bad)
        self.assertEqual(refused.wait_for_end(), 255)
        self.assertIn("Permission denied (publickey)", refused.output)
        keys.write_text(f"{line}{other}")
        self.published("tcp --proxy_name web", service, bad)
        keys.write_text(f'from="192.0.2.1" {other}')
        self.assertEqual(self.ssh("tcp", 1, bad).wait_for_end(), 255)
        server.wait_for("it has options, which are not supported")


class LifeTests(GatewayTestCase):
    """What happens to tunnels."""

    def test_server_ends(self) -> None:
        """When the server ends, ssh is told, and the next one finds the same host key."""
        server = self.start_gateway()
        port = free_port()
        command = f"tcp --remote_port {port} --token {WORD}"
        service = self.start_service()
        known = ("-oStrictHostKeyChecking=accept-new", f"-oUserKnownHostsFile={self.folder}/known")
        ssh = self.published(command, service, *known)
        server.stop()
        self.assertEqual(ssh.wait_for_end(), 1)
        self.assertIn(texts.STOPPED, ssh.output)
        self.start_gateway()
        self.published(command, service, "-oStrictHostKeyChecking=yes", known[1])
        with dial(port) as user:
            exchange(user, FROM_USER, FROM_USER, 1000)

    def test_stopped(self) -> None:
        """A name that a stopped ssh has goes to the next one that wants it; a living one keeps it."""
        self.start_gateway()
        port = free_port()
        command = f"tcp --proxy_name web --remote_port {port} --token {WORD}"
        service = self.start_service()
        first = self.published(command, service)
        refused = self.ssh(command, service.port)
        self.assertEqual(refused.wait_for_end(), 1)
        self.assertIn("proxy [web] already exists", refused.output)
        first.freeze()
        self.published(command, service)
        with dial(port) as user:
            exchange(user, FROM_USER, FROM_USER, 1000)

    def test_two(self) -> None:
        """Tunnels do not get in each other's way."""
        self.start_gateway()
        ports = [free_port(), free_port()]
        for port in ports:
            self.published(f"tcp --remote_port {port} --token {WORD}", self.start_service())
        users = [dial(port) for port in ports]
        for user in users:
            with user:
                exchange(user, FROM_USER, FROM_USER, 100_000)


class TrafficTests(GatewayTestCase):
    """Much at a time."""

    def test_bulk(self) -> None:
        """Many users at once, both ways, while keys are changed: nothing is lost or mixed up."""

        def serve(connection: socket.socket) -> None:
            exchange(connection, FROM_SERVICE, FROM_USER, BULK_BYTES // USERS)

        self.start_gateway()
        port = free_port()
        service = self.start_service(serve)
        self.published(f"tcp --remote_port {port} --token {WORD}", service, "-oRekeyLimit=4M")

        def use(_: int) -> None:
            with dial(port) as user:
                exchange(user, FROM_USER, FROM_SERVICE, BULK_BYTES // USERS)

        with ThreadPoolExecutor(USERS) as users:
            list(users.map(use, range(USERS)))

    def test_slow_users(self) -> None:
        """Users who do not read, and services that do not, cost the server their windows and no more."""

        def pour(connection: socket.socket) -> None:
            # Until nobody is left to take it.
            with contextlib.suppress(ConnectionError):
                send(connection, FROM_SERVICE, 100 * BULK_BYTES)

        server = self.start_gateway()
        port = free_port()
        service = self.start_service(pour)
        self.published(f"tcp --remote_port {port} --token {WORD}", service)
        before = server.resident_bytes()
        users = [dial(port, buffers=64 * 1024) for _ in range(SLOW_USERS)]
        for user in users:
            receive(user, FROM_SERVICE, 1_000_000)
        # Whoever comes now is served, and has gone through all that is queued.
        with dial(port) as user:
            receive(user, FROM_SERVICE, BULK_BYTES)
        self.assertLess(server.resident_bytes() - before, SLOW_MOST_BYTES)
        for user in users:
            user.close()


class FrpTests(GatewayTestCase):
    """The same commands at frp's server."""

    def said(self, command: Sequence[str]) -> Iterator[str]:
        """What ssh shows for each of some commands, at the server that there is."""
        port = free_port()
        for words in (
            f"tcp -n web -r {port} -t {WORD}",
            f"http -n web -d ssh.example --locations /x,/y -t {WORD} -u bob",
            f"tcpmux -n web --mux httpconnect -d a.example -t {WORD}",
            f"stcp -n web --sk s -t {WORD}",
            f"tcp -t {WORD}",
        ):
            ssh = self.ssh(words, 1)
            ssh.wait_for("\n", 8)
            ssh.kill()
            yield re.sub(r"[0-9a-f]{8}\n|:\d+\b", "...", ssh.output)
        for words in ("tcp -n web", "udp", f"tcp --nope -t {WORD}", f"http --remote_port 1 -t {WORD}"):
            ssh = self.ssh(words, 1)
            ssh.wait_for("\n")
            ssh.wait_for_end()
            yield ssh.output.splitlines()[0]

    def test_same(self) -> None:
        """Who runs ssh is shown the same by either server."""
        if missing := missing_frp():
            raise SkipTest(missing)
        shown = []
        for command in (frp_command("frps"), relaykit_command("frps")):
            server = self.start_gateway(command=command)
            shown.append(list(self.said(command)))
            server.stop()
        self.assertEqual(*shown)

    def test_host_key(self) -> None:
        """A key that frp has made where it makes it is used on."""
        if missing := missing_frp():
            raise SkipTest(missing)
        default = {"sshTunnelGateway.autoGenPrivateKeyPath": SshTunnelGateway().auto_gen_private_key_path}
        known = ("-oStrictHostKeyChecking=accept-new", f"-oUserKnownHostsFile={self.folder}/known")
        service = self.start_service()
        for command in (frp_command("frps"), relaykit_command("frps")):
            server = self.start_gateway(default, command)
            self.published(f"stcp --sk s --token {WORD}", service, *known)
            server.stop()
