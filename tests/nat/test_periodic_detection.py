"""Tests of what is kept about the network: asked for when it is wanted, renewed, forgotten, given back."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import periodic_detection
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.periodic_detection import BEHAVIOR_S, PeriodicDetection, upnp_router
from relaykit.sansio.nat.behavior import Filtering, NatBehavior
from relaykit.testing.natlab import Lab
from relaykit.values import Address
from tests.nat.memory import MemoryNetwork

SERVERS = [Address("203.0.113.2", 7000), Address("203.0.113.2", 7001)]
DISCOVERY_S = 10.0


class _Upnp:
    """A UPnP router."""

    def __init__(self) -> None:
        self.mapped: list[int] = []
        self.unmapped: list[int] = []

    def find(self) -> Deferred[str]:
        """Is there."""
        return succeed("198.51.100.2")

    def map(self, port: int) -> Deferred[Address]:
        """Maps."""
        self.mapped.append(port)
        return succeed(Address("198.51.100.2", port))

    def unmap(self, port: int) -> Deferred[None]:
        """Gives back."""
        self.unmapped.append(port)
        return succeed(None)


class PeriodicDetectionTests(SynchronousTestCase):
    """One machine behind one router."""

    def setUp(self) -> None:
        self.lab = Lab(1, delay_s=0.02)
        self.lab.stun_server(SERVERS)
        nat = self.lab.nat("198.51.100.2", filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT)
        self.network = MemoryNetwork(self.lab.machine("192.168.1.100", behind=nat))
        self.upnp = _Upnp()
        self.info = NetworkInfo(network=self.network)
        self.detection = self.make()

    def make(self, **known: Any) -> PeriodicDetection:
        """A detection at work."""
        reactor: Any = self.lab.reactor
        upnp: Any = self.upnp
        detection = PeriodicDetection(
            reactor, evolve(self.info, **known), lambda network: upnp, self.lab.chance.randbytes
        )
        detection.startService()
        self.addCleanup(lambda: detection.running and detection.stopService())
        return detection

    def test_nothing_by_itself(self) -> None:
        """As long as nobody wants anything no socket is opened, whatever happens to the network."""
        self.detection.network_changed()
        self.lab.run(DISCOVERY_S)
        self.assertEqual((self.network.sockets, self.detection.network_info().mapper), ([], None))
        self.detection.stopService()
        self.detection.begin(SERVERS)
        self.assertEqual(self.network.sockets, [])

    def test_discovered_once(self) -> None:
        """The NAT is looked at once, however often it is wanted; nothing is left open."""
        for _ in range(3):
            self.detection.begin(SERVERS[:1])
        self.assertIsNone(self.detection.behavior)
        self.lab.run(DISCOVERY_S)
        behavior = self.detection.behavior
        assert behavior is not None
        self.assertIs(behavior.filtering, Filtering.ADDRESS_AND_PORT_DEPENDENT)
        opened = len(self.network.sockets)
        self.detection.begin(SERVERS[:1])
        self.lab.run(DISCOVERY_S)
        self.assertEqual((len(self.network.sockets), self.network.open), (opened, 0))
        self.assertIs(self.detection.network_info().behavior, behavior)

    def test_told(self) -> None:
        """What was found is in the log, once for each time; nothing is where nothing was found."""
        self.detection.begin([Address("203.0.113.9", 7000)])
        with capturedLogs() as events:
            self.lab.run(DISCOVERY_S)
            self.assertEqual(events, [])
            self.detection.begin(SERVERS[:1])
            self.lab.run(DISCOVERY_S)
        (event,) = events
        self.assertRegex(
            formatEvent(event), r"^seen as 198\.51\.100\.2:\d+ over UDP; this network keeps its port \("
        )
        self.assertEqual(event["nat_type"], "steady")

    def test_renewed(self) -> None:
        """The NAT is looked at again now and then; what was found counts until there is something new."""
        self.detection.begin(SERVERS[:1])
        self.lab.run(BEHAVIOR_S)
        before = self.detection.behavior
        self.assertIsNotNone(before)
        self.lab.run(1.0)
        self.assertIs(self.detection.behavior, before)
        self.lab.run(2 * DISCOVERY_S)
        self.assertIsNot(self.detection.behavior, before)
        self.assertIsNotNone(self.detection.behavior)

    def test_silent_server(self) -> None:
        """A server that does not answer tells nothing, and is not asked again for long; another one is."""
        self.detection.begin([Address("203.0.113.9", 7000)])
        self.lab.run(DISCOVERY_S)
        self.assertIsNone(self.detection.behavior)
        asked = len(self.network.sockets)
        self.detection.begin([Address("203.0.113.9", 7000)])
        self.assertEqual(len(self.network.sockets), asked)
        self.lab.run(BEHAVIOR_S)
        self.assertGreater(len(self.network.sockets), asked)
        self.detection.begin(SERVERS)
        self.lab.run(DISCOVERY_S)
        self.assertIsNotNone(self.detection.behavior)

    def test_network_changed(self) -> None:
        """In another network everything is found out anew, also in the middle of finding it out."""
        self.detection.begin(SERVERS[:1])
        mapper = self.detection.network_info().mapper
        self.lab.run(0.1)
        self.detection.network_changed()
        self.assertIsNone(self.detection.behavior)
        self.assertIsNot(self.detection.network_info().mapper, mapper)
        self.lab.run(DISCOVERY_S)
        self.assertIsNotNone(self.detection.behavior)
        self.assertEqual(self.network.open, 0)

    def test_mapper(self) -> None:
        """Ports are mapped by the router that was found, and given back at the end."""
        self.detection.begin(SERVERS[:1])
        mapper = self.detection.network_info().mapper
        assert mapper is not None
        self.assertEqual(self.successResultOf(mapper.map(5000)), [Address("198.51.100.2", 5000)])
        self.detection.stopService()
        self.assertEqual((self.upnp.mapped, self.upnp.unmapped), ([5000], [5000]))
        self.assertEqual(self.network.open, 0)

    def test_known_before(self) -> None:
        """What is known from the start is not asked for."""
        mapper: Any = object()
        behavior = NatBehavior(udp_works=True)
        detection = self.make(mapper=mapper, behavior=behavior)
        detection.begin(SERVERS)
        detection.network_changed()
        self.lab.run(DISCOVERY_S)
        self.assertEqual(self.network.sockets, [])
        self.assertIs(detection.network_info().mapper, mapper)
        self.assertIs(detection.behavior, behavior)

    def test_stopped_while_asking(self) -> None:
        """Stopping in the middle closes everything."""
        self.detection.begin(SERVERS)
        self.lab.run(0.05)
        self.assertGreater(self.network.open, 0)
        self.detection.stopService()
        self.assertEqual(self.network.open, 0)

    def test_upnp(self) -> None:
        """UPnP is asked where the library for it is there."""
        found: list[bool] = []
        for there in (True, False):
            self.patch(periodic_detection, "is_available", lambda there=there: there)
            found.append(upnp_router(self.network) is not None)
        self.assertEqual(found, [True, False])
