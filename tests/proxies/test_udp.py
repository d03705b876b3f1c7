"""Tests for :mod:`relaykit.proxies.udp`."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.load import load_client, load_server
from relaykit.config.problems import ConfigurationProblems
from relaykit.config.schema import PortRange
from relaykit.errors import ConnectionFailed, ProxyRefusedError, RefusalCode
from relaykit.options import convert, from_wire, to_wire
from relaykit.proxies import udp
from relaykit.testing.conformance import DatagramPortTests
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.ports import MemoryDatagramLeg
from relaykit.testing.relay import MemoryRelay, Published, echoing_datagrams
from relaykit.values import MOST_DATAGRAM_BYTES, Address, Origin
from tests.config.cases import builtin_types

ALICE, BOB = Address("203.0.113.9", 4000), Address("2001:db8::5", 4000)


class UdpConformanceTests(DatagramPortTests, SynchronousTestCase):
    """``udp`` is a proxy type."""

    proxy_type = udp.proxy_type

    def options(self) -> udp.UdpOptions:
        return udp.UdpOptions(remote_port=5300)


class UdpOptionsTests(SynchronousTestCase):
    """Tests for what is configured and what travels."""

    def test_wire(self) -> None:
        """The port travels in frp's field; the size of packets is each end's own."""
        self.assertEqual(to_wire(udp.UdpOptions(remote_port=53, udp_packet_size=9000)), {"remote_port": 53})
        self.assertEqual(to_wire(udp.UdpOptions()), {})
        self.assertEqual(from_wire(udp.UdpOptions, {"remote_port": 53}).remote_port, 53)

    def test_packet_size(self) -> None:
        """A packet has a byte at least, and no more than a datagram can have."""
        for size in (1, MOST_DATAGRAM_BYTES):
            self.assertEqual(convert({"udpPacketSize": size}, udp.UdpOptions).udp_packet_size, size)
        for size in (-1, MOST_DATAGRAM_BYTES + 1):
            self.assertRaises(
                msgspec.ValidationError, convert, {"udpPacketSize": size}, udp.UdpIngressOptions
            )

    def load(self, load: Any, text: str) -> Any:
        """What a file with this text comes to."""
        path = self.mktemp() + ".toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return load(path, types=builtin_types(), environ={})

    def test_file(self) -> None:
        """The size is a key at the top of either file, 0 for the default."""
        proxy = '[[proxies]]\nname = "dns"\ntype = "udp"\nlocalPort = 53\nremotePort = 5300\n'
        for size, meant in ((9000, 9000), (0, 1500)):
            loaded = self.load(load_client, f"udpPacketSize = {size}\n{proxy}")
            expected = udp.UdpOptions(remote_port=5300, udp_packet_size=meant)
            self.assertEqual(loaded.proxies[0].options, expected)
            server = self.load(load_server, f'auth.token = "t"\nudpPacketSize = {size}\n')
            self.assertEqual(server.ingress_options["udp"].udp_packet_size, meant)
        for size in (-1, 65508):
            with self.assertRaisesRegex(ConfigurationProblems, "udpPacketSize: must be in"):
                self.load(load_server, f"udpPacketSize = {size}\n")

    def test_health_check(self) -> None:
        """A check connects to the TCP port of the service's number, which is said."""
        proxy = '[[proxies]]\nname = "dns"\ntype = "udp"\nlocalPort = 53\nhealthCheck.type = "tcp"\n'
        warnings = [str(each) for each in self.load(load_client, proxy).warnings]
        self.assertTrue(any("connects by TCP" in each for each in warnings), warnings)


