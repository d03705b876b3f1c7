"""What configurations say about ports, addresses, users and local services, with our programs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.integration.datagram_traffic import DatagramService, ask_all
from tests.integration.dataplane.test_ports import has_ipv6, need_localhost
from tests.integration.programs import Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import NOTHING, TOKEN, RelayTestCase, Table, Way
from tests.integration.traffic import LOOPBACK, converse, dial, end_of, receive_exactly

PRIVILEGED_PORT = 1
"""A port that takes a right to be opened, and that nobody has."""

ELSEWHERE = "127.0.0.2"
"""Another address of the loopback."""


def need_ipv6() -> None:
    """Skips the test where the loopback has no IPv6."""
    if not has_ipv6():
        raise SkipTest("this machine has no IPv6")


def to_pick_from() -> Table:
    """Ports that a server picks from: those that it has picked nobody else takes in the meantime."""
    return {"allowPorts": [{"single": port} for port in free_ports(10)]}


class PortTests(RelayTestCase):
    """Ports on the server: which, how many, on which address."""

    def tcp(self, name: str, remote_port: int, service_port: int) -> Table:
        """A proxy."""
        return {"name": name, "type": "tcp", "localPort": service_port, "remotePort": remote_port}

    def publish_tcp(self, *remote_ports: int, table: Table = NOTHING) -> Program:
        """A client that publishes an echo at each of these ports, as ``p0``, ``p1``, ..."""
        service = self.start_service()
        return self.start_client(
            table, [self.tcp(f"p{number}", port, service.port) for number, port in enumerate(remote_ports)]
        )

    def picked_port(self, server: Program, client: Program, times: int = 1) -> int:
        """The port that the server picked, the so-manieth time, and told."""
        line = server.wait_for("tcp proxy listen port [", times)
        return int(line.partition("listen port [")[2].partition("]")[0])

    def test_picked_port(self) -> None:
        """For port 0 the server picks an allowed one."""
        # They are those of no other test.
        low, *_, high = free_ports(20)
        server = self.start_server({"allowPorts": [{"start": low, "end": high}]})
        client = self.publish_tcp(0)
        client.wait_for("start proxy success")
        port = self.picked_port(server, client)
        self.assertIn(port, range(low, high + 1))
        converse(port)

    def test_picked_port_again(self) -> None:
        """A name whose port the server picked has it again after a restart of its client."""
        server = self.start_server(to_pick_from())
        client = self.publish_tcp(0)
        client.wait_for("start proxy success")
        port = self.picked_port(server, client)
        client.kill()
        server.wait_for("client exit success")
        again = self.publish_tcp(0)
        again.wait_for("start proxy success")
        self.assertEqual(self.picked_port(server, again, times=2), port)

    def test_allowed_ports(self) -> None:
        """A port outside of the allowed ones is refused in frp's words; another proxy is not harmed."""
        allowed, other = free_ports(2)
        self.start_server({"allowPorts": [{"single": allowed}]})
        client = self.publish_tcp(allowed, other)
        client.wait_for("[p1] start error: port not allowed")
        client.wait_for("[p0] start proxy success")
        converse(allowed)

    def test_most_ports_of_a_client(self) -> None:
        """A client gets no more ports than it may have; another client has its own quota."""
        self.start_server({"maxPortsPerClient": 1})
        client = self.publish_tcp(*free_ports(2))
        client.wait_for("start error: exceed the max_ports_per_client")
        client.wait_for("start proxy success")
        self.publish_tcp(free_port(), table={"user": "other"}).wait_for("start proxy success")

    def test_taken_port(self) -> None:
        """A port that another program has is refused in frp's words, and named in the server's log."""
        port = free_port()
        with socket.create_server((LOOPBACK, port)):
            server = self.start_server()
            self.publish_tcp(port).wait_for("[p0] start error: port unavailable")
            server.wait_for("new proxy [p0] type [tcp] error: port unavailable")

    def test_address_of_proxies(self) -> None:
        """Proxies listen on their own address, not on that of the bind port."""
        port = free_port()
        self.start_server({"proxyBindAddr": ELSEWHERE})
        self.publish_tcp(port).wait_for("start proxy success")
        converse(port, host=ELSEWHERE)
        self.assertRaises(ConnectionRefusedError, dial, port)

    def check_ipv6(self, carrier: str) -> None:
        """Everything goes over IPv6 as well: bind port, proxy, local service, visitor."""
        need_ipv6()
        way = Way("v1", tls=True, mux=True, carrier=carrier)
        service = self.start_service(host="::1")
        port, visiting = free_ports(2)
        self.start_server({**way.server(self.bind_port), "bindAddr": "::1"})
        local: Table = {"localIP": "::1", "localPort": service.port}
        client = self.start_client(
            {**way.client, "serverAddr": "::1"},
            [
                {"name": "open", "type": "tcp", "remotePort": port, **local},
                {"name": "secret", "type": "stcp", "secretKey": "k", **local},
            ],
            [
                {
                    "name": "visitor",
                    "type": "stcp",
                    "serverName": "secret",
                    "secretKey": "k",
                    "bindAddr": "::1",
                    "bindPort": visiting,
                }
            ],
        )
        self.wait_published(client)
        converse(port, host="::1")
        converse(visiting, host="::1")

    def test_ipv6(self) -> None:
        """It does over TCP."""
        self.check_ipv6("tcp")

    def test_ipv6_websocket(self) -> None:
        """It does over WebSocket."""
        self.check_ipv6("websocket")

    def test_ipv6_quic(self) -> None:
        """It does over QUIC."""
        self.check_ipv6("quic")

    def test_ipv6_kcp(self) -> None:
        """It does over KCP."""
        self.check_ipv6("kcp")

    def test_every_address(self) -> None:
        """A server on every address is reached over both versions of IP."""
        need_ipv6()
        port = free_port()
        self.start_server({"bindAddr": "0.0.0.0"})
        self.publish_tcp(port, table={"serverAddr": "::1"}).wait_for("start proxy success")
        converse(port)
        converse(port, host="::1")

    def test_bind_port_taken(self) -> None:
        """A server whose bind port is taken says which, and ends with status 1."""
        with socket.create_server((LOOPBACK, self.bind_port)):
            server = self.start(
                self.server_command,
                {"bindAddr": LOOPBACK, "bindPort": self.bind_port, "auth.token": TOKEN},
            )
            self.assertEqual(server.wait_for_end(), 1)
        self.assertIn(str(self.bind_port), server.output.splitlines()[-1])


