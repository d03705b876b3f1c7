"""Tests for the proxy type ``beacon``."""

from __future__ import annotations

from relaykit.options import VisitorCommon
from relaykit.testing.conformance import DatagramPortTests, VisitableProxyTypeTests
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.ports import datagram_pair
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing_datagrams
from relaykit.values import Ended, Origin, Secret
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import beacon
from relaykit_knock.beacon import BeaconOptions, BeaconVisitor, BeaconVisitorOptions

KEY = Secret("let there be light")

FORGOTTEN_AFTER_S = 300.0
"""Longer than anybody who is silent is kept."""


class BeaconConformanceTests(DatagramPortTests, VisitableProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do that has a UDP port, and visitors."""

    proxy_type = beacon.proxy_type

    def options(self) -> BeaconOptions:
        return BeaconOptions(remote_port=5300, secret_key=self.visitor_secret)


class BeaconTests(SynchronousTestCase):
    """Tests for what becomes of datagrams."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self) -> Published:
        """A proxy whose local service sends back what it gets."""
        options = BeaconOptions(remote_port=5300)
        return self.relay.publish(beacon.proxy_type, options, local_datagrams=echoing_datagrams)

    def source(self, datagram: bytes) -> RecordingDatagrams:
        """What a source gets that sends a datagram to the port."""
        leg = self.relay.ports.dial_datagrams(5300)
        received = RecordingDatagrams(leg)
        leg.send(datagram)
        self.relay.settle()
        return received

    def test_round_trip(self) -> None:
        """Each source gets the answers to what it sent."""
        published = self.publish()
        self.assertEqual([self.source(word).got for word in (b"one", b"two")], [[b"one"], [b"two"]])
        self.assertEqual((len(published.proxy.flows), len(published.host.flows)), (2, 2))

    def test_ended(self) -> None:
        """A flow that the server ends is accounted, and ends at the client, too."""
        published = self.publish()
        self.source(b"one")
        (flow,) = self.relay.server.flows()
        flow.end(Ended.OPERATOR)
        self.relay.settle()
        self.assertEqual([(each.near_to_far, each.ended) for each in published.flows], [(3, Ended.OPERATOR)])
        self.assertEqual(len(published.host.flows), 0)

    def test_no_local_service(self) -> None:
        """Without a local service a source gets nothing, and nothing is left of it."""
        published = self.relay.publish(beacon.proxy_type, BeaconOptions(remote_port=5300))
        self.assertEqual((self.source(b"one").got, len(published.host.flows)), ([], 0))


class BeaconVisitorTests(SynchronousTestCase):
    """Tests for who comes through a visitor."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, key: Secret = KEY) -> Published:
        """A proxy whose local service sends back what it gets."""
        return self.relay.publish(
            beacon.proxy_type,
            BeaconOptions(remote_port=5300, secret_key=key),
            name="lamp",
            local_datagrams=echoing_datagrams,
        )

    def visit(self, key: Secret = KEY) -> Visiting:
        """A visitor, at port 9000."""
        common = VisitorCommon(name="v", server_name="lamp", bind_port=9000)
        return self.relay.visit(beacon.proxy_type, common, BeaconVisitorOptions(secret_key=key))

    def ask(self, *datagrams: bytes) -> RecordingDatagrams:
        """What a new user of the visitor gets who sends these."""
        leg = self.relay.ports.dial_datagrams(9000)
        received = RecordingDatagrams(leg)
        for data in datagrams:
            leg.send(data)
        self.relay.settle()
        return received

    def test_lanes(self) -> None:
        """Each user has a lane, whatever the versions of the wire are, until the user is silent."""
        for provider in ("v1", "v2"):
            for wire in ("v1", "v2"):
                self.relay = MemoryRelay()
                self.relay.wire_protocol = provider
                published = self.publish()
                self.relay.wire_protocol = wire
                visiting = self.visit()
                for words in ([b"one", b"", bytes(1400)], [b"two"]):
                    self.assertEqual(self.ask(*words).got, words)
                self.assertEqual((len(published.proxy.flows), len(visiting.host.flows)), (2, 2))
                self.relay.advance(FORGOTTEN_AFTER_S)
                self.assertEqual((len(published.proxy.flows), len(visiting.host.flows)), (0, 0))

    def test_secret(self) -> None:
        """Who does not know the secret is let go, and everybody is where there is none."""
        for own, key in ((KEY, Secret("darkness")), (Secret(""), Secret(""))):
            self.relay = MemoryRelay()
            self.publish(own)
            self.visit(key)
            with capturedLogs() as logged:
                received = self.ask(b"x")
            self.assertEqual((received.got, received.lost is None), ([], False))
            self.assertEqual([each["reason"] for each in logged if "visitor" in each], ["wrong secret"])

    def test_most_lanes(self) -> None:
        """A bounded number of users has lanes; more are let go."""
        self.patch(beacon, "MOST_LANES", 2)
        self.publish()
        self.visit()
        self.assertEqual([self.ask(b"x").got for _ in range(3)], [[b"x"], [b"x"], []])

    def test_strange_source(self) -> None:
        """A user who comes from no address is let go."""
        self.publish()
        visitor = self.visit().visitor
        assert isinstance(visitor, BeaconVisitor)
        user, leg = datagram_pair(self.relay.network)
        received = RecordingDatagrams(user)
        visitor.leg_accepted(leg, Origin())
        self.relay.settle()
        self.assertIsNotNone(received.lost)

    def test_withdrawn(self) -> None:
        """With the proxy its visitors' lanes go."""
        published = self.publish()
        visiting = self.visit()
        received = self.ask(b"x")
        published.withdraw()
        self.assertIsNotNone(received.lost)
        self.assertEqual(len(visiting.host.flows), 0)

    def test_stopped(self) -> None:
        """A visitor that is stopped lets go of its users, and ends their lanes."""
        published = self.publish()
        visiting = self.visit()
        received = self.ask(b"x")
        visiting.stop()
        self.assertIsNotNone(received.lost)
        self.assertEqual(len(published.proxy.flows), 0)
