"""Plugins over HTTP: our server asks programs, about clients of ours and of frp."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.certificates import Authority
from tests.integration.http_plugin import Plugin
from tests.integration.programs import Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import NOTHING, TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, converse, dial, end_of
from tests.layering import ROOT

OPERATIONS = ["Login", "NewProxy", "CloseProxy", "Ping", "NewWorkConn", "NewUserConn"]
UNANSWERED = "a plugin of the server gave no answer that counts"
LISTING = ROOT / "docs" / "listings" / "http-plugins/plugin.py"


class PluginTestCase(RelayTestCase):
    """A server that asks plugins."""

    own_client: Sequence[str] = ()

    @property
    def server_table(self) -> Table:
        """What a server has besides plugins."""
        return {
            "bindAddr": LOOPBACK,
            "bindPort": self.bind_port,
            "auth.token": TOKEN,
            "log.level": "trace",
        }

    def start_plugin(self, shown: Sequence[str] = ()) -> tuple[Plugin, int]:
        """A plugin that runs, and its port."""
        port = free_port()
        plugin = Plugin(self.folder, port, shown)
        self.addCleanup(plugin.program.stop)
        return plugin, port

    def serve(self, *plugins: Table) -> Program:
        """A server that asks these; without ``ops``, about everything."""
        tables = [{"ops": OPERATIONS, **each} for each in plugins]
        return self.start_server({"httpPlugins": tables, "log.level": "trace"})

    def log_in(self, user: str = "", proxies: Sequence[Table] = (), table: Table = NOTHING) -> Program:
        """A client of a user."""
        keys = {"user": user, "metadatas": {"team": "blue"}, **table}
        return self.start_client(keys, proxies, command=self.own_client)

    def echo(self, port: int, name: str = "echo") -> Table:
        """A proxy."""
        local = self.start_service().port
        return {"name": name, "type": "tcp", "localPort": local, "remotePort": port}

    def check_refused(self, client: Program, why: str) -> None:
        """A client is not let in, and knows why."""
        self.assertEqual(client.wait_for_end(), 1)
        self.assertIn(why, client.output)


class PluginTests(PluginTestCase):
    """Our client."""

    def test_operations(self) -> None:
        """A plugin is asked about all that a client and its users do, in frp's words."""
        plugin, at = self.start_plugin()
        self.serve({"name": "all", "addr": f"{LOOPBACK}:{at}", "path": "/handler"})
        port = free_port()
        without_mux = {"transport.tcpMux": False, "transport.heartbeatInterval": 1}
        client = self.log_in("ann", [self.echo(port)], without_mux)
        client.wait_for("start proxy success")
        converse(port)
        login, proxy = plugin.asked("Login"), plugin.asked("NewProxy")
        self.assertEqual((login["user"], login["metas"]), ("ann", {"team": "blue"}))
        self.assertTrue(login["client_address"].startswith(f"{LOOPBACK}:"))
        self.assertNotIn("privilege_key", login)
        user = proxy["user"]
        self.assertEqual((user["user"], user["metas"]), ("ann", {"team": "blue"}))
        self.assertEqual((proxy["proxy_name"], proxy["proxy_type"]), ("ann.echo", "tcp"))
        self.assertEqual(proxy["remote_port"], port)
        self.assertEqual(plugin.asked("NewWorkConn"), {"user": user, "run_id": user["run_id"]})
        visited = plugin.asked("NewUserConn")
        self.assertTrue(visited.pop("remote_addr").startswith(f"{LOOPBACK}:"))
        self.assertEqual(visited, {"user": user, "proxy_name": "ann.echo", "proxy_type": "tcp"})
        self.assertEqual(plugin.asked("Ping"), {"user": user})
        client.stop()
        self.assertEqual(plugin.asked("CloseProxy"), {"user": user, "proxy_name": "ann.echo"})
        self.assertEqual(plugin.questions[0]["target"], "/handler?op=Login&version=0.1.0")

    def test_visits(self) -> None:
        """A plugin is asked about visits, of streams and of datagrams."""
        plugin, at = self.start_plugin()
        self.serve({"addr": f"{LOOPBACK}:{at}", "ops": ["NewUserConn"]})
        local, secret = self.start_service().port, {"secretKey": "a key", "allowUsers": ["*"]}
        owner = self.log_in(
            "ann",
            [
                {"name": "one", "type": "stcp", "localPort": local, **secret},
                {"name": "two", "type": "sudp", "localPort": local, **secret},
            ],
        )
        owner.wait_for("start proxy success", 2)
        ports = free_ports(2)
        visitors: list[Table] = [
            {"name": "v1", "type": "stcp", "serverName": "one", "bindPort": ports[0]},
            {"name": "v2", "type": "sudp", "serverName": "two", "bindPort": ports[1]},
        ]
        visitor = self.start_client(
            {"user": "bob"},
            visitors=[{"serverUser": "ann", "secretKey": "a key", **each} for each in visitors],
            command=self.own_client,
        )
        visitor.wait_for("start visitor success", 2)
        converse(ports[0])
        asked = plugin.asked("NewUserConn")
        self.assertEqual((asked["proxy_name"], asked["proxy_type"]), ("ann.one", "stcp"))
        with socket.socket(type=socket.SOCK_DGRAM) as user:
            user.sendto(b"hello", (LOOPBACK, ports[1]))
            plugin.program.wait_for('"proxy_name": "ann.two", "proxy_type": "sudp"')

    def test_rejected(self) -> None:
        """A client is told why it does not get in, and a user who may not come is closed."""
        plugin, at = self.start_plugin()
        server = self.serve({"name": "strict", "addr": f"{LOOPBACK}:{at}"})
        self.check_refused(self.log_in("rejecting", table={"loginFailExit": True}), "no Login today")
        server.wait_for(": no Login today")
        port = free_port()
        self.log_in("picky", [self.echo(port)]).wait_for("start proxy success")
        with dial(port) as user:
            self.assertEqual(end_of(user), b"")
        server.wait_for("policy strict refuses UserRequest")
        plugin.asked("NewUserConn")

    def test_changed(self) -> None:
        """What plugins change is what counts, and what the next ones are asked about."""
        (plugin, at), (second, other) = self.start_plugin(), self.start_plugin()
        self.serve({"addr": f"{LOOPBACK}:{at}"}, {"addr": f"http://{LOOPBACK}:{other}", "ops": ["NewProxy"]})
        port = free_port()
        # Each adds one to it.
        client = self.log_in("changing", [self.echo(port - 2)])
        client.wait_for("start proxy success")
        converse(port)
        self.assertEqual(plugin.asked("NewProxy")["user"]["user"], "changed")
        self.assertEqual(plugin.asked("NewProxy")["user"]["metas"], {"team": "red"})
        self.assertEqual(second.asked("NewProxy")["remote_port"], port - 1)

    def test_renamed(self) -> None:
        """A proxy whose name a plugin changes is refused."""
        _, at = self.start_plugin()
        server = self.serve({"name": "odd", "addr": f"{LOOPBACK}:{at}"})
        client = self.log_in("renaming", [self.echo(free_port())])
        client.wait_for(UNANSWERED)
        server.wait_for("plugin odd was asked about NewProxy: the answer changes proxy_name")

    def test_no_answer(self) -> None:
        """A plugin that gives no answer lets nobody in; the log says why, and the server lives on."""
        plugin, at = self.start_plugin()
        server = self.serve({"name": "odd", "addr": f"{LOOPBACK}:{at}"})
        for user, why in (
            ("hanging", "it did not answer within 4 seconds"),
            ("slow", "it did not answer within 4 seconds"),
            ("closing", "its answer is cut short"),
            ("failing", "the answer has status 500"),
            ("empty", "the answer neither rejects, nor has unchange or content"),
            ("huge", "its answer is longer than 262144 bytes"),
        ):
            before = server.output.count(why)
            self.check_refused(self.log_in(user, table={"loginFailExit": True}), UNANSWERED)
            server.wait_for(f"plugin odd was asked about Login: {why}", before + 1)
            port = free_port()
            client = self.log_in("well", [self.echo(port)])
            client.wait_for("start proxy success")
            converse(port)
            client.stop()
        server.wait_for("plugin odd answers again", 6)
        # Of the 1 GiB of one answer little was read.
        self.assertLess(server.peak_resident_bytes(), 512 * 1024 * 1024)
        plugin.program.stop()
        self.check_refused(self.log_in("well", table={"loginFailExit": True}), UNANSWERED)
        server.wait_for("plugin odd was asked about Login: it cannot be asked")

    def test_tls(self) -> None:
        """The certificate of a plugin is verified unless the file says otherwise; secrets are in no log."""
        authority = Authority(self.folder)
        shown = authority.certify("plugin.example", [LOOPBACK])
        plugin, at = self.start_plugin((str(shown.certificate), str(shown.key)))
        table = {"addr": f"https://me:sesame@{LOOPBACK}:{at}", "path": "/hush", "ops": ["Login"]}
        trust = {"SSL_CERT_FILE": str(authority.file)}
        for keys, environ, is_asked in (
            ({}, {}, False),
            ({}, trust, True),
            ({"tlsVerify": False}, {}, True),
        ):
            server = self.start(
                self.server_command,
                {**self.server_table, "httpPlugins": [{**table, **keys}]},
                environ,
            )
            server.wait_for("started successfully")
            client = self.log_in("ann", table={"loginFailExit": True})
            if is_asked:
                client.wait_for("login to server success")
                client.stop()
            else:
                self.check_refused(client, UNANSWERED)
                server.wait_for("certificate")
            server.stop()
            for secret in ("sesame", "hush"):
                self.assertNotIn(secret, server.output)
        question = plugin.questions[0]
        self.assertEqual(question["authorization"], "Basic bWU6c2VzYW1l")
        self.assertTrue(question["target"].startswith("/hush?"))

    def test_reload(self) -> None:
        """Plugins that the server's file names later count at once, and so does that it names none."""
        plugin, at = self.start_plugin()
        file = Path(self.write_configuration({**self.server_table, "httpPlugins": []}))
        server = self.start_file(self.server_command, str(file))
        server.wait_for("started successfully")
        port = free_port()
        self.log_in("picky", [self.echo(port)]).wait_for("start proxy success")
        converse(port)
        table: Table = {"name": "strict", "addr": f"{LOOPBACK}:{at}", "ops": ["NewUserConn"]}
        for number, (tables, is_asked) in enumerate((([table], True), ([], False))):
            Path(self.write_configuration({**self.server_table, "httpPlugins": tables})).rename(file)
            server.signal(signal.SIGHUP)
            server.wait_for("the configuration was read again: httpPlugins from now on", number + 1)
            if is_asked:
                with dial(port) as user:
                    self.assertEqual(end_of(user), b"")
            else:
                converse(port)
        self.assertEqual(len(plugin.questions), 1)

    def test_listing(self) -> None:
        """The plugin that the documentation shows lets its users in, with their ports."""
        at = free_port()
        plugin = Program((sys.executable, str(LISTING), str(at)), self.folder)
        self.end_with_test(plugin)
        plugin.wait_for("Starting factory")
        self.serve({"addr": f"{LOOPBACK}:{at}", "path": "/", "ops": ["Login", "NewProxy"]})
        with_token = {"metadatas": {"token": "apple"}}
        stranger = self.log_in("ann", table={"loginFailExit": True})
        self.check_refused(stranger, "no such user, or another token")
        client = self.log_in("ann", [self.echo(7000)], with_token)
        client.wait_for("you may have proxies of type tcp, on the ports 6000 to 6009")


