"""Tests of the ways to the server."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from relaykit.carriers.muxing import MuxLink
from relaykit.client.paths import DirectPath, Route
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IStreamLeg
from tests.server.scene import Client, Scene


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