class UdpIngressTests(SynchronousTestCase):
    """Tests for the server half."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def test_address(self) -> None:
        """The client is told the port, also one that the server picked; TCP ports are others."""
        given = self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6000), name="given")
        picked = self.relay.publish(udp.proxy_type, udp.UdpOptions(), name="picked")
        self.assertEqual(given.address, ":6000")
        self.assertRegex(picked.address, r"\A:\d+\Z")
        self.assertEqual(self.relay.open_ports, [])

    def test_logged_port(self) -> None:
        """The server's log tells the port in frp's words."""
        with capturedLogs() as logged:
            self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6000), name="dns")
        lines = "\n".join(str(formatEvent(each)) for each in logged)
        self.assertIn("[dns] udp proxy listen port [6000]", lines)

    def test_refused_port(self) -> None:
        """What the rules of the ports say reaches the client, in frp's words."""
        self.relay = MemoryRelay(allow_ports=(PortRange(start=6000, end=6100),))
        refused = self.assertRaises(
            ProxyRefusedError, self.relay.publish, udp.proxy_type, udp.UdpOptions(remote_port=22)
        )
        self.assertEqual(
            (refused.code, refused.text),
            (RefusalCode.PORT_NOT_ALLOWED, "acquire port 22 error: port not allowed"),
        )

    def test_withdrawn(self) -> None:
        """Withdrawing closes the port; doing so again does nothing."""
        published = self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6000))
        published.withdraw()
        self.assertRaises(ConnectionFailed, self.relay.ports.dial_datagrams, 6000)
        again = self.relay.publish(udp.proxy_type, udp.UdpOptions(remote_port=6000))
        published.withdraw()
        self.assertEqual(again.address, ":6000")


class UdpTests(SynchronousTestCase):
    """Tests for what becomes of datagrams, with our own ends and with those that speak frp's format."""

    def make(self, wire_protocol: str = "auto", **options: int) -> Published:
        """A relay and a proxy whose service sends back what it gets."""
        self.relay = MemoryRelay()
        self.relay.wire_protocol = wire_protocol
        return self.relay.publish(
            udp.proxy_type,
            udp.UdpOptions(remote_port=5300, **options),
            local_datagrams=echoing_datagrams,
            ingress_options=udp.UdpIngressOptions(**options),
        )

    def user(self, source: Address, *datagrams: bytes) -> tuple[MemoryDatagramLeg, RecordingDatagrams]:
        """A user who sends datagrams to the port, and what comes back."""
        leg: Any = self.relay.ports.dial_datagrams(5300, source)
        received = RecordingDatagrams(leg)
        for data in datagrams:
            leg.send(data)
        self.relay.settle()
        return leg, received

    def test_round_trip(self) -> None:
        """Each user gets the answers to what it sent, with IPv4 and IPv6, empty ones too."""
        for wire_protocol in ("auto", "v1"):
            published = self.make(wire_protocol)
            (_, alice), (_, bob) = self.user(ALICE, b"one", b""), self.user(BOB, b"two")
            self.assertEqual((alice.got, bob.got), ([b"one", b""], [b"two"]))
            users = [str(each.origin) for each in published.host.flows.values()]
            self.assertEqual(sorted(users), sorted(map(str, (ALICE, BOB))))
            self.assertEqual(sum(flow.moved()[0] for flow in published.proxy.flows), 6)

    def test_sizes(self) -> None:
        """Between our own ends all sizes pass, whatever is configured."""
        self.make()
        sizes = (1, 1472, 1500, 1501, 10240, MOST_DATAGRAM_BYTES)
        _, received = self.user(ALICE, *map(bytes, sizes))
        self.assertEqual([len(each) for each in received.got], list(sizes))

    def test_sizes_of_frp(self) -> None:
        """In frp's format what is larger than the packet size, or than a message, is dropped whole."""
        for options, passing in (({}, (1, 1472, 1500)), ({"udp_packet_size": 65507}, (1, 1472, 1500, 1501))):
            self.make("v1", **options)
            with capturedLogs() as logged:
                leg, received = self.user(ALICE, *map(bytes, (1, 1472, 1500, 1501, 10240, 65507)))
                leg.send(b"small again")
                self.relay.settle()
            self.assertEqual([len(each) for each in received.got], [*passing, 11])
            told = [event for event in logged if event.get("problem") == "datagram-too-large"]
            self.assertEqual(len(told), 1)

    def test_no_user_is_a_lane(self) -> None:
        """Lanes are no users: of one user one is counted, and the client is told of no other."""
        published = self.make()
        self.user(ALICE, b"x")
        (proxy,) = self.relay.server.status().proxies
        users = [each.origin for each in published.host.flows.values()]
        self.assertEqual((proxy.current, users), (1, [Origin(ALICE)]))