class FrpTests(PluginTests):
    """frp's client."""

    skip = missing_frp()

    def setUp(self) -> None:
        """Has it run in ours' place."""
        super().setUp()
        self.own_client = frp_command("frpc")


class SameQuestionsTests(PluginTestCase):
    """frp's client, before frp's server and before ours."""

    skip = missing_frp()

    def questions_at(self, command: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a server of this program asks first about each operation, without what differs each time."""
        plugin, at = self.start_plugin()
        self.bind_port = free_port()
        table = {"name": "all", "addr": f"{LOOPBACK}:{at}", "path": "/handler", "ops": OPERATIONS}
        without_mux = {"transport.tcpMux": False}
        server = self.start_server({"httpPlugins": [table], **without_mux}, command)
        port = free_port()
        proxy = {
            **self.echo(port),
            "transport": {"useEncryption": True, "bandwidthLimit": "10MB", "bandwidthLimitMode": "server"},
            "metadatas": {"b": "2", "a": "1"},
            "annotations": {"note": "<x>"},
            "loadBalancer": {"group": "g", "groupKey": "k"},
        }
        keys = {"user": "ann", "clientID": "home", "metadatas": {"team": "blue"}, "transport.poolCount": 2}
        client = self.start_client(
            {**keys, **without_mux, "transport.heartbeatInterval": 1}, [proxy], command=frp_command("frpc")
        )
        client.wait_for("start proxy success")
        converse(port)
        asked = {each: plugin.asked(each) for each in OPERATIONS if each != "CloseProxy"}
        client.stop()
        asked["CloseProxy"] = plugin.asked("CloseProxy")
        server.stop()
        for content in asked.values():
            for holder in (content, content["user"]):
                if isinstance(holder, dict):
                    for key in ("privilege_key", "timestamp", "run_id", "remote_port"):
                        holder.pop(key, None)
            for key in ("client_address", "remote_addr"):
                if key in content:
                    content[key] = content[key].rpartition(":")[0]
        return asked

    def test_same(self) -> None:
        """Plugins are asked the same by both, but for what proves the token."""
        theirs, ours = (self.questions_at(each) for each in (frp_command("frps"), self.server_command))
        for operation in OPERATIONS:
            self.assertEqual(list(ours[operation].items()), list(theirs[operation].items()))
