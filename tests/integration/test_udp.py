"""The proxy type ``udp`` between programs: ours at both ends, and frp's at either one."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from twisted.trial.unittest import SkipTest

from tests.integration.datagram_traffic import DatagramService, DatagramUser, ask_all, echo_datagram
from tests.integration.dataplane.test_ports import has_ipv6
from tests.integration.faults.cutter import Cutter
from tests.integration.programs import Program, free_port, frp_command, missing_frp
from tests.integration.relays import NOTHING, RelayTestCase, Table, Way
from tests.integration.scenarios import OVER_DATAGRAMS, SOME_WEBSOCKETS, SOME_WSS, test_each
from tests.integration.traffic import LOOPBACK, PIECE_BYTES, dial

MANY_USERS = 300
"""Users at once."""

WAYS = [
    Way(wire, tls=tls, mux=mux, transforms=transforms)
    for wire in ("v1", "v2")
    for tls, mux, transforms in ((False, True, False), (True, False, True), (True, True, True))
]
"""Each setting in both positions."""

BARE = [Way(wire, tls=False, mux=False) for wire in ("v1", "v2")]
"""Every work connection is a connection of its own, and nothing is hidden."""

QUIC = Way("v2", tls=True, mux=True, carrier="quic")
"""What has datagrams of its own."""

PINGS = 200
"""Questions of which the median time is told."""

LARGER = b"larger: "
"""What begins like this is answered by something larger."""


def pour(connection: socket.socket) -> None:
    """A service that sends as much as its user takes."""
    piece = bytes(PIECE_BYTES)
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(piece)


def drain(connection: socket.socket) -> None:
    """Takes all that comes."""
    with contextlib.suppress(OSError):
        while connection.recv(PIECE_BYTES):
            pass


def larger(datagram: bytes) -> bytes:
    """A service whose answers are sometimes larger than the questions."""
    return datagram + bytes(5000) if datagram.startswith(LARGER) else datagram


class UdpTestCase(RelayTestCase):
    """A server, a client with a proxy, and a service; a subclass says which programs."""

    too_large = bytes(60_000)
    """What has no room in frp's format, or is answered by what has none; frp's ends cut what they get."""

    port = 0
    """The proxy's on the server."""

    def serve(
        self, serve: Callable[[bytes], bytes] = echo_datagram, host: str = LOOPBACK, port: int = 0
    ) -> DatagramService:
        """A local service."""
        service = DatagramService(serve, host, port)
        self.addCleanup(service.stop)
        return service

    def user(self, host: str = LOOPBACK) -> DatagramUser:
        """A user of the proxy."""
        user = DatagramUser(self.port, host)
        self.addCleanup(user.close)
        return user

    def publish_udp(
        self,
        way: Way,
        service: DatagramService,
        proxy: Table = NOTHING,
        client: Table = NOTHING,
        again: bool = False,
        more: Sequence[Table] = (),
    ) -> Program:
        """A client that publishes the service; once more at the port that it had, or at a new one."""
        self.port = self.port if again else free_port()
        started = self.start_client(
            {**way.client, **client},
            [
                {
                    "name": "dns",
                    "type": "udp",
                    "localPort": service.port,
                    "remotePort": self.port,
                    **way.flow,
                    **proxy,
                },
                *more,
            ],
        )
        started.wait_for("start proxy success")
        return started

    def check_traffic(self, way: Way) -> None:
        """Each of many users gets what is for it, small, empty and as large as always passes."""
        service = self.serve()
        self.start_server(way.server(self.bind_port)).wait_for("started successfully")
        self.publish_udp(way, service)
        user = self.user()
        for size in (5, 0, 1, 1472, 1500):
            user.ask(bytes(size))
        ask_all(self.port, MANY_USERS)
        self.assertGreaterEqual(len(service.peers), MANY_USERS)

    def check_work_connection_lost(self, way: Way) -> None:
        """When its work connection dies, the proxy gets another one, and the session lives on."""
        self.start_server(way.server(self.bind_port))
        cutter = Cutter(self.bind_port)
        self.addCleanup(cutter.stop)
        client = self.publish_udp(way, self.serve(), client={"serverPort": cutter.port})
        user = self.user()
        user.ask(b"before")
        cutter.cut(kept=1)
        user.ask(b"after")
        self.assertEqual(client.output.count("login to server success"), 1)

    def check_life(self, way: Way) -> None:
        """Small datagrams pass after a large one, and after a service or a client was started again."""
        service = self.serve(larger, port=free_port())
        self.start_server(way.server(self.bind_port))
        client = self.publish_udp(way, service)
        user = self.user()
        user.ask(b"1")
        user.send(self.too_large)
        user.ask(b"2")
        service.stop()
        user.send(b"nobody listens")
        self.serve(larger, port=service.port)
        user.ask(b"3")
        client.kill()
        self.publish_udp(way, service, again=True)
        user.ask(b"4")
        ask_all(self.port, MANY_USERS)


