"""Tests of what a client says of itself."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.client.status import ClientStatus, PeerProof, ProxyStatus, RegistrationState, VisitorStatus
from relaykit.dataplane.plane import FlowCounts
from relaykit.testing.memory import RecordingReceiver
from relaykit.values import Address
from tests.client.scene import SERVICE, Machine, make_client, started, stcp_visitor, tcp_proxy
from tests.server.scene import Scene

WEB = ProxyStatus(name="web", type="tcp", state=RegistrationState.OFFLINE)


class StatusTests(SynchronousTestCase):
    """Tests for :meth:`RelayClient.status`."""

    def setUp(self) -> None:
        """Makes a server and the machine of its client."""
        self.scene = Scene()
        self.machine = Machine(self.scene)

    def test_before_the_start(self) -> None:
        """A client that was not started has nothing to tell."""
        self.assertEqual(make_client(self.machine, tcp_proxy()).status(), ClientStatus())

    def test_running(self) -> None:
        """A client that is logged in tells since when, and where its users come in."""
        self.scene.clock.advance(5.0)
        client = started(self.machine, tcp_proxy(), stcp_visitor())
        self.assertEqual(
            client.status(),
            ClientStatus(
                connected=True,
                server_proof=PeerProof.NONE,
                since=self.scene.clock.seconds(),
                proxies=(
                    ProxyStatus(
                        name="web", type="tcp", state=RegistrationState.RUNNING, address=":6000", since=5.0
                    ),
                ),
                visitors=(VisitorStatus(name="v", listening=Address("127.0.0.1", 7000), since=5.0),),
            ),
        )

    def test_refused(self) -> None:
        """A proxy that the server refuses says why."""
        started(self.machine, tcp_proxy("other"))
        client = started(self.machine, tcp_proxy())
        (web,) = client.status().proxies
        self.assertIs(web.state, RegistrationState.REFUSED)
        self.assertIn("port", web.reason)

    def test_between_sessions(self) -> None:
        """Without a server, nothing is exposed, and the time of the next attempt is known."""
        client = started(self.machine, tcp_proxy())
        self.machine.reachable = False
        self.machine.connections[0].cut()
        self.scene.flush()
        status = client.status()
        assert status.next_try is not None
        since = self.scene.clock.seconds()
        self.assertEqual((status.connected, status.proxies), (False, (evolve(WEB, since=since),)))
        self.machine.reachable = True
        self.scene.clock.advance(status.next_try - self.scene.clock.seconds())
        self.scene.flush()
        status = client.status()
        self.assertEqual((status.connected, status.next_try), (True, None))

    def test_traffic(self) -> None:
        """Users and what they moved are counted while they are there."""
        client = started(self.machine, tcp_proxy())
        user, _ = self.scene.dial(6000)
        user.write(b"hello")
        self.scene.flush()
        service = self.machine.services[SERVICE][0]
        RecordingReceiver(service)
        service.write(b"welcome")
        self.scene.flush()
        counts = FlowCounts(present=1, total=1, near_to_far=5, far_to_near=7)
        self.assertEqual(client.status().flows, counts)

    def test_last_seen(self) -> None:
        """Who came last is known, and what went wrong last, also after it went well again."""
        client = started(self.machine, tcp_proxy())
        self.scene.dial(6000)
        user_at = self.scene.clock.seconds()
        (web,) = client.status().proxies
        self.assertEqual((web.last.user_at, web.last.error), (user_at, ""))
        self.assertIsNotNone(web.last.user)
        self.scene.advance(3.0)
        services = dict(self.machine.services)
        self.machine.services.clear()
        self.scene.dial(6000)
        error_at = self.scene.clock.seconds()
        self.machine.services.update(services)
        self.scene.advance(3.0)
        self.scene.dial(6000)
        (web,) = client.status().proxies
        self.assertIn("refused", web.last.error)
        self.assertEqual((web.last.error_at, web.last.user_at), (error_at, self.scene.clock.seconds()))

    def test_round_trip(self) -> None:
        """The way to the server is measured on request, where all streams share one link."""
        for muxed in (True, False):
            self.setUp()
            self.machine.muxed = muxed
            client = make_client(self.machine)
            client.measure_round_trip()
            client.startService()
            self.scene.flush()
            self.assertIsNone(client.status().round_trip_s)
            client.measure_round_trip()
            self.scene.flush()
            self.assertEqual(client.status().round_trip_s, 0.0 if muxed else None)
