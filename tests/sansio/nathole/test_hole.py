"""Tests of both ends of frp's hole punching."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import Filtering, Mapping, PortAllocation
from relaykit.sansio.nat.datagrams import Datagram
from relaykit.sansio.nathole.hole import (
    ANSWER_S,
    ANSWERS,
    FIRST_ROUND_S,
    PER_TICK,
    RANDOM_PORT_S,
    ROUND_S,
    TICK_S,
    Hole,
    HolePunched,
    PeerNotHeard,
)
from relaykit.sansio.nathole.instructions import HoleRole, Instructions
from relaykit.sansio.nathole.messages import NatHoleSid
from relaykit.sansio.nathole.probes import ProbeCodec
from relaykit.testing.natlab import Lab, LabNode
from relaykit.values import Address, Secret

PEER, OTHER = Address("8.8.8.8", 5000), Address("8.8.4.4", 6000)
CODEC = ProbeCodec(Secret("abc"), random.Random(1).randbytes)


def instructions(role: HoleRole = HoleRole.SENDER, **changes: Any) -> Instructions:
    """Those for a peer at one address."""
    usual = Instructions(role=role, sid="s1", targets=(PEER,), hosts=(PEER.host,))
    return evolve(usual, **changes)


class _HoleTestCase(SynchronousTestCase):
    def make(self, told: Instructions, sockets: int = 1) -> Hole:
        """One end with these instructions, at 0 s."""
        hole = Hole(told, CODEC, "t1", sockets, random.Random(2).randbytes)
        hole.start(0.0)
        return hole

    def sent_until(self, hole: Hole, seconds: float) -> list[tuple[float, Datagram]]:
        """What goes out up to then, and when."""
        sent = [(0.0, each) for each in hole.to_send(0.0)]
        while (due := hole.next_wakeup()) is not None and due <= seconds:
            hole.wake(due)
            sent.extend((due, each) for each in hole.to_send(due))
        return sent

    def probe(self, **fields: Any) -> bytes:
        """The peer's datagram."""
        return CODEC.encode(NatHoleSid(**({"transaction_id": "t2", "sid": "s1"} | fields)))


class RoundTests(_HoleTestCase):
    """What is sent, when, and from where."""

    def test_probe(self) -> None:
        """A probe carries the attempt's id and the own transaction, and the TTL that was asked for."""
        ((when, datagram),) = self.sent_until(self.make(instructions(ttl=7)), 0.1)
        self.assertEqual((when, datagram.destination, datagram.via, datagram.ttl), (0.0, PEER, 0, 7))
        probe = CODEC.decode(datagram.payload)
        assert probe is not None
        self.assertEqual((probe.sid, probe.transaction_id, probe.response), ("s1", "t1", False))
        self.assertLess(len(probe.nonce), 20)

    def test_delay(self) -> None:
        """Nothing is sent before the pause is over."""
        sent = self.sent_until(self.make(instructions(send_delay_s=3.0)), 3.1)
        self.assertEqual([when for when, _ in sent], [3.0])

    def test_rounds(self) -> None:
        """Rounds are repeated with growing pauses until the peer is given up, and no longer."""
        hole = self.make(instructions(quiet_s=5.0))
        times = [when for when, _ in self.sent_until(hole, 60.0)]
        self.assertEqual(times, [0.0, ROUND_S, 3 * ROUND_S, 7 * ROUND_S, 15 * ROUND_S])
        self.assertEqual(list(hole.events()), [PeerNotHeard()])
        self.assertIsNone(hole.next_wakeup())

    def test_order(self) -> None:
        """Every socket sends to every address, then to every port, at an even pace."""
        told = instructions(targets=(PEER, OTHER), hosts=(PEER.host, OTHER.host), ports=(7001, 7002, 7003))
        sent = self.sent_until(self.make(told, sockets=2), 0.1)
        self.assertEqual(
            [(each.via, each.destination) for _, each in sent],
            [(via, address) for via in (0, 1) for address in (PEER, OTHER)]
            + [
                (via, Address(host, port))
                for via in (0, 1)
                for host in (PEER.host, OTHER.host)
                for port in (7001, 7002, 7003)
            ],
        )
        self.assertEqual([when for when, _ in sent][::PER_TICK], [0.0, TICK_S, 2 * TICK_S, 3 * TICK_S])

    def test_endless_round(self) -> None:
        """However much is to be sent, the peer is given up in time."""
        hosts = tuple(f"8.8.8.{number}" for number in range(16))
        hole = self.make(instructions(hosts=hosts, ports=tuple(range(5000, 5064)), quiet_s=5.0), sockets=257)
        times = [when for when, _ in self.sent_until(hole, 600.0)]
        self.assertLessEqual(max(times), FIRST_ROUND_S + TICK_S + 5.0)
        self.assertLess(len(times), (FIRST_ROUND_S + 5.5) * PER_TICK / TICK_S)
        self.assertEqual(list(hole.events()), [PeerNotHeard()])

    def test_random_ports(self) -> None:
        """Ports are tried by chance once all else was sent: each once, at each host."""
        told = instructions(hosts=(PEER.host, OTHER.host), random_ports=1000, quiet_s=20.0)
        sent = self.sent_until(self.make(told), 30.0)
        tried = [each.destination for _, each in sent if each.destination != PEER]
        self.assertEqual(len({each.port for each in tried}), 1000)
        self.assertEqual(len(set(tried)), 2000)
        self.assertTrue(all(1024 <= each.port <= 65534 for each in tried))
        self.assertAlmostEqual(max(when for when, _ in sent if _.destination != PEER), 999 * RANDOM_PORT_S)


