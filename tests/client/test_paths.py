"""Tests of the ways to the server."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink
from relaykit.client import paths, services
from relaykit.client.paths import DialHost, DirectPath, PathRoute, Route
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport
from relaykit.dataplane import forward_proxies
from relaykit.errors import ConnectionFailed, ForwardProxyError, TransportSecurityError
from relaykit.interfaces import IPathDialer, IStreamLeg, IStreamPath
from relaykit.sansio.forward_proxies.urls import parse_proxy_url
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address, Secret
from tests.dataplane.fakes import FakePoller
from tests.dataplane.test_transports import Endpoint
from tests.server.scene import Client, Scene, certificate


class RouteTests(SynchronousTestCase):
    """Which path a route opens."""

    def setUp(self) -> None:
        self.scene = Scene()
        self.connections = 0

    def connect(self) -> Deferred[IStreamLeg]:
        """One connection to the server of the scene."""
        self.connections += 1
        return succeed(self.scene.accept())

    def test_muxed(self) -> None:
        """With mux, all streams share one connection."""
        route = Route(self.connect, True, self.scene.network, self.scene.clock)
        path = self.successResultOf(Deferred.fromCoroutine(route.open_path()))
        self.assertIsInstance(path, MuxLink)
        self.assertTrue(Client(self.scene, leg=self.successResultOf(path.open_leg(True))).run_id)
        self.successResultOf(path.open_leg(False))
        self.assertEqual(self.connections, 1)

    def test_direct(self) -> None:
        """Without mux, each stream is a connection of its own, and they share no fate."""
        route = Route(self.connect, False, self.scene.network, self.scene.clock)
        path = self.successResultOf(Deferred.fromCoroutine(route.open_path()))
        self.assertIsInstance(path, DirectPath)
        self.assertTrue(Client(self.scene, leg=self.successResultOf(path.open_leg(True))).run_id)
        other = self.successResultOf(path.open_leg(False))
        self.assertEqual(self.connections, 2)
        path.close()
        other.abort()
        self.scene.flush()
        self.assertNoResult(path.when_lost())
        self.assertEqual(len(self.scene.sessions), 1)

    def test_unused(self) -> None:
        """A connection that no stream has taken is closed with its path."""
        route = Route(self.connect, False, self.scene.network, self.scene.clock)
        path = self.successResultOf(Deferred.fromCoroutine(route.open_path()))
        path.close()
        leg: Any = self.successResultOf(path.open_leg(False))
        self.assertEqual(self.connections, 2)
        leg.abort()

    def test_unreachable(self) -> None:
        """A server that cannot be reached fails the path."""
        route = Route(lambda: fail(ConnectionFailed("no")), True, self.scene.network, self.scene.clock)
        self.failureResultOf(Deferred.fromCoroutine(route.open_path()), ConnectionFailed)


@implementer(IPathDialer)
class PathDialer:
    """Makes paths of its own."""

    def open_path(self) -> Deferred[IStreamPath]:
        return succeed(DirectPath(lambda: Deferred()))


class PathRouteTests(SynchronousTestCase):
    """Carriers with streams of their own."""

    def test_path(self) -> None:
        """The path is the carrier's, and nothing is multiplexed over it."""
        route = PathRoute(PathDialer())
        path = self.successResultOf(Deferred.fromCoroutine(route.open_path()))
        self.assertIsInstance(path, DirectPath)
        self.assertTrue(route.muxed)