@test_each(
    "check_traffic",
    [*WAYS, Way("auto", tls=True, mux=True), *SOME_WEBSOCKETS[2:], *SOME_WSS, *OVER_DATAGRAMS],
)
@test_each("check_sizes", [Way("auto", tls=True, mux=True), QUIC])
@test_each("check_beside_bulk", [Way("v2", tls=True, mux=True), QUIC])
@test_each("check_work_connection_lost", BARE)
@test_each("check_life", [*BARE, QUIC])
class OurPairTests(UdpTestCase):
    """Both ends are ours."""

    def check_sizes(self, way: Way) -> None:
        """Between our own ends datagrams of every size pass, whatever is configured."""
        self.start_server({**way.server(self.bind_port), "udpPacketSize": 1})
        self.publish_udp(way, self.serve(), client={"udpPacketSize": 1})
        user = self.user()
        for size in (1, 1200, 1472, 1500, 1501, 10_240, 65_507):
            user.ask(bytes(range(256)) * (size // 256) + bytes(size % 256))

    def check_beside_bulk(self, way: Way) -> None:
        """Users are answered while a transfer fills the connection of the same client."""
        bulk = free_port()
        service = self.start_service(pour)
        self.start_server(way.server(self.bind_port))
        transfer = {"name": "bulk", "type": "tcp", "localPort": service.port, "remotePort": bulk}
        client = self.publish_udp(way, self.serve(), more=[transfer])
        client.wait_for("start proxy success", 2)
        user = self.user()
        user.ask(b"before")
        with dial(bulk) as reader:
            threading.Thread(target=drain, args=[reader], daemon=True).start()
            took = []
            for number in range(PINGS):
                began = time.monotonic()
                user.ask(b"question %d" % number)
                took.append(time.monotonic() - began)
        median = 1000 * statistics.median(took)
        print(f"\n    FIGURE {self.id().split('.')[-1]}: median {median:.2f} ms", flush=True)

    def test_ipv6(self) -> None:
        """Users and services of IPv6 are served; users of both versions on one port."""
        if not has_ipv6():
            raise SkipTest("this machine has no IPv6")
        self.start_server({"proxyBindAddr": "::"})
        way = Way("auto", tls=True, mux=True)
        self.publish_udp(way, self.serve(host="::1"), proxy={"localIP": "::1"})
        for host in ("::1", LOOPBACK):
            self.user(host).ask(b"x" * 100)

    def test_taken_port(self) -> None:
        """A port that cannot be had is told in frp's words."""
        self.start_server()
        taken = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind((LOOPBACK, 0))
        number = taken.getsockname()[1]
        client = self.start_client(
            {}, [{"name": "dns", "type": "udp", "localPort": 53, "remotePort": number}]
        )
        client.wait_for(f"start error: acquire port {number} error: port unavailable")


class SizesTestCase(UdpTestCase):
    """What is too large for frp's format."""

    def check_sizes(self, wire: str, packet_size: int, passing: int, too_large: bytes) -> None:
        """What has room passes both ways; what has none is dropped whole, and the next one passes."""
        way = Way(wire, tls=False, mux=True)
        self.start_server({**way.server(self.bind_port), "udpPacketSize": packet_size})
        self.publish_udp(way, self.serve(larger), client={"udpPacketSize": packet_size})
        user = self.user()
        for size in (1, min(1472, passing), passing):
            user.ask(bytes(size))
        user.send(too_large)
        user.ask(b"after one that was too large")


class FrpcSizesTests(SizesTestCase):
    """Our server, and frp's client, which cuts answers that are too large for it."""

    skip = missing_frp()
    client_command = frp_command("frpc")

    def test_default(self) -> None:
        """1,500 bytes pass, not one more."""
        for wire in ("v1", "v2"):
            self.check_sizes(wire, 1500, 1500, bytes(1501))
            self.bind_port = free_port()

    def test_version_1(self) -> None:
        """Messages of version 1 have room for some 7,600 bytes, whatever the packet size is."""
        self.check_sizes("v1", 10_240, 7_600, bytes(10_240))

    def test_version_2(self) -> None:
        """Messages of version 2 have room for some 49,000 bytes."""
        self.check_sizes("v2", 65_507, 49_000, bytes(65_507))


class FrpsSizesTests(SizesTestCase):
    """frp's server, which cuts what is too large for it, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")

    def test_default(self) -> None:
        """1,500 bytes pass; an answer that is larger is dropped whole."""
        for wire in ("v1", "v2"):
            self.check_sizes(wire, 1500, 1500, LARGER)
            self.bind_port = free_port()

    def test_large(self) -> None:
        """Larger ones pass where the packet size and the version of the wire have room for them."""
        self.check_sizes("v1", 10_240, 7_600, LARGER + bytes(2_700))
        self.bind_port = free_port()
        self.check_sizes("v2", 65_507, 49_000, LARGER + bytes(45_000))


@test_each("check_traffic", [*WAYS, *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS])
@test_each("check_work_connection_lost", BARE)
@test_each("check_life", BARE)
class FrpcTests(UdpTestCase):
    """Our server, and frp's client."""

    skip = missing_frp()
    client_command = frp_command("frpc")


@test_each("check_traffic", [*WAYS, *SOME_WEBSOCKETS[1:3], *OVER_DATAGRAMS])
@test_each("check_work_connection_lost", BARE)
@test_each("check_life", BARE)
class FrpsTests(UdpTestCase):
    """frp's server, and our client."""

    skip = missing_frp()
    server_command = frp_command("frps")
    too_large = LARGER
