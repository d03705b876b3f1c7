"""Tests of what ``relaykit nat`` says."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import report as report_module
from relaykit.nat.detection import (
    BehaviorFound,
    NamesFound,
    NatReport,
    PortMappingReport,
    ServersAnswered,
)
from relaykit.nat.report import Reach, expectations, run, step_words, to_json
from relaykit.nat.report import words as words_of
from relaykit.sansio.nat.behavior import (
    Filtering,
    Lifetime,
    Mapping,
    NatBehavior,
    PortAllocation,
    Ports,
)
from relaykit.sansio.nat.pairing import NatType
from relaykit.values import Address, PathProtocol
from tests.layering import ROOT

CONE = NatBehavior(
    udp_works=True,
    local=Address("192.168.1.100", 40000),
    mapped=Address("198.51.100.2", 40000),
    mapping=Mapping.ENDPOINT_INDEPENDENT,
    filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT,
    ports=Ports(PortAllocation.PRESERVED),
    latest_port=40000,
    preserved=(11, 12),
    hairpin=False,
)

SYMMETRIC = evolve(
    CONE,
    mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
    ports=Ports(PortAllocation.STEPPED, step=-2),
    preserved=(0, 12),
    lifetime=Lifetime(30.0, 45.0),
)


LISTINGS = ROOT / "docs" / "listings" / "nat"
UDP, TCP = frozenset((PathProtocol.UDP,)), frozenset((PathProtocol.TCP,))
BOTH = UDP | TCP
DIRECT = {"direct": BOTH}
BLOCKED = NatBehavior(udp_works=False)


def words(report: NatReport) -> str:
    """What a person reads where there is a type that takes direct paths of both kinds."""
    return words_of(report, DIRECT)


class WordsTests(SynchronousTestCase):
    """What a person reads."""

    def test_cone(self) -> None:
        """An ordinary home router is described line by line."""
        self.assertEqual(
            words(NatReport(four=CONE)).splitlines(),
            [
                "IPv4:                seen as 198.51.100.2:40000",
                "  NAT:               yes: this machine is 192.168.1.100",
                "  Mapping:           one external port for all peers (good)",
                "  Ports:             kept: the external port is the machine's own (11 of 12 were kept)",
                "  Filter:            only the very port that was sent to may answer",
                "  Hairpin:           no",
                "IPv6:                not asked: no server has such an address",
                "Port mapping:        the router offers none (PCP, NAT-PMP, UPnP)",
                "",
                "A peer whose network ...                                       is reached",
                "  lets others in (public address, full or restricted cone)     direct, at once",
                "  keeps its port (port-restricted cone, firewall)              direct, at once",
                "  counts its ports (symmetric)                                 "
                "direct, at once, by predicting ports",
                "  draws its ports from a small block (carrier)                 "
                "direct within seconds, by guessing ports",
                "  draws its ports from all (symmetric)                         "
                "direct within seconds, by guessing ports",
                "  lets no UDP out                                              direct by TCP, mostly",
                "",
                "This is for users of the proxy types that take direct paths: direct.",
            ],
        )

    def test_no_direct_type(self) -> None:
        """Nothing is promised that no installed type keeps."""
        for behavior in (CONE, SYMMETRIC):
            text = words_of(NatReport(four=behavior), {})
            self.assertIn("through the relay: no installed proxy type takes direct paths", text)
            self.assertNotIn("is reached", text)

    def test_ipv6_alone(self) -> None:
        """Where only IPv6 works, it is told what that is good for."""
        public = evolve(CONE, local=Address("2001:db8::5", 40000), mapped=Address("2001:db8::5", 40000))
        for four in (None, BLOCKED):
            text = words(NatReport(four=four, six=public))
            self.assertIn("A peer with IPv6, whose network ...", text)
            self.assertIn("direct, at once", text)

    def test_not_sure(self) -> None:
        """What one address of a server cannot show is not promised."""
        for mapping in (Mapping.UNKNOWN, Mapping.NOT_PORT_DEPENDENT):
            text = words(NatReport(four=evolve(CONE, mapping=mapping)))
            self.assertIn(" is probably reached", text)
            self.assertIn("name a second one", text)
        self.assertNotIn("probably", words(NatReport(four=CONE)))
        self.assertNotIn("probably", words(NatReport(four=evolve(CONE, local=CONE.mapped))))

    def test_blocked(self) -> None:
        """Without UDP there is TCP, where a type takes paths of it."""
        self.assertIn("Peers are reached by TCP where", words(NatReport(four=BLOCKED)))
        for direct in ({"direct": UDP}, {}):
            text = words_of(NatReport(four=BLOCKED), direct)
            self.assertIn("Peers are reached through the relay", text)
            self.assertNotIn("TCP", text)

    def test_names_without_address(self) -> None:
        """Where no server has an address that is the reason, and not UDP."""
        text = words(NatReport(unknown_names=("relay.example",)))
        self.assertIn("No server has an address", text)
        self.assertNotIn("UDP", text)

    def test_steps(self) -> None:
        """What has come out is told in a line; what is nothing new, in none."""
        server = Address("203.0.113.2", 7000)
        for step, text in (
            (NamesFound([server, Address("203.0.113.2", 3478)], []), "names: 203.0.113.2"),
            (NamesFound([server], ["two.example"]), "names: 203.0.113.2, no address of two.example"),
            (NamesFound([], ["two.example"]), "names: no address of two.example"),
            (ServersAnswered(False, [server]), "IPv4: 203.0.113.2:7000 answers; looking at the NAT"),
            (ServersAnswered(True, []), ""),
            (BehaviorFound(False, CONE), "IPv4: done"),
            (BehaviorFound(True, BLOCKED), "IPv6: no answer"),
            (PortMappingReport("PCP"), "port mapping: the router speaks PCP, but maps no port"),
        ):
            self.assertEqual(step_words(step), text)

    def test_symmetric(self) -> None:
        """A symmetric one is told what would help."""
        text = words(NatReport(four=SYMMETRIC, unknown_names=("nowhere.example",)))
        self.assertIn("counted: each new one is -2 from the one before", text)
        self.assertIn("live at least 30 s and less than 45 s", text)
        self.assertIn("switch on UPnP or PCP in the router", text)
        self.assertIn("nowhere.example", text)
        text = words(NatReport(four=SYMMETRIC, port_mapping=PortMappingReport("PCP", True, "100.64.0.7")))
        self.assertIn("The router maps ports by PCP", text)
        self.assertIn("not public: there is another NAT behind it", text)
        text = words(NatReport(four=SYMMETRIC, port_mapping=PortMappingReport("PCP")))
        self.assertIn("the router speaks PCP, but maps no port", text)

    def test_no_nat(self) -> None:
        """A public machine has no NAT, only perhaps a filter."""
        public = evolve(CONE, local=CONE.mapped)
        text = words(NatReport(four=public, six=public))
        self.assertEqual(text.count("none: the address is this machine's own"), 2)
        self.assertNotIn("Mapping:", text)

    def test_nothing(self) -> None:
        """A network without UDP is told so, with who was asked."""
        asked = (Address("192.0.2.1", 7000), Address("2001:db8::1", 7000), Address("192.0.2.1", 3478))
        text = words(NatReport(four=NatBehavior(udp_works=False), servers=asked))
        self.assertIn("IPv4:                no answer over UDP from 192.0.2.1:7000, 192.0.2.1:3478\n", text)
        self.assertIn("through the relay", text)

    def test_every_behavior_has_words(self) -> None:
        """No behavior is without words."""
        for mapping in Mapping:
            for filtering in Filtering:
                for allocation in PortAllocation:
                    behavior = evolve(
                        CONE, mapping=mapping, filtering=filtering, ports=Ports(allocation, step=1)
                    )
                    self.assertNotIn("{", words(NatReport(four=behavior)))

    def test_expectations(self) -> None:
        """What is said of a peer is what the punch will do with it, by the protocols that there are."""
        for behavior, protocols, other, reach in (
            (CONE, BOTH, NatType.RANDOM, Reach.GUESS),
            (SYMMETRIC, BOTH, NatType.STEADY, Reach.PREDICT),
            (SYMMETRIC, BOTH, NatType.OPEN, Reach.CHECK),
            (CONE, BOTH, NatType.BLOCKED, Reach.TCP),
            (SYMMETRIC, BOTH, NatType.BLOCKED, Reach.RELAY),
            (BLOCKED, BOTH, NatType.STEADY, Reach.TCP),
            (BLOCKED, BOTH, NatType.BLOCKED, Reach.TCP),
            (BLOCKED, BOTH, NatType.RANDOM, Reach.RELAY),
            (CONE, UDP, NatType.BLOCKED, Reach.RELAY),
            (CONE, TCP, NatType.STEADY, Reach.TCP),
            (CONE, TCP, NatType.RANDOM, Reach.RELAY),
        ):
            self.assertIs(expectations(behavior, protocols)[other], reach, (protocols, other))
        self.assertEqual(set(expectations(CONE, ()).values()), {Reach.RELAY})


class ListingTests(SynchronousTestCase):
    """What the documentation shows."""

    def test_listings(self) -> None:
        """It is what the command prints."""
        behavior = evolve(CONE, mapping=Mapping.NOT_PORT_DEPENDENT, preserved=None)
        server = Address("203.0.113.2", 7000)
        report = NatReport(four=behavior, servers=(server,))
        steps = (
            NamesFound([server], []),
            ServersAnswered(False, [server]),
            BehaviorFound(False, behavior),
            report.port_mapping,
        )
        asking = "Asking relay.example:7000, relay.example:3478 and the router."
        found, _, table = words(report).partition("\n\n")
        shown = [asking, *(f"  {step_words(step)}" for step in steps), "", found]
        self.assertEqual((LISTINGS / "answer.txt").read_text("utf-8"), "\n".join([*shown, ""]))
        self.assertEqual((LISTINGS / "peers.txt").read_text("utf-8"), f"{table}\n")


class JsonTests(SynchronousTestCase):
    """What a program reads."""

    def test_table(self) -> None:
        """The whole report is there, with what follows from it."""
        table = json.loads(
            to_json(NatReport(four=SYMMETRIC, servers=(Address("203.0.113.2", 3478),)), DIRECT)
        )
        self.assertEqual(table["four"]["mapping"], "address-and-port-dependent")
        self.assertEqual(table["four"]["mapped"], {"host": "198.51.100.2", "port": 40000})
        self.assertEqual(table["four"]["type"], "stepped")
        self.assertEqual(table["four"]["peers"]["steady"], "predict")
        self.assertEqual(table["direct_types"], {"direct": ["tcp", "udp"]})
        self.assertIs(table["four"]["is_translated"], True)
        self.assertEqual((table["six"], table["works"]), (None, True))
        self.assertEqual(table["servers"], [{"host": "203.0.113.2", "port": 3478}])


class RunTests(SynchronousTestCase):
    """The command."""

    asked: tuple[Any, bool]

    def run_command(self, report: NatReport, *arguments: Any, **named: Any) -> tuple[int, list[str]]:
        """Runs it over a report of the test's own."""

        class NatDetector:
            """Finds what the test wants."""

            def __init__(self, reactor: object, network: object, on_step: Any) -> None:
                self.on_step = on_step

            async def report(detector, servers: Any, lifetime: bool) -> NatReport:
                """The report, after a step."""
                self.asked = (servers, lifetime)
                detector.on_step(BehaviorFound(False, CONE))
                return report

        self.patch(report_module, "NatDetector", NatDetector)
        nothing: Any = None
        said: list[str] = []
        running = Deferred.fromCoroutine(run(nothing, nothing, said.append, *arguments, **named))
        return self.successResultOf(running), said

    def test_found(self) -> None:
        """It prints who is asked and what was found, and steps where somebody looks on."""
        report = NatReport(four=CONE)
        for live, steps in ((False, []), (True, ["  IPv4: done"])):
            status, said = self.run_command(report, ["one"], DIRECT, lifetime=True, live=live)
            self.assertEqual((status, self.asked), (0, (["one"], True)))
            self.assertEqual(said, ["Asking one:7000, one:3478 and the router.", *steps, "", words(report)])

    def test_json(self) -> None:
        """JSON stands alone."""
        status, (said,) = self.run_command(NatReport(four=CONE), ["one"], DIRECT, as_json=True, live=True)
        self.assertEqual((status, json.loads(said)["works"]), (0, True))

    def test_nothing(self) -> None:
        """The status is 1 if nothing answered."""
        status, said = self.run_command(NatReport(), ["one:9"], DIRECT)
        self.assertEqual((status, said[0]), (1, "Asking one:9 and the router."))
