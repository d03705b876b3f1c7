"""The PROXY protocol on real sockets: with frp at one end, with real load balancers and web servers."""

from __future__ import annotations

import queue
import shutil
import socket
import tempfile
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from attrs import evolve

from relaykit.sansio.parsers.proxy_protocol import (
    PROXY_HEADER,
    VERSIONS,
    MalformedProxyHeader,
    make_proxy_header,
)
from relaykit.values import Address, Origin
from tests.integration.datagram_traffic import DatagramService, DatagramUser
from tests.integration.programs import PATIENCE_S, Program, free_port, free_ports, frp_command, missing_frp
from tests.integration.relays import RelayTestCase, Table, Way
from tests.integration.scenarios import test_each
from tests.integration.traffic import LOOPBACK, dial, end_of, obey, order_exchange, receive_exactly
from tests.integration.walkthrough import WalkTestCase

LOOPBACK6 = "::1"
GREETING = b"220 mail.example.org says first\r\n"


def has_ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    try:
        with socket.create_server((LOOPBACK6, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def take_header(connection: socket.socket) -> tuple[Origin, bytes]:
    """What a service is told of its user, in the bytes that it gets first."""
    data = b""
    while (found := PROXY_HEADER.feed(data)) is None:
        piece = connection.recv(1)
        if not piece:
            raise AssertionError(f"the connection ended after {data!r}")
        data += piece
    origin, length = found
    return origin, data[:length]


def answer_and_note(told: list[tuple[Origin, bytes]], datagram: bytes) -> bytes:
    """A service that answers with all but the header, which it notes."""
    try:
        found = PROXY_HEADER.feed(datagram)
    except MalformedProxyHeader:
        return datagram
    if found is None:
        raise AssertionError(f"{datagram!r} has a part of a header")
    origin, length = found
    told.append((origin, datagram[:length]))
    return datagram[length:]


class AnnouncedUsersTests(RelayTestCase):
    """What services get of our client, behind our server."""

    def setUp(self) -> None:
        """Waits for what services are told."""
        super().setUp()
        self.told: queue.Queue[tuple[Origin, bytes]] = queue.Queue()

    def serve(self, connection: socket.socket) -> None:
        """A service that has the header before it speaks, and speaks before its user does."""
        self.told.put(take_header(connection))
        connection.sendall(GREETING)
        connection.sendall(receive_exactly(connection, 5))

    def check(self, address: str, users: tuple[str, ...], **local: Any) -> None:
        """Users of a port on this address are announced as who they are."""
        self.start_server({"proxyBindAddr": address})
        for version in VERSIONS:
            port = free_port()
            proxy: Table = {
                "name": version,
                "type": "tcp",
                "remotePort": port,
                "transport.proxyProtocolVersion": version,
                **local,
            }
            self.start_client({}, [proxy]).wait_for("start proxy success")
            for host in users:
                with dial(port, host) as user:
                    origin, header = self.told.get(timeout=PATIENCE_S)
                    self.assertEqual(
                        origin, Origin(Address(host, user.getsockname()[1]), Address(host, port))
                    )
                    self.assertEqual(header.startswith(b"PROXY TCP"), version == "v1")
                    self.assertEqual(receive_exactly(user, len(GREETING)), GREETING)
                    user.sendall(b"hello")
                    self.assertEqual(receive_exactly(user, 5), b"hello")

    def test_ipv4(self) -> None:
        """An IPv4 user, who has said nothing yet."""
        service = self.start_service(self.serve)
        self.check(LOOPBACK, (LOOPBACK,), localPort=service.port)

    def test_every_address(self) -> None:
        """On a port of every address an IPv4 user is one of IPv4, and an IPv6 user one of IPv6."""
        users = (LOOPBACK, LOOPBACK6) if has_ipv6() else (LOOPBACK,)
        service = self.start_service(self.serve)
        self.check("::", users, localPort=service.port)


class UnixServiceTests(AnnouncedUsersTests):
    """A service at a unix socket, which is ours alone."""

    def check(self, address: str, users: tuple[str, ...], **local: Any) -> None:
        """The same through a unix socket."""
        # The path of a unix socket may have 107 bytes, and the folder of a test is deep.
        short = tempfile.mkdtemp(prefix="relaykit-")
        self.addCleanup(shutil.rmtree, short)
        path = str(Path(short, "service"))
        self.start_service(self.serve, path=path)
        super().check(address, users, local=f"unix:{path}")


class FrpcTests(AnnouncedUsersTests):
    """Frp's client behind our server, which tells it where users come from."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsTests(AnnouncedUsersTests):
    """Our client behind frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class AnnouncedDatagramsTests(RelayTestCase):
    """What services get of the users of a UDP port, with our client behind our server."""

    def test_flows(self) -> None:
        """The first datagram of each user has a header; version 1 has no words for more than that."""
        told: list[tuple[Origin, bytes]] = []
        service = DatagramService(partial(answer_and_note, told))
        self.addCleanup(service.stop)
        self.start_server({"proxyBindAddr": "::"})
        for version in VERSIONS:
            port = free_port()
            proxy: Table = {
                "name": version,
                "type": "udp",
                "localPort": service.port,
                "remotePort": port,
                "transport.proxyProtocolVersion": version,
            }
            self.start_client({}, [proxy]).wait_for("start proxy success")
            for host in (LOOPBACK, LOOPBACK6) if has_ipv6() else (LOOPBACK,):
                user = DatagramUser(port, host)
                self.addCleanup(user.close)
                user.ask(b"the first question")
                user.ask(b"another question")
                ((origin, header),) = told
                told.clear()
                if version == "v1":
                    self.assertEqual(header, b"PROXY UNKNOWN\r\n")
                else:
                    self.assertEqual(
                        origin, Origin(Address(host, user.port), Address(LOOPBACK, service.port))
                    )


class FrpcDatagramsTests(AnnouncedDatagramsTests):
    """Frp's client behind our server, which tells it where users come from."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class FrpsDatagramsTests(AnnouncedDatagramsTests):
    """Our client behind frp's server."""

    skip = missing_frp()
    server_command = frp_command("frps")


class VisitedDatagramsTests(RelayTestCase):
    """What a service gets of the users of a visitor's UDP port."""

    def test_visit(self) -> None:
        """Announced is the client that visits, once for each user; the log has the users."""
        told: list[tuple[Origin, bytes]] = []
        service = DatagramService(partial(answer_and_note, told))
        self.addCleanup(service.stop)
        self.start_server()
        port = free_port()
        key = {"secretKey": "a key", "type": "sudp"}
        owner = self.start_client(
            {"log.level": "debug"},
            [
                {
                    "name": "secret",
                    "localPort": service.port,
                    "transport.proxyProtocolVersion": "v2",
                    **key,
                }
            ],
        )
        owner.wait_for("start proxy success")
        visitor = self.start_client({}, (), [{"name": "v", "serverName": "secret", "bindPort": port, **key}])
        visitor.wait_for("start visitor success")
        users = [DatagramUser(port) for _ in range(2)]
        for user in users:
            self.addCleanup(user.close)
            user.ask(b"the first question")
            user.ask(b"another question")
        (visiting,) = {origin.source for origin, _ in told}
        assert visiting is not None
        self.assertEqual(len(told), len(users))
        self.assertIn(visiting.port, visitor.ports_towards(self.bind_port))
        visitor.kill()
        for user in users:
            owner.wait_for(f"{visiting} for user {LOOPBACK}:{user.port} at the visitor")


class VisitTests(RelayTestCase):
    """What a service gets of the users of a visitor."""

    def test_visit(self) -> None:
        """Announced is the client that visits, and not what it says of its own users, which the logs have."""
        told: queue.Queue[Origin] = queue.Queue()
        service = self.start_service(lambda connection: told.put(take_header(connection)[0]))
        server = self.start_server({"log.level": "debug"})
        port = free_port()
        key = {"secretKey": "a key", "type": "stcp"}
        owner = self.start_client(
            {"log.level": "debug"},
            [
                {
                    "name": "secret",
                    "localPort": service.port,
                    "transport.proxyProtocolVersion": "v2",
                    **key,
                }
            ],
        )
        owner.wait_for("start proxy success")
        visitor = self.start_client({}, (), [{"name": "v", "serverName": "secret", "bindPort": port, **key}])
        visitor.wait_for("start visitor success")
        with dial(port) as user:
            origin = told.get(timeout=PATIENCE_S)
            assert origin.source is not None
            self.assertNotEqual(origin.source.port, user.getsockname()[1])
            self.assertIn(origin.source.port, visitor.ports_towards(self.bind_port))
            shown = f"{origin.source} for user {LOOPBACK}:{user.getsockname()[1]} at the visitor"
        for end in (server, owner):
            end.wait_for(shown)


SOME_BYTES = 1024 * 1024
"""More than is read together with a header."""

BALANCER = "127.0.0.8"
"""A load balancer that is a test."""

ANNOUNCED = (
    Origin(Address("192.0.2.7", 40001), Address("198.51.100.1", 443)),
    Origin(Address("2001:db8::7", 40001), Address("2001:db8::1", 443)),
)
"""Whom it speaks for."""


@test_each("check_announced", (Way("v2", tls=False, mux=False), Way("v2", tls=True, mux=True)))
class TrustedTests(RelayTestCase):
    """Our server behind a load balancer that is made by hand, which its client is not."""

    def check_announced(self, way: Way) -> None:
        """Who is announced to the server is announced to the service, and what follows arrives whole."""
        told: queue.Queue[Origin] = queue.Queue()

        def serve(connection: socket.socket) -> None:
            told.put(take_header(connection)[0])
            obey(connection)

        service, port = self.start_service(serve), free_port()
        self.start_server({"proxyProtocol.trusted": [f"{BALANCER}/32"], **way.server(self.bind_port)})
        proxy = {
            "name": "a",
            "type": "tcp",
            "localPort": service.port,
            "remotePort": port,
            "transport.proxyProtocolVersion": "v2",
        }
        self.start_client(way.client, [proxy]).wait_for("start proxy success")
        headers = [make_proxy_header(version, origin) for origin in ANNOUNCED for version in VERSIONS]
        for header, origin in zip(headers, (each for each in ANNOUNCED for _ in VERSIONS), strict=True):
            order_exchange(port, SOME_BYTES, BALANCER, before=header)
            self.assertEqual(told.get(timeout=PATIENCE_S), origin)
        order_exchange(port, SOME_BYTES)
        direct = told.get(timeout=PATIENCE_S)
        self.assertEqual(direct.destination, Address(LOOPBACK, port))
        service.wait_served(len(headers) + 1)

    def test_datagrams(self) -> None:
        """Users of datagrams are announced, too, many of them over one socket of the load balancer."""
        told: list[tuple[Origin, bytes]] = []
        service = DatagramService(partial(answer_and_note, told))
        self.addCleanup(service.stop)
        port = free_port()
        self.start_server({"proxyProtocol.trusted": [BALANCER]})
        proxy = {
            "name": "d",
            "type": "udp",
            "localPort": service.port,
            "remotePort": port,
            "transport.proxyProtocolVersion": "v2",
        }
        self.start_client(proxies=[proxy]).wait_for("start proxy success")
        balancer, direct = DatagramUser(port, source=BALANCER), DatagramUser(port)
        for user in (balancer, direct):
            self.addCleanup(user.close)
        for origin in ANNOUNCED:
            header = make_proxy_header("v2", origin, datagrams=True)
            balancer.ask(header + str(origin).encode(), answer=str(origin).encode())
        direct.ask(b"not announced")
        sources = {origin.source for origin, _ in told}
        self.assertEqual(sources, {*(each.source for each in ANNOUNCED), Address(LOOPBACK, direct.port)})

    def test_no_header(self) -> None:
        """A connection of the load balancer without a header is closed, and told of once with what to do."""
        server = self.start_server({"proxyProtocol.trusted": [BALANCER], "log.level": "debug"})
        for _ in range(2):
            with dial(self.bind_port, source=BALANCER) as user:
                user.sendall(b"SSH-2.0-x\r\n")
                self.assertEqual(end_of(user), b"")
        server.wait_for("it does not begin with a PROXY header (2 so far)")
        self.assertEqual(server.output.count("[W]"), server.output.count("(1 so far)"))


class TrustedFrpcTests(TrustedTests):
    """The same with frp's client, which announces whom our server tells it."""

    skip = missing_frp()
    client_command = frp_command("frpc")


class ExtensionsTests(RelayTestCase):
    """What a load balancer says besides addresses, in version 2."""

    def test_handed_on(self) -> None:
        """It is said to the service of our client, too, where the wire has room for it."""
        told: queue.Queue[Origin] = queue.Queue()
        service = self.start_service(lambda connection: told.put(take_header(connection)[0]))
        self.start_server({"proxyProtocol.trusted": [BALANCER]})
        user = evolve(ANNOUNCED[0], tlvs=((2, b"example.org"), (0xE0, bytes(1000))))
        for wire, expected in (("v2", user), ("v1", ANNOUNCED[0])):
            port = free_port()
            proxy = {
                "name": wire,
                "type": "tcp",
                "localPort": service.port,
                "remotePort": port,
                "transport.proxyProtocolVersion": "v2",
            }
            self.start_client({"transport.wireProtocol": wire}, [proxy]).wait_for("start proxy success")
            with dial(port, source=BALANCER) as connection:
                connection.sendall(make_proxy_header("v2", user))
                self.assertEqual(told.get(timeout=PATIENCE_S), expected)


USER = "127.0.0.9"
"""Where the user of the load balancer comes from, who can be told from all others by that."""


class LoadBalancerTests(WalkTestCase):
    """Tests for the howto *Real client addresses behind a relay*: the real programs, from end to end."""

    def setUp(self) -> None:
        """Chooses the ports."""
        super().setUp()
        self.bind_port, self.remote_port, self.front_port, self.web_port, local_port = free_ports(5)
        (self.folder / "token").write_text("a token for tests")
        self.replace("10.0.0.7:80", f"{LOOPBACK}:{self.remote_port}")
        self.replace("10.0.0.7:7000", f"{LOOPBACK}:{self.bind_port}")
        self.replace("10.0.0.5", LOOPBACK)
        self.replace("8080", local_port)
        self.local_port = local_port

    def start_service_nginx(self) -> None:
        """A web server that answers with where its user comes from."""
        here = " ".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.replace("http {", f"http {{ access_log off; {here}")
        self.replace(
            "real_ip_header proxy_protocol;", 'real_ip_header proxy_protocol; return 200 "$remote_addr";'
        )
        self.begin_nginx(self.copy("addresses/service-nginx.conf"))
        self.wait_for_port(self.local_port)

    def start_service_haproxy(self) -> None:
        """The same of HAProxy."""
        configuration = self.copy("addresses/service-haproxy.cfg")
        answer = '    http-request return status 200 content-type text/plain lf-string "%[src]"\n'
        times = "defaults\n    timeout connect 60s\n    timeout client 60s\n    timeout server 60s\n"
        configuration.write_text(times + configuration.read_text() + answer)
        self.begin_haproxy(configuration)
        self.wait_for_port(self.local_port)

    def start_relay(self) -> Program:
        """The relay server, not its client, which goes through the load balancer."""
        self.replace("bindPort = 7000", f'bindAddr = "{LOOPBACK}"\nbindPort = {self.bind_port}')
        self.copy("addresses/server.toml")
        server = self.begin("relaykit server -c server.toml --token-file token")
        server.wait_for("started successfully")
        self.replace("7000", self.front_port)
        self.replace("80", self.web_port)
        return server

    def check(self, server: Program) -> None:
        """The service knows its users, whether they came through the load balancer or not."""
        self.wait_for_port(self.front_port)
        self.replace("remotePort = 80", f"remotePort = {self.remote_port}")
        self.replace(
            'serverAddr = "relay.example"', f'serverAddr = "{LOOPBACK}"\nserverPort = {self.front_port}'
        )
        client = self.folder / "client.toml"
        text = self.listing("addresses/client.toml")
        client.write_text(text.replace(f"remotePort = {self.web_port}", f"remotePort = {self.remote_port}"))
        self.begin("relaykit client -c client.toml --token-file token").wait_for("start proxy success")
        for port in (self.web_port, self.remote_port):
            self.assertEqual(self.fetched(port), USER)
        self.assertNotIn("PROXY header", server.output)

    def fetched(self, port: int) -> str:
        """What the service answers the user."""
        connection = HTTPConnection(LOOPBACK, port, timeout=PATIENCE_S, source_address=(USER, 0))
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        return connection.getresponse().read().decode()

    def test_haproxy(self) -> None:
        """HAProxy announces users and clients, with a checksum; nginx is the service."""
        server = self.start_relay()
        self.start_service_nginx()
        self.begin_haproxy(self.copy("addresses/balancer-haproxy.cfg"))
        self.check(server)

    def test_haproxy_line(self) -> None:
        """The same in version 1."""
        server = self.start_relay()
        self.start_service_nginx()
        self.replace("send-proxy-v2 proxy-v2-options crc32c", "send-proxy")
        self.begin_haproxy(self.copy("addresses/balancer-haproxy.cfg"))
        self.check(server)

    def test_haproxy_extensions(self) -> None:
        """The same in version 2 with more extensions; HAProxy is the service."""
        server = self.start_relay()
        self.start_service_haproxy()
        self.replace("options crc32c", "options crc32c,unique-id,ssl,cert-cn,authority")
        self.replace("bind :", "unique-id-format %{+X}o%pid\n    bind :")
        self.begin_haproxy(self.copy("addresses/balancer-haproxy.cfg"))
        self.check(server)

    def test_nginx(self) -> None:
        """Nginx announces users and clients; HAProxy is the service."""
        server = self.start_relay()
        self.start_service_haproxy()
        self.begin_nginx(self.copy("addresses/balancer-nginx.conf"))
        self.check(server)