class OutcomeTests(_HoleTestCase):
    """Who hears whom."""

    def test_receiver(self) -> None:
        """A receiver has succeeded with the first probe, which it answers with its own TTL, several times."""
        hole = self.make(instructions(HoleRole.RECEIVER, ttl=7))
        hole.to_send(0.0)
        hole.receive(self.probe(nonce="00"), OTHER, 0, 0.1)
        self.assertEqual(list(hole.events()), [HolePunched(0, OTHER)])
        answers = self.sent_until(hole, 60.0)
        self.assertEqual(len(answers), ANSWERS)
        self.assertEqual({(each.destination, each.via, each.ttl) for _, each in answers}, {(OTHER, 0, None)})
        self.assertEqual(
            [CODEC.decode(each.payload) for _, each in answers],
            [NatHoleSid(transaction_id="t2", sid="s1", nonce="00", response=True)] * ANSWERS,
        )
        self.assertAlmostEqual(answers[-1][0], 0.1 + ANSWER_S * (ANSWERS - 1))

    def test_answer_lost(self) -> None:
        """A further probe from the same place is answered, one from elsewhere or at another socket is not."""
        hole = self.make(instructions(HoleRole.RECEIVER), sockets=2)
        hole.receive(self.probe(), OTHER, 1, 0.1)
        self.sent_until(hole, 60.0)
        for source, via, answered in ((PEER, 1, 0), (OTHER, 0, 0), (OTHER, 1, 1)):
            hole.receive(self.probe(), source, via, 9.0)
            self.assertEqual(len(hole.to_send(9.0)), answered)
        self.assertEqual(len(hole.events()), 1)

    def test_sender(self) -> None:
        """A sender has succeeded with the answer to its probe, and with nothing else."""
        hole = self.make(instructions())
        hole.to_send(0.0)
        for datagram in (
            self.probe(),
            self.probe(response=True),
            self.probe(transaction_id="t1", sid="s2", response=True),
            b"junk",
        ):
            hole.receive(datagram, PEER, 0, 0.1)
        self.assertEqual((list(hole.events()), list(hole.to_send(0.1))), ([], []))
        hole.receive(self.probe(transaction_id="t1", response=True), OTHER, 0, 0.2)
        self.assertEqual(list(hole.events()), [HolePunched(0, OTHER)])
        hole.receive(self.probe(transaction_id="t1", response=True), OTHER, 0, 0.3)
        self.assertEqual(self.sent_until(hole, 60.0), [])

    def test_too_late(self) -> None:
        """Who has given up answers nobody."""
        hole = self.make(instructions(HoleRole.RECEIVER, quiet_s=1.0))
        self.sent_until(hole, 60.0)
        hole.receive(self.probe(), PEER, 0, 2.0)
        self.assertEqual((list(hole.events()), list(hole.to_send(2.0))), ([PeerNotHeard()], []))


