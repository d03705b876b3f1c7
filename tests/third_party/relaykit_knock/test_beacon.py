"""Tests for the proxy type ``beacon``."""

from __future__ import annotations

from relaykit.testing.conformance import DatagramPortTests
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.relay import MemoryRelay, Published, echoing_datagrams
from relaykit.values import Ended
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import beacon
from relaykit_knock.beacon import BeaconOptions


class BeaconConformanceTests(DatagramPortTests, SynchronousTestCase):
    """What every proxy type must do."""

    proxy_type = beacon.proxy_type

    def options(self) -> BeaconOptions:
        return BeaconOptions(remote_port=5300)


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
