"""Tests for :mod:`relaykit.administration.metrics.server`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.administration.metrics.server import ServerSource
from relaykit.errors import NoWorkConnection, ProxyRefusedError
from relaykit.options import VisitorCommon
from relaykit.proxies import tcp, xtcp
from relaykit.proxies.tcp import TcpOptions
from relaykit.proxies.xtcp.options import XtcpOptions, XtcpVisitorOptions
from relaykit.server import events
from relaykit.testing.memory import RecordingReceiver
from relaykit.testing.relay import MemoryRelay, echoing
from relaykit.values import ClientIdentity, Origin, Secret
from tests.administration.metrics.texts import Samples, key, only, samples_of


class ServerSourceTests(SynchronousTestCase):
    """Tests for :class:`ServerSource`."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()
        self.addCleanup(self.relay.stop)
        self.source = ServerSource(self.relay.server)
        self.relay.server.observe(self.source)

    def scrape(self) -> Samples:
        """How things stand."""
        return samples_of(self.source.take()())

    def test_users(self) -> None:
        """A user is counted while it is there, with how long it waited, and how it ended."""
        self.relay.publish(tcp.proxy_type, TcpOptions(remote_port=6000), local=echoing)
        user = self.relay.dial(6000)
        RecordingReceiver(user)
        user.write(b"hello")
        self.relay.settle()
        present = self.scrape()
        for name, value in (("clients", 1), ("proxies", 1), ("users", 1), ("users_waiting", 0)):
            self.assertEqual(only(present, f"relaykit_{name}"), value, name)
        self.assertEqual(present[key("relaykit_bytes_total", direction="in")], 5)
        self.assertEqual(only(present, "relaykit_work_connection_wait_seconds_count"), 1)
        self.assertEqual(only(present, "relaykit_user_seconds_count"), 0)
        user.abort()
        self.relay.settle()
        gone = self.scrape()
        self.assertEqual(only(gone, "relaykit_users"), 0)
        self.assertEqual(only(gone, "relaykit_user_seconds_count"), 1)
        self.assertEqual(only(gone, "relaykit_users_ended_total"), 1)
        self.assertEqual(gone[key("relaykit_logins_total", wire="v2")], 1)

    def test_carriers_and_queues(self) -> None:
        """Bytes are told by what the clients came by, and what waits by what it is."""
        self.relay.publish(tcp.proxy_type, TcpOptions(remote_port=6000), local=echoing)
        user = self.relay.dial(6000)
        RecordingReceiver(user)
        user.write(b"hello")
        self.relay.settle()
        for _ in range(2):
            samples = self.scrape()
            moved = key("relaykit_carrier_bytes_total", carrier="tcp", direction="out")
            self.assertEqual(samples[moved], 5)
            for what in ("users", "registrations", "connections", "probes"):
                self.assertEqual(samples[key("relaykit_queue", what=what)], 0)
            self.assertIn(key("relaykit_queue", what="work_connections"), samples)
            user.abort()
            self.relay.settle()

    def test_rendezvous(self) -> None:
        """Clients that met are told by what came of it."""
        relay = self.relay
        secret = Secret("k")
        relay.publish(xtcp.proxy_type, XtcpOptions(secret_key=secret), name="x", local=echoing)
        visiting = relay.visit(
            xtcp.proxy_type,
            VisitorCommon(name="v", server_name="x", bind_port=7100),
            XtcpVisitorOptions(secret_key=secret),
        )
        visiting.dial()
        relay.advance(1.0)
        self.assertEqual(self.scrape()[key("relaykit_rendezvous_total", outcome="settled")], 1)

    def test_refused(self) -> None:
        """What is refused is counted by the id of its problem, whatever a stranger says."""
        self.relay.publish(tcp.proxy_type, TcpOptions(remote_port=6000), name="one")
        with self.assertRaises(ProxyRefusedError):
            self.relay.publish(tcp.proxy_type, TcpOptions(remote_port=6000), name="two")
        refused = only(self.scrape(), "relaykit_proxies_refused_total")
        self.assertEqual(refused, 1)
        for text in ("no such thing", "x" * 1000):
            self.source.on_event(events.LoginRefused(origin=Origin(), reason=text))
            self.source.on_event(events.VisitRefused(proxy="p", origin=Origin(), reason=text))
        samples = self.scrape()
        self.assertEqual(samples[key("relaykit_logins_refused_total", problem="other")], 2)
        self.assertEqual(samples[key("relaykit_visits_refused_total", problem="other")], 2)

    def test_unserved(self) -> None:
        """So is a user who gets no work connection."""
        client = ClientIdentity(run_id="r")
        self.source.on_event(
            events.UserUnserved(client=client, proxy="p", origin=Origin(), error=NoWorkConnection("no"))
        )
        self.assertEqual(only(self.scrape(), "relaykit_users_unserved_total"), 1)
