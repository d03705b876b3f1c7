"""Tests for :mod:`relaykit.dataplane.virtual_network`."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.dataplane.virtual_network import (
    MOST_ROUTES,
    MOST_STREAMS,
    PACKETS_AT_ONCE,
    VirtualNetwork,
    open_device,
)
from relaykit.errors import ConnectionFailed, VirtualNetworkError
from relaykit.interfaces import IVirtualNetwork
from relaykit.sansio.packets.framing import framed
from relaykit.sansio.packets.headers import parse_interface
from relaykit.sansio.packets.switch import MOST_WAITING_BYTES
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from tests.dataplane.fakes import FakeTun, os_error
from tests.sansio.packets.made import packet

OWN, ALICE, BOB = "10.0.0.1", "10.0.0.2", "10.0.0.3"


class VirtualNetworkTests(SynchronousTestCase):
    """Packets between a device and legs."""

    def setUp(self) -> None:
        self.memory = MemoryNetwork()
        self.device = FakeTun()
        self.opened: list[str] = []
        self.network = VirtualNetwork(self.memory, self.open_device)

    def open_device(self, poller: object, own: object) -> Any:
        """Stands for the system."""
        self.opened.append(str(own))
        return self.device

    def open(self) -> None:
        """Opens the network."""
        self.network.open(parse_interface(f"{OWN}/24"))

    def join(self, destination: str = "") -> tuple[MemoryLeg, RecordingReceiver]:
        """The other end of a leg that has joined, and what it gets."""
        near, far = self.memory.pair()
        self.network.join(near, ip_address(destination) if destination else None)
        return far, RecordingReceiver(far)

    def bring(self, leg: MemoryLeg, *packets: bytes) -> None:
        """Has these packets come over a leg."""
        leg.write(framed(packets))
        self.memory.flush()

    def test_closed(self) -> None:
        """Nothing is open before it is asked for, and after it was closed; legs stay with who has them."""
        verifyObject(IVirtualNetwork, self.network)
        self.assertEqual(self.opened, [])
        self.assertRaises(ConnectionFailed, self.join)
        self.open()
        self.assertEqual(self.opened, ["10.0.0.1/24"])
        _, got = self.join()
        self.network.close()
        self.memory.flush()
        self.assertTrue(self.device.closed)
        self.assertTrue(got.ended)
        self.assertRaises(ConnectionFailed, self.join)

    def test_led(self) -> None:
        """Packets of the system for the destination of a leg go there together, and answers come back."""
        self.open()
        leg, got = self.join(ALICE)
        packets = [packet(OWN, ALICE, bytes([at])) for at in range(3)]
        self.device.packets_read([*packets, packet(OWN, BOB)])
        self.memory.flush()
        self.assertEqual(got.data, framed(packets))
        answer = packet(ALICE, OWN, b"x")
        self.bring(leg, answer, packet(BOB, OWN), b"junk")
        self.assertEqual(self.device.got, [answer])

    def test_elsewhere(self) -> None:
        """What is outside of the network gets a route, once, which stays when its leg is gone."""
        self.open()
        for destination in (ALICE, "192.0.2.7", "192.0.2.7"):
            leg, _ = self.join(destination)
            leg.close()
            self.memory.flush()
        self.assertEqual(self.device.led, ["192.0.2.7"])
        self.network.close()
        self.open()
        self.join("192.0.2.7")
        self.assertEqual(self.device.led, ["192.0.2.7"] * 2)

    def test_no_route(self) -> None:
        """Where there can be none that is said, and the leg stays with who has it."""
        self.open()
        for number, word in ((errno.EEXIST, "ip route"), (errno.EPERM, "not permitted")):
            self.device.no_route = os_error(number)
            with self.assertRaisesRegex(ConnectionFailed, f"192.0.2.7.*{word}"):
                self.join("192.0.2.7")
        self.join(ALICE)

    def test_many_routes(self) -> None:
        """There are so many of them."""
        self.open()
        for number in range(MOST_ROUTES):
            leg, _ = self.join(str(ip_address("192.0.2.0") + number))
            leg.close()
            self.memory.flush()
        self.assertRaises(ConnectionFailed, self.join, "203.0.113.1")

    def test_learned(self) -> None:
        """A leg whose user has sent a packet gets the answers to it."""
        self.open()
        leg, got = self.join()
        answer = packet(OWN, ALICE, b"x")
        self.device.packets_read([answer])
        self.bring(leg, packet(ALICE, OWN))
        self.device.packets_read([answer])
        self.memory.flush()
        self.assertEqual((len(self.device.got), got.data), (1, framed([answer])))

    def test_taken_over(self) -> None:
        """Who comes with the address of another has it; the other is let go, and the log says so."""
        self.open()
        first, got = self.join()
        self.bring(first, packet(ALICE, OWN))
        second, _ = self.join()
        with capturedLogs() as logs:
            self.bring(second, packet(ALICE, OWN))
        self.assertEqual(
            [(each["log_level"], each.get("problem")) for each in logs][:1],
            [(LogLevel.warn, "address-taken-over")],
        )
        self.assertTrue(got.ended)

    def test_full(self) -> None:
        """A leg that takes nothing holds up neither the device nor other legs; what waits is bounded."""
        self.open()
        slow, got = self.join(ALICE)
        _, other = self.join(BOB)
        slow.pauseProducing()
        packets = [packet(OWN, ALICE, bytes(1400))] * 100
        for _ in range(10):
            self.device.packets_read(packets)
            self.memory.flush()
        self.device.packets_read([packet(OWN, BOB)])
        self.memory.flush()
        self.assertEqual(other.data, framed([packet(OWN, BOB)]))
        slow.resumeProducing()
        self.memory.flush()
        self.assertTrue(MOST_WAITING_BYTES * 0.9 < len(got.data) < MOST_WAITING_BYTES * 2, len(got.data))
        self.device.packets_read([packet(OWN, ALICE)])
        self.memory.flush()
        self.assertTrue(got.data.endswith(framed([packet(OWN, ALICE)])))

    def test_portions(self) -> None:
        """Many packets at once take several turns, and all arrive."""
        self.open()
        leg, _ = self.join(ALICE)
        leg.write(framed([packet(ALICE, OWN)] * (2 * PACKETS_AT_ONCE + 1)))
        self.memory.turn()
        self.assertEqual(len(self.device.got), PACKETS_AT_ONCE)
        self.memory.flush()
        self.assertEqual(len(self.device.got), 2 * PACKETS_AT_ONCE + 1)
        self.bring(leg, packet(ALICE, OWN))
        self.assertEqual(len(self.device.got), 2 * PACKETS_AT_ONCE + 2)

    def test_closed_in_between(self) -> None:
        """What is left of a leg that was closed is not taken."""
        self.open()
        leg, _ = self.join()
        leg.write(framed([packet(ALICE, OWN)] * (2 * PACKETS_AT_ONCE)))
        self.memory.turn()
        self.network.close()
        self.memory.flush()
        self.assertEqual(len(self.device.got), PACKETS_AT_ONCE)

    def test_broken_rules(self) -> None:
        """A length that makes no sense ends the leg, with a warning; others go on."""
        self.open()
        leg, got = self.join()
        _, other = self.join()
        with capturedLogs() as logs:
            leg.write(bytes(4))
            self.memory.flush()
        self.assertEqual([each["problem"] for each in logs if "problem" in each], ["broke-the-rules"])
        self.assertTrue(got.ended)
        self.assertIsNone(other.lost)

    def test_ended(self) -> None:
        """A leg that the other end closes is over, and its address nobody's."""
        self.open()
        leg, got = self.join()
        self.bring(leg, packet(ALICE, OWN))
        leg.finish_writing()
        self.memory.flush()
        self.device.packets_read([packet(OWN, ALICE)])
        self.memory.flush()
        self.assertEqual((got.data, got.ended), (b"", True))

    def test_many(self) -> None:
        """There are so many legs, and room again once one is gone."""
        self.open()
        legs = [self.join()[0] for _ in range(MOST_STREAMS)]
        self.assertRaises(ConnectionFailed, self.join)
        legs[0].close()
        self.memory.flush()
        self.join()

    def test_device_lost(self) -> None:
        """Where the device is taken away, all legs end, and the log says what to do."""
        self.open()
        _, got = self.join()
        with capturedLogs() as logs:
            self.device.lost("File descriptor in bad state")
            self.memory.flush()
        self.assertEqual((logs[0]["log_level"], logs[0]["problem"]), (LogLevel.error, "virtual-network"))
        self.assertTrue(got.ended)
        self.assertRaises(ConnectionFailed, self.join)

    def test_other_systems(self) -> None:
        """Where there is no such device, it is said in words."""
        with self.assertRaises(VirtualNetworkError) as raised:
            open_device(self.memory, parse_interface("10.0.0.1/24"), "win32")
        self.assertIn("not supported on this platform (win32)", str(raised.exception))
