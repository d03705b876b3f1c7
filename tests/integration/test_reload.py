"""Configurations that are read again while users are there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests import LONG_TESTS
from tests.integration.certificates import Authority
from tests.integration.crowds import Crowd, EchoForMany
from tests.integration.programs import (
    PATIENCE_S,
    Program,
    free_ports,
    frp_command,
    missing_frp,
    relaykit_command,
)
from tests.integration.relays import RelayTestCase, Table, _nested
from tests.integration.traffic import converse
from tests.integration.web import Site, WebUser

IS_LONG = bool(os.environ.get(LONG_TESTS))
USERS = 9_000 if IS_LONG else 200
"""Each has two descriptors in this process, and many machines allow 20,000."""

RELOADS = 100 if IS_LONG else 12
SHARE = 10 if IS_LONG else 1
"""One in so many users speaks at each reload; all of them do before the first and after the last."""


class ReloadTestCase(RelayTestCase):
    """A server, and a client whose file is written again."""

    def setUp(self) -> None:
        super().setUp()
        self.echo = EchoForMany()
        self.addCleanup(self.echo.stop)
        self.ports = free_ports(4)
        self.client: Program
        self.reloads = 0

    def proxy(self, name: str, port: int, **more: Any) -> Table:
        """A proxy of the echo."""
        return {"name": name, "type": "tcp", "localPort": self.echo.port, "remotePort": port, **more}

    def write(self, proxies: list[Table], visitors: list[Table] | None = None, **keys: Any) -> None:
        """Writes the client's file."""
        table = {
            "serverAddr": "127.0.0.1",
            "serverPort": self.bind_port,
            "auth.token": "a token for tests",
            "proxies": [_nested(each) for each in proxies],
            "visitors": [_nested(each) for each in visitors or []],
            **keys,
        }
        Path(self.write_configuration(table)).rename(self.path)

    def start_reloaded(self, proxies: list[Table], **keys: Any) -> None:
        """Starts the client, and waits until its proxies can be reached."""
        self.path = self.folder / "client.json"
        self.write(proxies, **keys)
        self.client = self.start_file(relaykit_command("client"), str(self.path))
        self.client.wait_for("start proxy success", len(proxies))

    def reload(self, *, fails: bool = False) -> None:
        """Has it read again, and waits until that is done."""
        self.client.signal(signal.SIGHUP)
        if fails:
            self.client.wait_for("nothing has changed")
            return
        self.reloads += 1
        self.client.wait_for("the configuration was read again: ", self.reloads)