class ToldPortTests(RelayTestCase):
    """What only our client does."""

    def test_told_port(self) -> None:
        """The client tells where users reach a proxy whose port the server picked."""
        self.start_server({"allowPorts": [{"single": (port := free_port())}]})
        client = self.start_client(proxies=[{"name": "p", "type": "tcp", "localPort": 1, "remotePort": 0}])
        client.wait_for(f"[p] users reach it at {LOOPBACK}:{port}")

    def test_taken_port(self) -> None:
        """Who asks for a port that another program has is told so."""
        with socket.create_server((LOOPBACK, port := free_port())):
            self.start_server()
            client = self.start_client(proxies=[self.tcp(port)])
            client.wait_for("port unavailable (at the server: another program listens there)")

    def test_privileged_port(self) -> None:
        """A server without the right to ports below 1024 says what it takes, and so does its client."""
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            raise SkipTest("there is no setpriv to give up rights with")
        without_rights = () if os.geteuid() else ("setpriv", "--bounding-set=-net_bind_service")
        script = f"import socket; socket.socket().bind(('{LOOPBACK}', {PRIVILEGED_PORT}))"
        bound = subprocess.run(
            [*without_rights, sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        if "PermissionError" not in bound.stderr:
            raise SkipTest(f"no port is privileged, or no right can be given up: {bound.stderr}")
        server = self.start_server(command=(*without_rights, *self.server_command))
        client = self.start_client(proxies=[self.tcp(PRIVILEGED_PORT)])
        for program in (client, server):
            program.wait_for("AmbientCapabilities=CAP_NET_BIND_SERVICE")

    def test_picked_datagram_port(self) -> None:
        """So does a UDP port that the server picked, which is another one than the TCP port of the name."""
        self.start_server(to_pick_from())
        proxies: list[Table] = [
            {"name": kind, "type": kind, "localPort": 1, "remotePort": 0} for kind in ("tcp", "udp")
        ]
        first = self.start_client(proxies=proxies)
        told = []
        for kind in ("tcp", "udp"):
            line = first.wait_for(f"[{kind}] users reach it at {LOOPBACK}:")
            told.append(line[line.index(f"[{kind}]") :].strip())
        first.kill()
        again = self.start_client(proxies=proxies)
        for each in told:
            again.wait_for(each)

    def test_picked_port_of_a_dead_client(self) -> None:
        """A port that was picked stays with its name when another client takes over from a silent one."""
        self.start_server(to_pick_from())
        first = self.start_client(proxies=[self.tcp(0)])
        told = first.wait_for("users reach it at ").partition("reach it")[2]
        first.freeze()
        self.start_client(proxies=[self.tcp(0)]).wait_for(told.strip())

    def tcp(self, remote_port: int) -> Table:
        """A proxy of this port."""
        return {"name": "p", "type": "tcp", "localPort": 1, "remotePort": remote_port}


class LocalServiceTests(RelayTestCase):
    """What a proxy publishes."""

    def publish_local(self, **local: str | int) -> tuple[int, Program]:
        """A client that publishes this; where, and the client."""
        port = free_port()
        self.start_server()
        client = self.start_client(NOTHING, [{"name": "local", "type": "tcp", "remotePort": port, **local}])
        client.wait_for("start proxy success")
        return port, client

    def test_unix_socket(self) -> None:
        """A local service may be a unix socket, named by an endpoint string."""
        # The folder of the test may have a longer path than a socket can.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/echo"
        self.start_service(path=path)
        port, _ = self.publish_local(local=f"unix:{path}")
        converse(port, users=20)

    def test_host_name(self) -> None:
        """A local service may be given by a name."""
        need_localhost()
        service = self.start_service()
        port, _ = self.publish_local(localIP="localhost", localPort=service.port)
        converse(port)

    def test_refusing_service(self) -> None:
        """When the local service refuses, the user is let go, and the log says which, why, and for whom."""
        closed = free_port()
        port, client = self.publish_local(localPort=closed)
        with dial(port) as user:
            user_port = user.getsockname()[1]
            self.assertEqual(end_of(user), b"")
        line = client.wait_for("connect to local service")
        for told in ("[local]", f"tcp:{LOOPBACK}:{closed}", "connection refused", f"{LOOPBACK}:{user_port}"):
            self.assertIn(told, line)
        with dial(port) as user:
            self.assertEqual(end_of(user), b"")


class VisitorTests(RelayTestCase):
    """Who reaches a secret proxy."""

    def secret(self, **more: Any) -> Table:
        """The proxy."""
        return {
            "name": "secret",
            "type": "stcp",
            "secretKey": "key",
            "localPort": self.start_service().port,
            **more,
        }

    def visitor(self, port: int, **more: Any) -> Table:
        """A visitor of it."""
        return {
            "name": "visitor",
            "type": "stcp",
            "serverName": "secret",
            "secretKey": "key",
            "bindPort": port,
            **more,
        }

    def start_visitor(self, user: str, **more: Any) -> tuple[int, Program]:
        """A client of this user with a visitor; where its port is, and the client."""
        port = free_port()
        client = self.start_client({"user": user}, visitors=[self.visitor(port, **more)])
        client.wait_for("start visitor success")
        return port, client

    def start_provider(self, user: str, **more: Any) -> None:
        """A server, and a client of this user with the proxy."""
        self.start_server()
        self.start_client({"user": user}, [self.secret(**more)]).wait_for("start proxy success")

    def check_turned_away(self, port: int, client: Program, reason: str) -> None:
        """A user of the visitor is let go, and its log says why."""
        with dial(port) as user:
            self.assertEqual(end_of(user), b"")
        client.wait_for(reason)

    def test_own_user(self) -> None:
        """Without a list of users, visitors of the own user are let in, and no others."""
        self.start_provider("alice")
        port, _ = self.start_visitor("alice")
        converse(port)
        port, client = self.start_visitor("bob", serverUser="alice")
        self.check_turned_away(port, client, "visitor connection of [alice.secret] user [bob] not allowed")

    def test_listed_users(self) -> None:
        """Users that are listed are let in; the own one is not, unless it is listed, too."""
        self.start_provider("alice", allowUsers=["bob"])
        port, _ = self.start_visitor("bob", serverUser="alice")
        converse(port)
        port, client = self.start_visitor("alice")
        self.check_turned_away(port, client, "visitor connection of [alice.secret] user [alice] not allowed")

    def test_every_user(self) -> None:
        """With a star everybody is let in who has the key."""
        self.start_provider("alice", allowUsers=["*"])
        port, _ = self.start_visitor("bob", serverUser="alice")
        converse(port)

    def test_wrong_key(self) -> None:
        """Without the key nobody is let in."""
        self.start_provider("alice")
        port, client = self.start_visitor("alice", secretKey="guess")
        self.check_turned_away(port, client, "visitor connection of [alice.secret] auth failed")

    def test_unknown_proxy(self) -> None:
        """A visit of what does not exist is refused in frp's words."""
        self.start_provider("alice")
        port, client = self.start_visitor("alice", serverName="other")
        self.check_turned_away(port, client, "custom listener for [alice.other] doesn't exist")

    def test_own_transforms(self) -> None:
        """The two halves of the way are encrypted and compressed independently of each other."""
        self.start_provider("alice", transport={"useEncryption": True})
        port, _ = self.start_visitor("alice", transport={"useCompression": True})
        converse(port, users=20)

    def test_no_port(self) -> None:
        """A visitor with a negative port opens none; its client has no listening socket."""
        self.start_server()
        client = self.start_client(visitors=[self.visitor(-1)])
        client.wait_for("visitor added: [visitor]")
        self.assertEqual(client.listening_ports(), set())

    def test_taken_port(self) -> None:
        """A visitor whose port is taken says so, and the client goes on."""
        port = free_port()
        self.start_provider("alice")
        with socket.create_server((LOOPBACK, port)):
            client = self.start_client({"user": "alice"}, visitors=[self.visitor(port)])
            client.wait_for("start error: ")
            client.wait_for("login to server success")


class SeveralClientsTests(RelayTestCase):
    """Names are shared by all clients of a server, and users keep them apart."""

    def test_same_name(self) -> None:
        """A name that another client has is refused in frp's words; that client is not disturbed."""
        self.start_server()
        service = self.start_service()
        first, second = free_ports(2)
        web = {"name": "web", "type": "tcp", "localPort": service.port}
        self.start_client(NOTHING, [{**web, "remotePort": first}]).wait_for("start proxy success")
        late = self.start_client(NOTHING, [{**web, "remotePort": second}])
        late.wait_for("[web] start error: proxy [web] already exists")
        self.assertRaises(ConnectionRefusedError, dial, second)
        converse(first)

    def test_users(self) -> None:
        """Clients of two users may call their proxies the same."""
        self.start_server()
        service = self.start_service()
        for user in ("alice", "bob"):
            port = free_port()
            self.start_client(
                {"user": user},
                [{"name": "web", "type": "tcp", "localPort": service.port, "remotePort": port}],
            ).wait_for("[web] start proxy success")
            with dial(port) as connection:
                connection.sendall(b"x")
                self.assertEqual(receive_exactly(connection, 1), b"x")


_FILE = """
serverAddr = "{{{{ .Envs.RELAY_HOST }}}}"
serverPort = {bind_port}
auth.token = "{token}"
user = "alice"
start = ["tcp-{first}", "tcp-{second}", "udp-{first}", "udp-{second}", "off"]
metadatas = {{ of = "the client" }}

{{{{- range parseNumberRangePair "{local},{local},{local}" "{first},{second},{unlisted}" }}}}

[[proxies]]
name = "tcp-{{{{ .Second }}}}"
type = "tcp"
localPort = {{{{ .First }}}}
remotePort = {{{{ .Second }}}}
annotations = {{ "example.com/owner" = "somebody" }}
metadatas = {{ of = "the proxy" }}

[[proxies]]
name = "udp-{{{{ .Second }}}}"
type = "udp"
localPort = {local_datagrams}
remotePort = {{{{ .Second }}}}
annotations = {{ "example.com/owner" = "somebody" }}
metadatas = {{ of = "the proxy" }}
{{{{- end }}}}

[[proxies]]
name = "off"
type = "tcp"
enabled = false
localPort = {local}
remotePort = {off}
"""


class FileTests(RelayTestCase):
    """A client's file as people have them: ranges by templates, and a choice of what is started."""

    def test_file(self) -> None:
        """What is listed and enabled is published, under the user's name, and nothing else."""
        first, second, unlisted, off = free_ports(4)
        service = self.start_service()
        datagrams = DatagramService()
        self.addCleanup(datagrams.stop)
        server = self.start_server()
        path = self.folder / "frpc.toml"
        path.write_text(
            _FILE.format(
                bind_port=self.bind_port,
                token=TOKEN,
                local=service.port,
                local_datagrams=datagrams.port,
                first=first,
                second=second,
                unlisted=unlisted,
                off=off,
            )
        )
        client = self.start_file(("env", f"RELAY_HOST={LOOPBACK}", *self.client_command), str(path))
        client.wait_for("start proxy success", 4)
        for port in (first, second):
            for kind in ("tcp", "udp"):
                server.wait_for(f"new proxy [alice.{kind}-{port}] type [{kind}] success")
            converse(port, users=1)
            ask_all(port, users=1)
        for port in (unlisted, off):
            self.assertRaises(ConnectionRefusedError, dial, port)


class FrpcFileTests(FileTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsFileTests(FileTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")


class FrpcPortTests(PortTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsPortTests(PortTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def picked_port(self, server: Program, client: Program, times: int = 1) -> int:
        """The port that the client was told: frp's server logs a picked one as 0."""
        return int(client.wait_for("users reach it at ").rpartition(":")[2])


class FrpcVisitorTests(VisitorTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsVisitorTests(VisitorTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")


class FrpcSeveralClientsTests(SeveralClientsTests):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsSeveralClientsTests(SeveralClientsTests):
    """Frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
