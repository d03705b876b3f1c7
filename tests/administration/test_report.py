"""Tests for how a role stands, as its own command line is told."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.report import (
    RELOAD,
    STATUS,
    STOP,
    client_report,
    control_routes,
    server_report,
)
from relaykit.administration.steering import STOP_S, Steering
from relaykit.config.rules.changing import changes
from relaykit.config.schema import ClientConfig
from relaykit.proxies import tcp
from relaykit.proxies.tcp import TcpOptions
from relaykit.testing.relay import MemoryRelay
from tests.administration.exchanges import Connection, Told, whole
from tests.client.scene import Machine, make_client, started, stcp_visitor, tcp_proxy
from tests.server.scene import Scene


class ReportTests(SynchronousTestCase):
    """Tests for both reports."""

    def test_client(self) -> None:
        """A client tells its connection, and each proxy and visitor with what people look at."""
        scene = Scene()
        client = started(Machine(scene), tcp_proxy(), tcp_proxy("taken", 6000), stcp_visitor())
        scene.dial(6000)
        scene.advance(5)
        report = client_report(client, scene.clock)
        self.assertEqual(report["role"], "client")
        self.assertEqual((report["server"], report["connected"]), ("relay.example:7000", True))
        self.assertEqual((report["for_seconds"], report["users"]), (5.0, 1))
        web, taken = report["proxies"]
        self.assertEqual((web["name"], web["type"], web["state"], web["users"]), ("web", "tcp", "running", 1))
        self.assertEqual((taken["state"], taken["reason"]), ("refused", "port already used"))
        self.assertEqual(taken["next_try_seconds"], 25.0)
        (visitor,) = report["visitors"]
        self.assertEqual((visitor["name"], visitor["users"]), ("v", 0))
        self.assertEqual((web["for_seconds"], web["last_user_seconds"], web["last_error"]), (5.0, 5.0, ""))
        self.assertEqual((visitor["for_seconds"], visitor["last_user_seconds"]), (5.0, None))

    def test_client_at_rest(self) -> None:
        """One that was not started has nothing to tell."""
        scene = Scene()
        report = client_report(make_client(Machine(scene)), scene.clock)
        self.assertEqual((report["connected"], report["for_seconds"], report["proxies"]), (False, None, []))

    def test_server(self) -> None:
        """A server tells the clients that are logged in, and the proxies that are open."""
        relay = MemoryRelay()
        self.addCleanup(relay.stop)
        relay.publish(tcp.proxy_type, TcpOptions())
        gone = relay.publish(tcp.proxy_type, TcpOptions(), name="gone")
        gone.withdraw()
        report = server_report(relay.server, relay.clock, lambda: 2e9)
        self.assertEqual((report["role"], report["state"], report["users"]), ("server", "ready", 0))
        self.assertEqual([each["name"] for each in report["proxies"]], ["under-test"])
        self.assertIsNone(report["proxies"][0]["probe"])
        Deferred.fromCoroutine(relay.server.probe("under-test"))
        relay.settle()
        (proxy,) = server_report(relay.server, relay.clock, lambda: 2e9)["proxies"]
        self.assertEqual((proxy["probe"]["online"], proxy["probe"]["reached"]), (False, "client"))
        self.assertIn(report["proxies"][0]["client_id"], [each["client_id"] for each in report["clients"]])


class ControlTests(SynchronousTestCase):
    """Tests for the routes."""

    def told(self, method: str, target: str, steering: Steering) -> Told:
        """What is answered."""
        self.clock = Clock()
        routes = control_routes(lambda: {"role": "client"}, steering, "c.toml", self.clock)
        site, _ = whole(routes, guard=None)
        connection = Connection(site)
        connection.ask(method, target)
        (answer,) = connection.answers()
        return answer

    def test_status(self) -> None:
        """The report goes with which program it is of."""
        told: dict[str, Any] = self.told("GET", STATUS, Steering()).json
        self.assertEqual((told["role"], told["pid"]), ("client", os.getpid()))
        self.assertEqual(told["config"], os.path.abspath("c.toml"))

    def test_reload(self) -> None:
        """A reload answers which keys count when, or why nothing has changed."""
        read = changes(ClientConfig(), ClientConfig(user="me", server_port=7001))
        steering = Steering(reload=lambda strict: succeed(read))
        self.assertEqual(
            self.told("POST", RELOAD, steering).json,
            {"at once": [], "at a login": ["serverPort"], "after a restart": ["user"]},
        )
        self.assertEqual(self.told("POST", RELOAD, Steering()).status, 400)

    def test_stop(self) -> None:
        """The program ends soon after the answer."""
        self.assertEqual(self.told("POST", STOP, Steering()).status, 503)
        stopped: list[int] = []
        self.assertEqual(self.told("POST", STOP, Steering(stop=lambda: stopped.append(1))).status, 200)
        self.clock.advance(STOP_S)
        self.assertEqual(stopped, [1])