class BehindNatsTests(SynchronousTestCase):
    """Both ends behind NATs in memory."""

    def nodes(
        self, lab: Lab, sender: dict[str, Any], receiver: dict[str, Any], changes: tuple[Any, Any] = ({}, {})
    ) -> tuple[LabNode, LabNode]:
        """Two ends, which each know where the other is seen; the receiver has begun."""
        found = []
        for number, kind in enumerate((sender, receiver), 1):
            machine = lab.machine(f"192.168.{number}.100", behind=lab.nat(f"198.51.100.{number}", **kind))
            found.append(machine)
        roles = (HoleRole.SENDER, HoleRole.RECEIVER)
        nodes = []
        for place in (1, 0):
            peer = Address(f"198.51.100.{2 - place}", 4000)
            told = Instructions(role=roles[place], sid="s1", targets=(peer,), hosts=(peer.host,))
            told = evolve(told, **changes[place])
            sockets = 1 + told.listen_ports
            core = Hole(told, CODEC, f"t{place}", sockets, lab.chance.randbytes)
            node = found[place].run(core, [4000] + [0] * told.listen_ports)
            core.start(lab.now)
            node.flush()
            nodes.append(node)
            lab.run(1.0 if place else 0.0)
        return nodes[1], nodes[0]

    def outcome(self, lab: Lab, nodes: tuple[LabNode, LabNode], seconds: float = 40.0) -> list[Any]:
        """How it ended at the sender and at the receiver."""
        lab.run(seconds, until=lambda: all(each.events for each in nodes))
        return [event for node in nodes for _, event in node.events]

    def test_cones(self) -> None:
        """Two NATs that keep ports and let in whom was sent to."""
        lab = Lab(1, delay_s=0.02)
        nodes = self.nodes(lab, {}, {}, ({}, {"ttl": 2}))
        self.assertEqual(
            self.outcome(lab, nodes),
            [HolePunched(0, Address("198.51.100.2", 4000)), HolePunched(0, Address("198.51.100.1", 4000))],
        )

    def test_loss(self) -> None:
        """Where one datagram in four is lost, both ends succeed in nearly all cases."""
        agreed = 0
        for seed in range(40):
            lab = Lab(seed, delay_s=0.02, loss=0.25)
            found = self.outcome(lab, self.nodes(lab, {}, {}))
            agreed += all(isinstance(each, HolePunched) for each in found)
        self.assertGreaterEqual(agreed, 39)

    def test_predicted_port(self) -> None:
        """A sender whose NAT takes the next port for each peer is met at one of those that follow."""
        lab = Lab(3, delay_s=0.02)
        stepped: dict[str, Any] = {
            "mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT,
            "allocation": PortAllocation.STEPPED,
        }
        told = {"ports": tuple(range(20480, 20500)), "targets": ()}
        found = self.outcome(
            lab, self.nodes(lab, stepped, {"filtering": Filtering.ADDRESS_DEPENDENT}, ({}, told))
        )
        self.assertTrue(all(isinstance(each, HolePunched) for each in found), found)

    def test_by_chance(self) -> None:
        """A receiver behind a NAT of random ports listens on many; the sender tries many."""
        lab = Lab(5, delay_s=0.02)
        symmetric: dict[str, Any] = {
            "mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT,
            "allocation": PortAllocation.RANDOM,
        }
        nodes = self.nodes(
            lab,
            {},
            symmetric,
            ({"random_ports": 1000, "quiet_s": 35.0}, {"listen_ports": 256, "quiet_s": 35.0}),
        )
        found = self.outcome(lab, nodes, 60.0)
        self.assertTrue(all(isinstance(each, HolePunched) for each in found), found)

    def test_silence(self) -> None:
        """A peer that is not there is given up."""
        lab = Lab(1)
        nodes = self.nodes(lab, {}, {"blocks_udp": True})
        self.assertEqual(self.outcome(lab, nodes), [PeerNotHeard(), PeerNotHeard()])


class ReplayTests(_HoleTestCase):
    """What was recorded of frp."""

    def test_answer_is_frps(self) -> None:
        """The answer to a probe is the probe with one flag more, as frp's is."""
        probe = NatHoleSid(
            transaction_id="179540812616c5597be2ad7d5e", sid="17954081254a5e83ec3d08f0b9", nonce="0" * 15
        )
        hole = self.make(instructions(HoleRole.RECEIVER, sid=probe.sid))
        hole.to_send(0.0)
        hole.receive(CODEC.encode(probe), PEER, 0, 0.1)
        answer = CODEC.decode(hole.to_send(0.1)[0].payload)
        self.assertEqual(answer, msgspec.structs.replace(probe, response=True))
