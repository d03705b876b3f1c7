"""Tests of what ``relaykit nat`` says."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.not_implemented.types import NOT_IMPLEMENTED_TYPES
from relaykit.nat import report as report_module
from relaykit.nat.detection import NatReport, PortMappingReport
from relaykit.nat.report import expectations, run, to_json, words
from relaykit.sansio.nat.behavior import (
    Filtering,
    Lifetime,
    Mapping,
    NatBehavior,
    PortAllocation,
    Ports,
)
from relaykit.sansio.nat.pairing import NatType, Strategy
from relaykit.values import Address

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
                "  lets no UDP out                                              through the relay",
                "",
                "No proxy type of relaykit uses direct paths yet (xtcp is not available): "
                "users go through the relay.",
            ],
        )

    def test_direct_paths(self) -> None:
        """Nothing is promised that no type keeps; once there is ``xtcp``, the last line has to go."""
        self.assertIn("xtcp", NOT_IMPLEMENTED_TYPES)

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
        """What is said of a peer is what the punch will do with it."""
        self.assertIs(expectations(CONE)[NatType.RANDOM], Strategy.GUESS)
        self.assertIs(expectations(SYMMETRIC)[NatType.STEADY], Strategy.PREDICT)
        self.assertIs(expectations(SYMMETRIC)[NatType.OPEN], Strategy.CHECK)
        self.assertEqual(set(expectations(NatBehavior(udp_works=False)).values()), {Strategy.GIVE_UP})


class JsonTests(SynchronousTestCase):
    """What a program reads."""

    def test_table(self) -> None:
        """The whole report is there, with what follows from it."""
        table = json.loads(to_json(NatReport(four=SYMMETRIC, servers=(Address("203.0.113.2", 3478),))))
        self.assertEqual(table["four"]["mapping"], "address-and-port-dependent")
        self.assertEqual(table["four"]["mapped"], {"host": "198.51.100.2", "port": 40000})
        self.assertEqual(table["four"]["type"], "stepped")
        self.assertEqual(table["four"]["peers"]["steady"], "predict")
        self.assertIs(table["four"]["is_translated"], True)
        self.assertEqual((table["six"], table["works"]), (None, True))
        self.assertEqual(table["servers"], [{"host": "203.0.113.2", "port": 3478}])


class RunTests(SynchronousTestCase):
    """The command."""

    def test_run(self) -> None:
        """It asks the servers, prints, and answers 0, or 1 if nothing answered."""
        asked: list[tuple[Any, bool]] = []
        reports = [NatReport(four=CONE), NatReport(four=CONE), NatReport()]

        class NatDetector:
            """Finds what the test wants."""

            def __init__(self, reactor: object, network: object) -> None:
                """Nothing to keep."""

            async def report(self, servers: Any, lifetime: bool) -> NatReport:
                """The next report."""
                asked.append((servers, lifetime))
                return reports.pop(0)

        self.patch(report_module, "NatDetector", NatDetector)
        nothing: Any = None
        said: list[str] = []
        for arguments, status in (
            ((["one"], True, False), 0),
            ((["one"], False, True), 0),
            ((["one:9"], False, False), 1),
        ):
            running = Deferred.fromCoroutine(run(nothing, nothing, said.append, *arguments))
            self.assertEqual(self.successResultOf(running), status)
        self.assertEqual(asked, [(["one"], True), (["one"], False), (["one:9"], False)])
        self.assertEqual(said[0], "Asking one:7000, one:3478 and the router.\n")
        self.assertEqual(said[1], words(NatReport(four=CONE)))
        self.assertTrue(json.loads(said[2])["works"])
        self.assertEqual(said[3], "Asking one:9 and the router.\n")
