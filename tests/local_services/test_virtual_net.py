"""Tests for :mod:`relaykit.local_services.virtual_net`."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ILocalService
from relaykit.local_services.virtual_net import local_service
from relaykit.sansio.packets.framing import framed
from tests.local_services.hosts import LocalScene
from tests.sansio.packets.made import packet

OWN, ALICE = "10.0.0.1", "10.0.0.2"


class VirtualNetTests(SynchronousTestCase):
    """Streams that join the network of a client."""

    def test_provides(self) -> None:
        """It is a local service; an address that is none is refused."""
        verifyObject(ILocalService, local_service())
        self.assertEqual(local_service("fd86::2").destination, ip_address("fd86::2"))
        self.assertRaises(ValueError, local_service, "fd86")

    def test_learned(self) -> None:
        """Who sends from an address gets what goes there."""
        scene = LocalScene(local_service())
        device = scene.open_device(f"{OWN}/24")
        asked, answer = packet(ALICE, OWN, b"?"), packet(OWN, ALICE, b"!")
        _, got = scene.connect(framed([asked]))
        device.packets_read([answer])
        scene.network.flush()
        self.assertEqual((device.got, got.data), ([asked], framed([answer])))

    def test_led(self) -> None:
        """With a destination a stream gets what goes there without having sent anything."""
        scene = LocalScene(local_service(ALICE))
        device = scene.open_device(f"{OWN}/24")
        _, got = scene.connect()
        device.packets_read([packet(OWN, ALICE)])
        scene.network.flush()
        self.assertEqual(got.data, framed([packet(OWN, ALICE)]))

    def test_no_network(self) -> None:
        """Where the client has no virtual network nobody is served."""
        with self.assertRaisesRegex(ConnectionFailed, r"virtualNet\.address"):
            LocalScene(local_service()).open()