class ClientReloadTests(ReloadTestCase):
    """Our client, before our server."""

    def test_crowd(self) -> None:
        """Users who keep their connections lose nothing, whatever else changes, a new session included."""
        self.allow_descriptors(2 * USERS + 1000)
        self.start_server()
        kept, other, third = self.proxy("kept", self.ports[0]), self.ports[1], self.ports[2]
        self.start_reloaded([kept])
        crowd = Crowd(self.ports[0], USERS)
        self.addCleanup(crowd.leave)
        crowd.speak()
        for number in range(RELOADS):
            self.write(
                [kept, self.proxy("changing", (other, third)[number % 2])],
                metadatas={"number": str(number // 4)},
            )
            self.reload()
            crowd.speak(SHARE)
        crowd.speak()
        self.client.wait_for("start proxy success", 1 + RELOADS)
        converse(self.ports[0])
        converse((other, third)[(RELOADS - 1) % 2])

    def test_entries(self) -> None:
        """What is unchanged is left alone, the rest is what the file says, also after the server is back."""
        server = self.start_server()
        a, b, c, v = self.ports
        secret = {"type": "stcp", "secretKey": "k"}
        served = {"name": "s", "localPort": self.echo.port, **secret}
        visitor = {"name": "v", "serverName": "s", "bindPort": v, **secret}
        self.start_reloaded([self.proxy("a", a), self.proxy("b", b), served], visitors=[visitor])
        on_a, on_b = Crowd(a, 3), Crowd(b, 3)
        self.addCleanup(on_a.leave)
        self.addCleanup(on_b.leave)
        on_a.speak()
        on_b.speak()
        another = EchoForMany()
        self.addCleanup(another.stop)
        wanted = [self.proxy("a", a), {**self.proxy("b", b), "localPort": another.port}, self.proxy("c", c)]
        self.write(wanted)
        self.reload()
        self.client.wait_for("start proxy success", 5)
        on_a.speak()
        on_b.speak()
        for port in (a, b, c):
            converse(port)
        self.assertNotIn(v, self.client.listening_ports())
        self.assertEqual(self.client.output.count("[a] start proxy success"), 1)
        server.kill()
        self.start_server()
        self.client.wait_for("start proxy success", 8)
        for port in (a, b, c):
            converse(port)
        self.write([self.proxy("a", 70000), self.proxy("a", a)], nosuch=1)
        self.reload(fails=True)
        for text in ("proxies[0].remotePort", 'the name "a" is given twice', "nosuch"):
            self.client.wait_for(text)
        for port in (a, b, c):
            converse(port)

    def test_another_server(self) -> None:
        """Another server takes its place, users of the first stay; one that refuses changes nothing."""
        self.start_server()
        self.start_reloaded([self.proxy("a", self.ports[0])])
        crowd = Crowd(self.ports[0], 3)
        self.addCleanup(crowd.leave)
        crowd.speak()
        self.bind_port, _ = free_ports(2)
        self.start_server({"auth.token": "another"})
        self.write([self.proxy("a", self.ports[1])])
        self.reload(fails=True)
        self.client.wait_for("token")
        converse(self.ports[0])
        another: dict[str, Any] = {"auth.token": "another"}
        self.write([self.proxy("a", self.ports[1])], **another)
        self.reload()
        self.client.wait_for("start proxy success", 2)
        converse(self.ports[1])
        crowd.speak()


class ControlTests(ReloadTestCase):
    """What programs are told over their control sockets, and over the client's web server."""

    def ask(self, *words: str) -> str:
        """Runs a command, which succeeds; what it says."""
        done = self.run_command(relaykit_command(*words))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def run_command(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command where the programs run, too."""
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        return subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )

    def test_own_commands(self) -> None:
        """A client is shown, reads its file again and says what is wrong with it, and ends in order."""
        self.start_server()
        self.start_reloaded([self.proxy("a", self.ports[0])])
        crowd = Crowd(self.ports[0], 3)
        self.addCleanup(crowd.leave)
        crowd.speak()
        name = self.path.name
        self.assertIn(f"connected to 127.0.0.1:{self.bind_port} for ", self.ask("status", name))
        self.assertEqual(json.loads(self.ask("status", "-c", name, "--json"))["users"], 3)
        self.write([self.proxy("a", self.ports[0])], user="me", metadatas={"a": "b"})
        said = self.ask("reload", name)
        self.assertIn("In new sessions: metadatas\nOnly after a restart: user\n", said)
        crowd.speak()
        self.write([self.proxy("a", 70000)])
        done = self.run_command(relaykit_command("reload", name))
        self.assertEqual(done.returncode, 1)
        self.assertIn("proxies[0].remotePort", done.stderr)
        crowd.speak()
        another = self.start_file(relaykit_command("client"), str(self.path))
        self.assertNotEqual(another.wait_for_end(), 0)
        crowd.leave()
        self.ask("stop", name)
        self.assertEqual(self.client.wait_for_end(), 0)
        self.assertNotEqual(self.run_command(relaykit_command("status", name)).returncode, 0)

    def test_killed(self) -> None:
        """What a client leaves that was killed is replaced by the next one."""
        self.start_server()
        for _ in range(2):
            self.start_reloaded([self.proxy("a", self.ports[0])])
            self.assertIn("a  tcp  running", self.ask("status", self.path.name))
            self.client.kill()

    def test_web_server(self) -> None:
        """Frp's commands reach our client over its web server, and so do our own of the same names."""
        commands = [relaykit_command("frpc")]
        if missing_frp() is None:
            commands.append(frp_command("frpc"))
        self.start_server()
        for command in commands:
            self.reloads = 0
            keys: dict[str, Any] = {"webServer": {"port": self.ports[3], "user": "u", "password": "p"}}
            self.start_reloaded([self.proxy("a", self.ports[0])], **keys)
            crowd = Crowd(self.ports[0], 3)
            crowd.speak()
            self.write([self.proxy("a", self.ports[0]), self.proxy("b", self.ports[1])], **keys)
            done = self.run_command((*command, "reload", "-c", str(self.path)))
            self.assertEqual((done.returncode, done.stdout.strip()), (0, "reload success"), done.stderr)
            self.client.wait_for("start proxy success", 2)
            crowd.speak()
            converse(self.ports[1])
            done = self.run_command((*command, "status", "-c", str(self.path)))
            self.assertIn(f"127.0.0.1:{self.ports[1]}", done.stdout)
            done = self.run_command((*command, "stop", "-c", str(self.path)))
            self.assertEqual((done.returncode, done.stdout.strip()), (0, "stop success"), done.stderr)
            crowd.leave()
            self.assertEqual(self.client.wait_for_end(), 0)


class ServerReloadTests(ReloadTestCase):
    """Our server, whose file is written again, before our client and frp's."""

    client_commands = (relaykit_command("client"), *(() if missing_frp() else (frp_command("frpc"),)))

    def write_server(self, **keys: Any) -> None:
        """Writes the server's file."""
        table = {"bindPort": self.bind_port, "auth.token": "a token for tests", **keys}
        Path(self.write_configuration(table)).rename(self.server_path)

    def test_crowd(self) -> None:
        """Users lose nothing while token, ports, limits and log change; the token counts from then on."""
        self.allow_descriptors(2 * USERS + 1000)
        for command in self.client_commands:
            self.bind_port, _ = free_ports(2)
            self.server_path = self.folder / "server.json"
            self.write_server()
            server = self.start_file(relaykit_command("server"), str(self.server_path))
            server.wait_for("started successfully")
            self.path = self.folder / "client.json"
            self.write([self.proxy("kept", self.ports[0])])
            self.client = self.start_file(command, str(self.path))
            self.client.wait_for("start proxy success")
            crowd = Crowd(self.ports[0], USERS)
            crowd.speak()
            for number in range(RELOADS):
                self.write_server(
                    **{
                        "auth.token": f"token {number}",
                        "allowPorts": [{"single": self.ports[0]}, {"single": 6000 + number}],
                        "maxPortsPerClient": number,
                        "log.level": ("info", "debug")[number % 2],
                    }
                )
                server.signal(signal.SIGHUP)
                server.wait_for("the configuration was read again: ", number + 1)
                crowd.speak(SHARE)
            crowd.speak()
            converse(self.ports[0])
            late = self.start_file(relaykit_command("frpc"), str(self.path))
            self.assertEqual(late.wait_for_end(), 1)
            token: dict[str, Any] = {"auth.token": f"token {RELOADS - 1}", "user": "new"}
            self.write([self.proxy("new", 0)], **token)
            new = self.start_file(relaykit_command("frpc"), str(self.path))
            new.wait_for("start proxy success")
            new.stop()
            self.write_server(bindPort=70000, nosuch=1)
            server.signal(signal.SIGHUP)
            server.wait_for("nothing has changed")
            crowd.speak()
            crowd.leave()
            self.client.stop()
            server.stop()


class SiteReloadTests(ReloadTestCase):
    """The ports and settings of sites at a server that runs."""

    def write_server(self, **keys: Any) -> None:
        """Writes the server's file."""
        table = {"bindPort": self.bind_port, "auth.token": "a token for tests", **keys}
        Path(self.write_configuration(table)).rename(self.server_path)

    def assert_served(self, user: WebUser) -> None:
        """A user gets an answer of the site."""
        self.assertEqual(user.ask("a.example").status, 200)

    def test_moved(self) -> None:
        """A user with a connection loses no request while ports, certificates and time-outs change."""
        one, other, tls, taken = self.ports
        self.server_path = self.folder / "server.json"
        self.write_server(vhostHTTPPort=one)
        server = self.start_file(relaykit_command("server"), str(self.server_path))
        server.wait_for("started successfully")
        site = {"name": "site", "type": "http", "customDomains": ["a.example"]}
        self.start_reloaded([{**site, "localPort": self.start_service(Site("site")).port}])
        files = Authority(self.folder).certify("a.example")
        entry = {"certFile": str(files.certificate), "keyFile": str(files.key)}
        changes: Sequence[dict[str, Any]] = (
            {"vhostHTTPPort": other},
            {"vhostHTTPPort": other, "vhostHTTPTimeout": 7},
            {"vhostHTTPPort": one, "vhostHTTPSPort": tls, "vhostHTTPSCertificates": [entry]},
            {"vhostHTTPPort": other},
        )
        with WebUser.dial(one) as user:
            self.assert_served(user)
            for number, keys in enumerate(changes):
                self.write_server(**keys)
                server.signal(signal.SIGHUP)
                server.wait_for("the configuration was read again: ", number + 1)
                self.assert_served(user)
                with WebUser.dial(keys["vhostHTTPPort"]) as new:
                    self.assert_served(new)
                ports = {port for key, port in keys.items() if key.endswith("Port")}
                self.assertEqual(server.listening_ports() & set(self.ports), ports)
            with socket.create_server(("0.0.0.0", taken)):
                self.write_server(vhostHTTPPort=taken)
                server.signal(signal.SIGHUP)
                server.wait_for("nothing has changed")
                self.assertIn(f"vhostHTTPPort: cannot listen on 0.0.0.0:{taken}", server.output)
            self.assert_served(user)
            with WebUser.dial(other) as new:
                self.assert_served(new)


class SupervisorTests(ReloadTestCase):
    """What systemd is told."""

    def test_told(self) -> None:
        """Readiness, a reload and its end, the state in words, signs of life and the end are told."""
        # Its path must not be long.
        folder = tempfile.mkdtemp(dir="/tmp")
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
            hearing.bind(str(path))
            hearing.settimeout(PATIENCE_S)
            environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}

            def hear(text: str) -> None:
                deadline = time.monotonic() + PATIENCE_S
                while text not in hearing.recv(1000).decode():
                    self.assertLess(time.monotonic(), deadline, f"{text} was not told")

            server = self.start_file(
                relaykit_command("server"),
                self.write_configuration({"bindPort": self.bind_port, "auth.token": "a token for tests"}),
                environ=environ,
            )
            for text in ("READY=1", "STATUS=0 clients, 0 proxies; 0 users", "WATCHDOG=1"):
                hear(text)
            server.signal(signal.SIGHUP)
            for text in ("RELOADING=1\nMONOTONIC_USEC=", "READY=1"):
                hear(text)
            server.terminate()
            hear("STOPPING=1")
            server.wait_for_end()
            self.path = self.folder / "client.json"
            self.write([self.proxy("a", self.ports[0])])
            self.client = self.start_file(relaykit_command("client"), str(self.path), environ=environ)
            for text in ("READY=1", f"STATUS=not connected to 127.0.0.1:{self.bind_port}; 0 users"):
                hear(text)
            self.path.write_text("nosuch = 1")
            self.reload(fails=True)
            for text in ("RELOADING=1", "READY=1"):
                hear(text)


class FrpServerTests(ReloadTestCase):
    """Our client, before frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def test_crowd(self) -> None:
        """Users who keep their connections lose nothing there either."""
        if IS_LONG:
            raise SkipTest("the long run is for our own server")
        for muxed in (True, False):
            self.bind_port = free_ports(1)[0]
            server = self.start_server({"transport.tcpMux": muxed})
            self.reloads, kept = 0, self.proxy("kept", self.ports[0])
            self.start_reloaded([kept], **{"transport.tcpMux": muxed})
            crowd = Crowd(self.ports[0], 50)
            crowd.speak()
            for number in range(4):
                keys: dict[str, Any] = {
                    "transport.tcpMux": muxed,
                    "metadatas": {"number": str(number // 2)},
                }
                self.write([kept, self.proxy("changing", self.ports[1 + number % 2])], **keys)
                self.reload()
                crowd.speak()
                # There is a new session where these are others.
                self.client.wait_for("[kept] start proxy success", 2 + number // 2)
            converse(self.ports[0])
            crowd.leave()
            self.client.stop()
            server.stop()
