"""Tests of detection a network, on machines in memory."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import detection
from relaykit.nat.detection import (
    NAMES_S,
    PORT_MAPPING_S,
    SERVERS_MAX,
    BehaviorFound,
    DetectionStep,
    NamesFound,
    NatDetector,
    NatReport,
    PortMappingReport,
    ServersAnswered,
    lookup,
    places_of,
)
from relaykit.nat.upnp import UpnpFailed
from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation
from relaykit.testing.natlab import Lab
from relaykit.values import Address
from tests.nat.memory import MemoryNetwork
from tests.sansio.nat.pairs import GRID

REPORT_S = 6.0
"""What a report may take."""


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


class _Network(MemoryNetwork):
    """Looks some names up for ever."""

    def call_in_thread(self, function: Any) -> Deferred[Any]:
        if str(function.args[0]).startswith("slow"):
            return Deferred()
        return super().call_in_thread(function)


class _Upnp:
    """A UPnP device."""

    def __init__(self, find_s: float = 4.0, is_there: bool = True, maps: bool = True) -> None:
        self._find_s = find_s
        self._is_there = is_there
        self._maps = maps
        self.mapped: list[int] = []

    def begin(self, case: NatDetectorTests) -> Any:
        """What makes it."""
        self._case = case
        return lambda network: self

    def find(self) -> Deferred[str]:
        """Takes its time."""
        found: Deferred[str] = Deferred()
        outcome = "203.0.113.9" if self._is_there else Failure(UpnpFailed("none"))
        self._case.lab.call_later(self._find_s, lambda: found.callback(outcome))
        return found

    def map(self, port: int) -> Deferred[Address]:
        """Maps, or does not."""
        if not self._maps:
            return fail(UpnpFailed("no"))
        self.mapped.append(port)
        return succeed(Address("203.0.113.9", port))

    def unmap(self, port: int) -> Deferred[None]:
        """Gives back."""
        self.mapped.remove(port)
        return succeed(None)


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
        """Reports from behind a NAT, in time; all sockets are closed afterwards."""
        lab = Lab(seed=1, delay_s=0.02)
        self.lab = lab
        lab.stun_server(GRID)
        machine = lab.machine("192.168.1.100", behind=lab.nat("198.51.100.2", **nat))
        network = _Network(machine)
        reactor: Any = lab.reactor
        self.steps: list[DetectionStep] = []
        detector = NatDetector(
            reactor, network, lab.chance.randbytes, lambda: lab.now, on_step=self.steps.append
        )
        result = Deferred.fromCoroutine(detector.report(servers))
        done: list[object] = []
        result.addBoth(done.append)
        lab.run(60.0, until=lambda: bool(done))
        self.assertEqual(network.open, 0)
        (report,) = done
        assert isinstance(report, NatReport), report
        self.assertLessEqual(report.seconds, REPORT_S)
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

    def test_steps(self) -> None:
        """What comes out is told at once, the last of it being what was found."""
        report = self.report("one", "nowhere")
        server = Address("203.0.113.2", 3478)
        assert report.four is not None
        self.assertEqual(
            self.steps,
            [
                NamesFound([Address("203.0.113.2", 7000), server], ["nowhere"]),
                PortMappingReport(),
                ServersAnswered(False, [server]),
                BehaviorFound(False, report.four),
            ],
        )

    def test_best_server(self) -> None:
        """Of servers that answer, one with a second address is asked what only that shows."""
        report = self.report("one", filtering=Filtering.ADDRESS_DEPENDENT)
        assert report.four is not None
        self.assertIs(report.four.filtering, Filtering.ADDRESS_DEPENDENT)

    def test_slow_names(self) -> None:
        """Names are looked up side by side; those that take too long are as good as unknown."""
        report = self.report("slow-one", "one", "slow-two")
        self.assertTrue(report.works)
        self.assertEqual(report.unknown_names, ("slow-one", "slow-two"))
        report = self.report(*(f"slow-{number}" for number in range(SERVERS_MAX)))
        self.assertFalse(report.works)
        self.assertAlmostEqual(report.seconds, NAMES_S)

    def test_too_many_servers(self) -> None:
        """More servers than can be asked in time are refused, and nobody is asked."""
        nothing: Any = None
        servers = ["one"] * (SERVERS_MAX + 1)
        why = self.failureResultOf(
            Deferred.fromCoroutine(NatDetector(nothing, nothing).report(servers)), ValueError
        )
        self.assertIn("9 servers are too many", str(why.value))

    def test_upnp(self) -> None:
        """A device is looked for meanwhile, and has to map a port, which is given back."""
        for device, found in (
            (_Upnp(), PortMappingReport("UPnP", True, "203.0.113.9")),
            (_Upnp(maps=False), PortMappingReport("UPnP", False, "203.0.113.9")),
            (_Upnp(is_there=False), PortMappingReport()),
        ):
            self.patch(detection, "is_available", lambda: True)
            self.patch(detection, "UpnpRouter", device.begin(self))
            report = self.report("one")
            self.assertEqual((report.port_mapping, device.mapped), (found, []))

    def test_router_too_slow(self) -> None:
        """A router that takes too long is left."""
        device = _Upnp(find_s=60.0)
        self.patch(detection, "is_available", lambda: True)
        self.patch(detection, "UpnpRouter", device.begin(self))
        report = self.report("one")
        self.assertEqual(report.port_mapping, PortMappingReport())
        self.assertAlmostEqual(report.seconds, PORT_MAPPING_S)

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
        self.assertLess(report.seconds, 2.0)

    def test_no_servers(self) -> None:
        """Names without addresses leave nobody to ask."""
        report = self.report("nowhere")
        self.assertEqual((report.four, report.six, report.works), (None, None, False))
