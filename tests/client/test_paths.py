"""Tests of the ways to the server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink
from relaykit.client.paths import DialHost, DirectPath, PathRoute, Route
from relaykit.config.schema import ClientConfig, ClientTls, ClientTransport
from relaykit.errors import ConnectionFailed, TransportSecurityError
from relaykit.interfaces import IPathDialer, IStreamLeg, IStreamPath
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address
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

    def write(self, content: bytes) -> None:
        """Writes the file as if at a time of its own."""
        self.authority.write_bytes(content)
        self.written += 1
        os.utime(self.authority, (self.written, self.written))

    def test_read_again(self) -> None:
        """A file that was replaced is read, one that was not is not."""
        self.write(certificate("one").certificate)
        first = self.host._tls_context()
        self.assertIs(self.host._tls_context(), first)
        self.write(certificate("two").certificate + b"\n")
        self.assertIsNot(self.host._tls_context(), first)

    def test_away_for_a_moment(self) -> None:
        """While a file is away or unfinished what was read before serves; what lasts is logged once."""
        self.write(certificate("one").certificate)
        first = self.host._tls_context()
        with capturedLogs() as logged:
            self.authority.unlink()
            self.assertIs(self.host._tls_context(), first)
            self.assertEqual(logged, [])
            for _ in range(3):
                self.write(b"-----BEGIN CERT")
                self.assertIs(self.host._tls_context(), first)
                self.assertIs(self.host._tls_context(), first)
            self.authority.unlink()
            for _ in range(3):
                self.assertIs(self.host._tls_context(), first)
        event = logged[-1]
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertIn(f"{self.authority} cannot be read: no such file", event["reason"])
        self.write(certificate("two").certificate)
        self.assertIsNot(self.host._tls_context(), first)

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

    def test_without_tls(self) -> None:
        """Where TLS is off a connection stays what it is."""
        nothing: Any = None
        tls = ClientTls(enable=False)
        host = DialHost(ClientConfig(server_addr="a.example", transport=ClientTransport(tls=tls)), nothing)
        near, _ = MemoryNetwork().pair()
        self.assertIs(self.successResultOf(host.secure(near)), near)
        self.assertEqual((host.server, len(host.entropy(5))), (Address("a.example", 7000), 5))
