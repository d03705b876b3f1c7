"""Tests of detection a network, on machines in memory."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import detection
from relaykit.nat.detection import NatDetector, NatReport, PortMappingReport, lookup, places_of
from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation
from relaykit.testing.natlab import Lab
from relaykit.values import Address
from tests.nat.memory import MemoryNetwork
from tests.sansio.nat.pairs import GRID


class PlacesTests(SynchronousTestCase):
    """How servers are written."""

    def test_forms(self) -> None:
        """Host, port and both families have their forms."""
        for text, host, ports in (
            ("stun.example.com", "stun.example.com", [7000, 3478]),
            ("stun.example.com:7000", "stun.example.com", [7000]),
            ("192.0.2.1:3478", "192.0.2.1", [3478]),
            ("[2001:db8::1]:7000", "2001:db8::1", [7000]),
            ("[2001:db8::1]", "2001:db8::1", [7000, 3478]),
            ("2001:db8::1", "2001:db8::1", [7000, 3478]),
        ):
            self.assertEqual(places_of(text), [(host, port) for port in ports])

    def test_mistakes(self) -> None:
        """What is no server is refused with a reason."""
        for text in ("", ":7000", "host:", "host:port", "host:0", "host:65536", "[2001:db8::1]7000", "[]:1"):
            error = self.assertRaises(ValueError, places_of, text)
            self.assertIn("is no server", str(error))


class LookupTests(SynchronousTestCase):
    """Tests for :func:`lookup`."""

    def test_impossible_name(self) -> None:
        """What cannot be a name has no address."""
        self.assertEqual(lookup("a..b", 3478), [])


class NatDetectorTests(SynchronousTestCase):
    """Whole reports."""

    def setUp(self) -> None:
        """Names are looked up in a table, and there is no UPnP."""
        self.names = {"one": ["203.0.113.2"], "two": ["203.0.113.3"], "dead": ["203.0.113.99"]}
        self.patch(socket, "getaddrinfo", self.lookup)
        self.patch(detection, "is_available", lambda: False)

    def lookup(self, host: str, port: int, **_: object) -> list[Any]:
        """Looks a name up."""
        if host not in self.names:
            raise socket.gaierror("no such name")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 0, 0, "", (each, port))
            for each in self.names[host]
        ]

    def report(self, *servers: str, **nat: Any) -> NatReport:
        """Reports from behind a NAT; all sockets are closed afterwards."""
        lab = Lab(seed=1, delay_s=0.02)
        lab.stun_server(GRID)
        machine = lab.machine("192.168.1.100", behind=lab.nat("198.51.100.2", **nat))
        network = MemoryNetwork(machine)
        reactor: Any = lab.reactor
        detector = NatDetector(reactor, network, lab.chance.randbytes, lambda: lab.now)
        result = Deferred.fromCoroutine(detector.report(servers))
        done: list[object] = []
        result.addBoth(done.append)
        lab.run(60.0, until=lambda: bool(done))
        self.assertEqual(network.open, 0)
        (report,) = done
        assert isinstance(report, NatReport), report
        return report

    def test_everything(self) -> None:
        """The NAT is found, with who was asked and how long it took."""
        report = self.report(
            "one",
            "two",
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            filtering=Filtering.ADDRESS_DEPENDENT,
            allocation=PortAllocation.STEPPED,
        )
        assert report.four is not None
        self.assertEqual(
            (report.four.mapping, report.four.filtering, report.four.ports.allocation),
            (
                Mapping.ADDRESS_AND_PORT_DEPENDENT,
                Filtering.ADDRESS_DEPENDENT,
                PortAllocation.STEPPED,
            ),
        )
        self.assertEqual(
            report.servers,
            tuple(Address(f"203.0.113.{last}", port) for last in (2, 3) for port in (7000, 3478)),
        )
        self.assertEqual((report.six, report.port_mapping), (None, PortMappingReport()))
        self.assertTrue(report.works)
        self.assertLess(report.seconds, 10.0)

    def test_dead_server(self) -> None:
        """A server that does not answer is passed over, a name without address is told."""
        report = self.report("dead", "nowhere", "one")
        assert report.four is not None
        self.assertIs(report.four.mapping, Mapping.ENDPOINT_INDEPENDENT)
        self.assertEqual(report.unknown_names, ("nowhere",))

    def test_nothing_answers(self) -> None:
        """Without any answer it is told that nothing works, soon."""
        report = self.report("dead")
        self.assertEqual(report.four, NatBehavior(udp_works=False))
        self.assertFalse(report.works)
        self.assertLess(report.seconds, 5.0)

    def test_no_servers(self) -> None:
        """Names without addresses leave nobody to ask."""
        report = self.report("nowhere")
        self.assertEqual((report.four, report.six, report.works), (None, None, False))