class DialHostTests(SynchronousTestCase):
    """What becomes of the files of TLS while connections are made."""

    def setUp(self) -> None:
        self.authority = Path(self.mktemp())
        self.written = 0
        nothing: Any = None
        tls = ClientTls(trusted_ca_file=str(self.authority))
        self.host = DialHost(ClientConfig(transport=ClientTransport(tls=tls)), nothing)
        self.context = self.host._inside

    def write(self, content: bytes) -> None:
        """Writes the file as if at a time of its own."""
        self.authority.write_bytes(content)
        self.written += 1
        os.utime(self.authority, (self.written, self.written))

    def test_read_again(self) -> None:
        """A file that was replaced is read, one that was not is not."""
        self.write(certificate("one").certificate)
        first = self.context.get()
        self.assertIs(self.context.get(), first)
        self.write(certificate("two").certificate + b"\n")
        self.assertIsNot(self.context.get(), first)

    def test_away_for_a_moment(self) -> None:
        """While a file is away or unfinished what was read before serves; what lasts is logged once."""
        self.write(certificate("one").certificate)
        first = self.context.get()
        with capturedLogs() as logged:
            self.authority.unlink()
            self.assertIs(self.context.get(), first)
            self.assertEqual(logged, [])
            for _ in range(3):
                self.write(b"-----BEGIN CERT")
                self.assertIs(self.context.get(), first)
                self.assertIs(self.context.get(), first)
            self.authority.unlink()
            for _ in range(3):
                self.assertIs(self.context.get(), first)
        event = logged[-1]
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertIn(f"{self.authority} cannot be read: no such file", event["reason"])
        self.write(certificate("two").certificate)
        self.assertIsNot(self.context.get(), first)

    def test_never_read(self) -> None:
        """Where there is no earlier one, a connection fails with the name of the file."""
        near, _ = MemoryNetwork().pair()
        error = self.failureResultOf(self.host.secure(near), TransportSecurityError)
        self.assertEqual(
            str(error.value),
            f"transport.tls.trustedCaFile: {self.authority} cannot be read: no such file or directory; "
            "correct the path",
        )
        dialed = self.failureResultOf(self.host.dial(), TransportSecurityError)
        self.assertEqual(str(dialed.value), str(error.value))
        self.assertTrue(near._silent)

    def dialed(self, transport: ClientTransport, environ: Mapping[str, str]) -> list[Any]:
        """What is dialed, and how, for two connections."""
        dialed: list[Any] = []

        def note(poller: object, *arguments: Any, choose: None = None) -> Deferred[Any]:
            *others, prepare = arguments
            with socket.socket() as plain:
                prepare(plain)
                dialed.append([*others, plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)])
            return Deferred()

        self.patch(paths, "dial", note)
        self.patch(forward_proxies, "dial_through", note)
        nothing: Any = None
        host = DialHost(ClientConfig(server_addr="a.example", transport=transport), nothing, environ)
        for _ in range(2):
            self.assertNoResult(host.dial())
        return dialed

    def test_dialed(self) -> None:
        """The server is dialed with the keys of the file, and by way of a proxy that it or somebody names."""
        keys: dict[str, Any] = {
            "dial_server_timeout": 3,
            "connect_server_local_ip": "192.0.2.9",
            "dial_server_keepalive": -1,
        }
        server = Address("a.example", 7000)
        proxy = Secret("http://p.example:3128")
        environ = {"all_proxy": "socks5://q.example"}
        for url, variables, expected in (
            (Secret(""), {}, ["a.example", 7000]),
            (proxy, {}, [parse_proxy_url(proxy.reveal()), server]),
            (proxy, environ, [parse_proxy_url(proxy.reveal()), server]),
            (
                Secret(""),
                environ,
                [parse_proxy_url("socks5://q.example", "the environment variable all_proxy"), server],
            ),
            (Secret("direct"), environ, ["a.example", 7000]),
        ):
            with capturedLogs() as logged:
                dialed = self.dialed(ClientTransport(proxy_url=url, **keys), variables)
            self.assertEqual(dialed, [[*expected, 3.0, "192.0.2.9", 0]] * 2)
            self.assertEqual(len(logged), bool(variables and not url))
        self.assertEqual(self.dialed(ClientTransport(), {})[0][-1], 1)

    def test_endpoint(self) -> None:
        """A leg on an endpoint of Twisted's has as long as a connection to the server has."""
        poller = FakePoller()
        host = DialHost(ClientConfig(transport=ClientTransport(dial_server_timeout=3)), poller)
        connecting = host.dial_endpoint(Endpoint(Deferred()))
        poller.clock.advance(2.9)
        self.assertNoResult(connecting)
        poller.clock.advance(0.1)
        self.failureResultOf(connecting, ConnectionFailed)

    def test_service(self) -> None:
        """A server that is named by a service is looked up anew for each connection, and has the name of its
        domain.
        """
        asked: list[str] = []

        async def reach_service(poller: object, name: str, reach: Any) -> Any:
            asked.append(name)
            return await reach(Address("found.example", 443))

        dialed: list[Any] = []

        def dial(poller: object, *arguments: Any, choose: None = None) -> Deferred[Any]:
            dialed.append(arguments[:2])
            return succeed(MemoryNetwork().pair()[0])

        self.patch(services, "reach_service", reach_service)
        self.patch(paths, "dial", dial)
        self.patch(paths, "dial_datagrams", dial)
        nothing: Any = None
        host = DialHost(ClientConfig(server_addr="_relaykit._tcp.a.example"), nothing)
        for _ in range(2):
            self.successResultOf(host.dial())
        self.successResultOf(host.dial_datagrams())
        self.assertEqual(asked, ["_relaykit._tcp.a.example"] * 3)
        self.assertEqual(dialed, [("found.example", 443)] * 3)
        self.assertEqual(host._inside.get().asked_name, b"a.example")

    def test_unverified(self) -> None:
        """Of a server that anybody could be that is said once for each of its ports, however often it is
        reached for.
        """
        self.patch(paths, "start_tls", lambda *arguments, server_side: Deferred())
        nothing: Any = None
        host = DialHost(ClientConfig(server_addr="a.example"), nothing)
        with capturedLogs() as logged:
            for port in (7000, 443, 7000, 443):
                near, _ = MemoryNetwork().pair()
                self.assertNoResult(host.at(port, None).secure_outside(near, verified=False))
        self.assertEqual([str(event["server"]) for event in logged], ["a.example:7000", "a.example:443"])

    def test_unusable_proxy(self) -> None:
        """A proxy that cannot be used fails each connection."""
        nothing: Any = None
        host = DialHost(ClientConfig(server_addr="a.example"), nothing, {"all_proxy": "ftp://q.example"})
        for _ in range(2):
            self.failureResultOf(host.dial(), ForwardProxyError)

    def test_without_tls(self) -> None:
        """Where TLS is off a connection stays what it is."""
        nothing: Any = None
        tls = ClientTls(enable=False)
        host = DialHost(ClientConfig(server_addr="a.example", transport=ClientTransport(tls=tls)), nothing)
        near, _ = MemoryNetwork().pair()
        self.assertIs(self.successResultOf(host.secure(near)), near)
        self.assertEqual((host.server, len(host.entropy(5))), (Address("a.example", 7000), 5))
