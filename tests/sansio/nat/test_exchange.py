"""Tests of candidates: they survive JSON, and what is none is refused."""

from __future__ import annotations

import contextlib
import json

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RemoteProtocolError
from relaykit.sansio.nat.behavior import Filtering, Mapping, PortAllocation, Ports
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, Candidate, CandidateKind
from relaykit.sansio.nat.checks import GENERATION_MAX
from relaykit.sansio.nat.exchange import Candidates
from relaykit.sansio.nat.pairing import NatView
from relaykit.values import Address, PathProtocol

CANDIDATES = Candidates(
    NatView(
        True,
        Mapping.ADDRESS_AND_PORT_DEPENDENT,
        Filtering.ADDRESS_DEPENDENT,
        Ports(PortAllocation.STEPPED, step=-2),
        20000,
    ),
    (
        Candidate(CandidateKind.HOST, Address("192.168.1.100", 5000)),
        Candidate(CandidateKind.REFLEXIVE, Address("2001:db8::5", 20000)),
    ),
    2,
)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


class CandidatesTests(SynchronousTestCase):
    """The value and its JSON form."""

    def test_round_trip(self) -> None:
        """What is written is read again, through JSON."""
        self.assertEqual(Candidates.from_wire(json.loads(json.dumps(CANDIDATES.to_wire()))), CANDIDATES)

    def test_golden(self) -> None:
        """The words on the wire are these."""
        self.assertEqual(
            json.loads(json.dumps(CANDIDATES.to_wire())),
            {
                "nat": {
                    "udp_works": True,
                    "mapping": "address-and-port-dependent",
                    "filtering": "address-dependent",
                    "ports": {"allocation": "stepped", "step": -2, "low": 1024, "high": 65535},
                    "latest_port": 20000,
                },
                "udp": [
                    {"kind": "host", "address": {"host": "192.168.1.100", "port": 5000}},
                    {"kind": "reflexive", "address": {"host": "2001:db8::5", "port": 20000}},
                ],
                "generation": 2,
                "tcp": [],
                "protocols": ["udp", "tcp"],
            },
        )

    def test_later_versions(self) -> None:
        """Keys that are not known are ignored."""
        self.assertEqual(
            Candidates.from_wire({"nat": {"color": 5}, "weather": "fine"}), Candidates(NatView())
        )

    def test_protocols(self) -> None:
        """A protocol is of use where both ends say so, as those do that say nothing of it."""
        older = Candidates.from_wire({"nat": {}})
        without = evolve(older, protocols=(PathProtocol.TCP,))
        for one, other in ((older, without), (without, older), (without, without)):
            self.assertEqual([one.agrees(other, each) for each in PathProtocol], [False, True])
        self.assertTrue(older.agrees(older, PathProtocol.UDP))

    def test_impossible(self) -> None:
        """What cannot be is refused as the peer's fault."""
        wire = json.loads(json.dumps(CANDIDATES.to_wire()))
        for path, value in (
            (("nat", "mapping"), "round"),
            (("nat", "latest_port"), 65536),
            (("nat", "latest_port"), "5"),
            (("nat", "ports", "low"), 0),
            (("nat", "ports", "high"), 70000),
            (("nat", "ports", "low"), 65535 + 1),
            (("nat", "ports", "step"), 5000),
            (("udp",), [wire["udp"][0]] * (CANDIDATES_MAX + 1)),
            (("tcp",), [wire["udp"][0]] * (CANDIDATES_MAX + 1)),
            (("udp", 0, "address", "host"), "example.com"),
            (("udp", 0, "address", "port"), 0),
            (("udp", 0, "kind"), None),
            (("generation",), GENERATION_MAX + 1),
            (("generation",), -1),
            (("protocols",), ["pigeon"]),
            (("protocols",), ["udp", "tcp", "udp"]),
            (("nat",), None),
        ):
            changed = json.loads(json.dumps(wire))
            place = changed
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            self.assertRaises(RemoteProtocolError, Candidates.from_wire, changed)

    @given(
        st.one_of(
            json_values,
            st.fixed_dictionaries({"nat": json_values, "udp": json_values, "generation": json_values}),
        )
    )
    @settings(max_examples=100)
    def test_junk(self, wire: object) -> None:
        """Junk is read or refused, and never anything else."""
        with contextlib.suppress(RemoteProtocolError):
            self.assertIsInstance(Candidates.from_wire(wire), Candidates)
