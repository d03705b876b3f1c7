"""Tests of what a server says of itself, and of the calls that end what it serves."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.schema import ServerConfig
from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.plane import DataPlane
from relaykit.proxies.tcp import _OpenPort
from relaykit.sansio.control import events as session_events
from relaykit.sansio.control.server_life import ServerState
from relaykit.server import composition, events
from relaykit.server.network import Network
from relaykit.server.service import RelayServer
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.testing.ports import MemoryPorts
from relaykit.values import Ended, Secret
from tests.server.scene import TOKEN, TYPES, Client
from tests.server.test_observers import Noting


class Served:
    """A running server in memory: as much of a scene as clients need."""

    def __init__(self, token: Secret = TOKEN) -> None:
        self.clock = MemoryReactorClock()
        self.network = MemoryNetwork(None, self.clock)
        self.ports = MemoryPorts(self.network)
        self._entropy = itertools.count(1)
        self.server = RelayServer(
            ServerConfig(stun_port=-1), token, TYPES, self.clock, make_network=self.make_network
        )

    def make_network(self, reactor: Any) -> Network:
        """A network in memory."""
        data_plane = DataPlane([CopyForwarder()], self.network)
        return Network(self.network, data_plane, self.ports.listen, self.ports.listen_datagrams)

    def entropy(self, length: int) -> bytes:
        """Bytes that never come twice."""
        return next(self._entropy).to_bytes(length, "big")

    def open(self, link: Any = None) -> MemoryLeg:
        """A connection to the bind port."""
        return self.dial(7000)

    def dial(self, port: int) -> MemoryLeg:
        """A connection to a port."""
        near = self.ports.dial(port)
        self.flush()
        return near

    def flush(self) -> None:
        """Lets everything come to rest."""
        self.network.flush()


class StatusTestCase(SynchronousTestCase):
    """Has a server with a client that has a proxy."""

    def setUp(self) -> None:
        self.served = Served()
        self.patch(composition, "wall_clock", lambda: 1000.0 + self.served.clock.seconds())
        self.server = self.served.server
        self.noting = Noting(follows_users=True)
        self.server.observe(self.noting)
        self.server.startService()
        scene: Any = self.served
        self.client = Client(scene, user="ann", client_id="c1", alive=True)
        self.client.register("web", remote_port=6000)

    def user(self) -> RecordingReceiver:
        """A user who is served, by a service that answers."""
        received = RecordingReceiver(self.served.dial(6000))
        self.served.flush()
        return received

    def told(self, kind: type[Any]) -> list[Any]:
        """The events of one kind, so far."""
        return [each for each in self.noting.told if isinstance(each, kind)]


class StatusTests(StatusTestCase):
    """What it says."""

    def test_stopped(self) -> None:
        """A server that is not running says so."""
        self.successResultOf(self.server.stopService())
        status = self.server.status()
        self.assertEqual((status.state, status.port, status.clients), (ServerState.STOPPED, 0, ()))
        self.assertEqual(self.server.flows(), [])
        self.assertFalse(self.successResultOf(self.server.end_proxy("web")))
        self.assertFalse(self.successResultOf(self.server.end_client(self.client.run_id)))
        self.assertEqual(self.server.forget_closed_proxies(), 0)
        self.assertIsNone(self.server.proxy_status("web"))
        self.assertEqual((self.server.proxy_counts(), self.server.traffic().total), ([], 0))

    def test_running(self) -> None:
        """It knows its clients, its proxies and their users."""
        self.user()
        status = self.server.status()
        self.assertEqual((status.state, status.port, status.flows.present), (ServerState.READY, 7000, 1))
        self.assertEqual(status.fingerprint, self.server.fingerprint)
        (client,) = status.clients
        self.assertEqual((client.key, client.run_id), ("ann.c1", self.client.run_id))
        self.assertTrue(client.is_online)
        self.assertEqual(client.first_connected_at, 1000.0)
        (proxy,) = status.proxies
        self.assertEqual((proxy.name, proxy.type, proxy.user, proxy.client_id), ("web", "tcp", "ann", "c1"))
        self.assertEqual((proxy.is_open, proxy.address), (True, ":6000"))
        self.assertEqual((proxy.current, proxy.connections), (1, 1))
        options: Any = proxy.options
        self.assertEqual(options.remote_port, 6000)
        self.assertEqual(self.server.proxy_status("web"), proxy)
        (counts,) = self.server.proxy_counts()
        self.assertEqual(counts, (proxy.name, "tcp", True, 1, proxy.traffic_in, proxy.traffic_out))
        self.assertEqual(self.server.traffic(), status.flows)
        self.assertIsNone(self.server.proxy_status("other"))
        (flow,) = self.server.flows()
        self.assertEqual(flow.proxy.name, "web")

    def test_gone(self) -> None:
        """A client that is gone and its proxy are still known."""
        self.served.clock.advance(5.0)
        self.client.leg.abort()
        self.served.flush()
        status = self.server.status()
        (client,), (proxy,) = status.clients, status.proxies
        self.assertEqual((client.key, client.run_id, client.disconnected_at), ("ann.c1", "", 1005.0))
        self.assertEqual((proxy.is_open, proxy.address, proxy.options), (False, "", None))
        self.assertEqual((proxy.last_start_at, proxy.last_close_at), (1000.0, 1005.0))
        self.assertEqual(self.server.proxy_status("web"), proxy)
        self.assertEqual(self.server.forget_closed_proxies(), 1)
        self.assertEqual(self.server.status().proxies, ())
        self.assertIsNone(self.server.proxy_status("web"))

    def test_stop_observing(self) -> None:
        """Who does not observe any more is told nothing."""
        self.server.stop_observing(self.noting)
        before = len(self.noting.told)
        self.user()
        self.assertEqual(len(self.noting.told), before)


class EndingTests(StatusTestCase):
    """What whoever runs it can end."""

    def test_flow(self) -> None:
        """A user can be ended; the proxy goes on."""
        user = self.user()
        self.server.flows()[0].end(Ended.OPERATOR)
        self.served.flush()
        self.assertTrue(user.lost)
        self.assertEqual([each.traffic.ended for each in self.told(events.UserLeft)], [Ended.OPERATOR])
        self.assertEqual(len(self.told(events.UserArrived)), 1)
        self.assertEqual([each.waited_s for each in self.told(events.UserServed)], [0.0])
        self.assertEqual(self.server.flows(), [])
        self.assertTrue(self.server.status().proxies[0].is_open)

    def test_proxy(self) -> None:
        """A proxy can be closed, with its users; its client stays."""
        user = self.user()
        self.assertTrue(self.successResultOf(self.server.end_proxy("web")))
        self.served.flush()
        self.assertTrue(user.lost)
        self.assertEqual([each.why for each in self.told(events.ProxyClosed)], [Ended.OPERATOR])
        status = self.server.status()
        self.assertEqual([each.is_open for each in status.proxies], [False])
        self.assertTrue(status.clients[0].is_online)
        self.assertFalse(self.successResultOf(self.server.end_proxy("web")))

    def test_proxy_that_closes_slowly(self) -> None:
        """Users who come while a proxy is being closed are ended with it."""
        closing: Deferred[None] = Deferred()

        async def withdraw(exposure: Any) -> None:
            await closing

        self.patch(_OpenPort, "withdraw", withdraw)
        ended = self.server.end_proxy("web")
        late = self.user()
        self.assertNoResult(ended)
        closing.callback(None)
        self.assertTrue(self.successResultOf(ended))
        self.served.flush()
        self.assertTrue(late.lost)
        self.assertEqual(self.server.flows(), [])

    def test_client(self) -> None:
        """A client can be sent away, with its proxies and its users, also those of proxies it took back."""
        users = [self.user()]
        self.client.withdraw("web")
        self.client.register("ssh", remote_port=6000)
        users.append(self.user())
        self.assertEqual(len(self.server.flows()), 2)
        ended = self.server.end_client(self.client.run_id, "be gone")
        self.served.flush()
        self.assertTrue(self.successResultOf(ended))
        self.assertTrue(all(each.lost for each in users))
        self.assertEqual(self.server.flows(), [])
        (gone,) = self.told(events.ClientDisconnected)
        self.assertEqual((gone.why, gone.reason), (Ended.OPERATOR, "be gone"))
        self.assertTrue(self.client.of(session_events.SessionEnded))

    def test_withdrawn(self) -> None:
        """Where a client takes a proxy back its users stay, as with frp; who waits for it is let go."""
        user = self.user()
        self.client.alive = False
        for _ in range(20):
            waiting = self.user()
        self.client.withdraw("web")
        self.served.flush()
        self.assertFalse(user.lost)
        self.assertTrue(waiting.lost)
        self.assertEqual(self.told(events.UserLeft)[-1].traffic.ended, Ended.WITHDRAWN)
