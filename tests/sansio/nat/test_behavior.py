"""Tests of behavior discovery: every NAT in memory is recognized, by two servers and by one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import (
    BLOCK_MAX,
    LIFETIMES_S,
    OTHERS_ROUND_TRIPS,
    OTHERS_S,
    PORT_SAMPLES,
    BehaviorDiscovery,
    Filtering,
    Mapping,
    MappingDiscovery,
    NatBehavior,
    Observation,
    PortAllocation,
    Ports,
    allocation_of,
    filtering_of,
    mapping_of,
    sockets_needed,
)
from relaykit.testing.natlab import Lab, LabNat
from relaykit.values import Address

S1, S1B = Address("203.0.113.2", 3478), Address("203.0.113.2", 3479)
S2, S2B = Address("203.0.113.3", 3478), Address("203.0.113.3", 3479)
WAN = "198.51.100.2"

E, A, P = "endpoint-independent", "address-dependent", "address-and-port-dependent"


PATIENT_S = 3.0
"""The wait for answers that do not come, and two round trips."""


def discover(
    lab: Lab,
    nat: LabNat | None,
    servers: list[Address],
    grid: list[Address],
    lifetime: bool = False,
    own: Sequence[Address] = (),
) -> tuple[NatBehavior, float]:
    """Runs a whole discovery from a machine behind a NAT; answers the result and the time it took.

    ``own`` are the server's own addresses, if a NAT is in front of it.
    """
    lab.stun_server(grid, own)
    machine = lab.machine("192.168.1.100" if nat is not None else "192.0.2.9", behind=nat)
    sockets = [machine.bind(0, lambda data, source: None) for _ in range(sockets_needed(lifetime))]
    for address in sockets:
        machine.close(address)
    core = BehaviorDiscovery(servers, sockets, lab.chance.randbytes, lifetime)
    node = machine.run(core, [address.port for address in sockets])
    began = lab.now
    core.start(lab.now)
    assert lab.run(700.0, until=lambda: bool(node.events)), "the discovery never ended"
    ((at, found),) = node.events
    assert isinstance(found, NatBehavior)
    return found, at - began


class ConclusionTests(SynchronousTestCase):
    """What follows from observations, as tables."""

    def test_mapping(self) -> None:
        """Each set of observations allows one conclusion."""

        def seen(*pairs: tuple[Address, int]) -> list[Observation]:
            return [Observation(server, Address(WAN, port)) for server, port in pairs]

        for observations, expected in (
            (seen(), Mapping.UNKNOWN),
            (seen((S1, 1)), Mapping.UNKNOWN),
            (seen((S1, 1), (S2, 1)), Mapping.ENDPOINT_INDEPENDENT),
            (seen((S1, 1), (S2, 1), (S2B, 1)), Mapping.ENDPOINT_INDEPENDENT),
            (seen((S1, 1), (S2, 2)), Mapping.DEPENDENT),
            (seen((S1, 1), (S2, 2), (S2B, 2)), Mapping.ADDRESS_DEPENDENT),
            (seen((S1, 1), (S2, 2), (S2B, 3)), Mapping.ADDRESS_AND_PORT_DEPENDENT),
            (seen((S1, 1), (S1B, 2)), Mapping.ADDRESS_AND_PORT_DEPENDENT),
            (seen((S1, 1), (S1B, 1)), Mapping.NOT_PORT_DEPENDENT),
        ):
            self.assertIs(mapping_of(observations), expected, observations)

    def test_no_translation(self) -> None:
        """A socket that is seen as it is has no NAT, which one server suffices to tell."""
        local = Address("192.0.2.9", 5000)
        self.assertIs(mapping_of([Observation(S1, local)], local), Mapping.ENDPOINT_INDEPENDENT)

    def test_filtering(self) -> None:
        """Answers from elsewhere show what the filter lets through."""
        for from_port, from_address, expected in (
            (True, True, Filtering.ENDPOINT_INDEPENDENT),
            (True, False, Filtering.ADDRESS_DEPENDENT),
            (False, False, Filtering.ADDRESS_AND_PORT_DEPENDENT),
            (True, None, Filtering.NOT_PORT_DEPENDENT),
            (False, None, Filtering.ADDRESS_AND_PORT_DEPENDENT),
        ):
            self.assertIs(filtering_of(from_port, from_address), expected)

    def test_allocation(self) -> None:
        """Kept, counted and drawn ports are told apart."""
        locals_ = range(40000, 40000 + PORT_SAMPLES)
        self.assertEqual(allocation_of([]), Ports())
        self.assertEqual(allocation_of([(port, port) for port in locals_]), Ports(PortAllocation.PRESERVED))
        for step in (1, 2, -1, 8):
            pairs = [(port, 20000 + place * step) for place, port in enumerate(locals_)]
            self.assertEqual(allocation_of(pairs), Ports(PortAllocation.STEPPED, step=step))
        busy = [(port, 20000 + place + place // 4) for place, port in enumerate(locals_)]
        self.assertEqual(allocation_of(busy), Ports(PortAllocation.STEPPED, step=1))
        chance = random.Random(5)
        drawn = [(port, chance.randint(1024, 65535)) for port in locals_]
        self.assertIs(allocation_of(drawn).allocation, PortAllocation.RANDOM)
        self.assertIs(allocation_of(drawn[:3]).allocation, PortAllocation.RANDOM)
        block = [(port, chance.randint(20480, 21503)) for port in locals_]
        self.assertEqual(allocation_of(block), Ports(PortAllocation.BLOCK, low=20480, high=21503))

    @given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)), max_size=20))
    @settings(max_examples=100)
    def test_any_ports(self, pairs: list[tuple[int, int]]) -> None:
        """Whatever ports come, the range holds them and no block is wider than the bound."""
        ports = allocation_of(pairs)
        if ports.allocation is PortAllocation.BLOCK:
            self.assertLessEqual(ports.count, BLOCK_MAX)
            self.assertTrue(all(ports.low <= seen <= ports.high or seen < 1024 for _, seen in pairs))


class DiscoveryTests(SynchronousTestCase):
    """The whole discovery against NATs in memory."""

    def test_every_behavior_by_two_addresses(self) -> None:
        """With a server that has two addresses all nine combinations are recognized."""
        for mapping in (E, A, P):
            for filtering in (E, A, P):
                for loss in (0.0, 0.05):
                    lab = Lab(seed=11, delay_s=0.02, loss=loss)
                    nat = lab.nat(
                        WAN, Mapping(mapping), Filtering(filtering), allocation=PortAllocation.RANDOM
                    )
                    found, _ = discover(lab, nat, [S1], [S1, S1B, S2, S2B])
                    self.assertEqual((found.mapping.value, found.filtering.value), (mapping, filtering))
                    self.assertTrue(found.is_translated)
                    self.assertEqual(found.ports.allocation, PortAllocation.RANDOM)

    def test_every_behavior_by_one_address(self) -> None:
        """A server with two ports on one address tells what it can, and says where it cannot."""
        one = {
            E: (Mapping.NOT_PORT_DEPENDENT, Filtering.NOT_PORT_DEPENDENT),
            A: (Mapping.NOT_PORT_DEPENDENT, Filtering.NOT_PORT_DEPENDENT),
            P: (Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT),
        }
        for mapping in (E, A, P):
            for filtering in (E, A, P):
                lab = Lab(seed=11, delay_s=0.02)
                nat = lab.nat(WAN, Mapping(mapping), Filtering(filtering), allocation=PortAllocation.RANDOM)
                found, _ = discover(lab, nat, [S1], [S1, S1B])
                self.assertEqual((found.mapping, found.filtering), (one[mapping][0], one[filtering][1]))

    def test_two_plain_servers(self) -> None:
        """Two servers without RFC 5780 show the mapping, and nothing of the filter."""
        for mapping, expected in ((E, Mapping.ENDPOINT_INDEPENDENT), (P, Mapping.DEPENDENT)):
            lab = Lab(seed=2, delay_s=0.02)
            lab.stun_server([S2])
            nat = lab.nat(WAN, Mapping(mapping), allocation=PortAllocation.RANDOM)
            found, _ = discover(lab, nat, [S1, S2], [S1])
            self.assertEqual((found.mapping, found.filtering), (expected, Filtering.UNKNOWN))
            self.assertFalse(found.server_changes)

    def test_hidden_address(self) -> None:
        """A server behind a NAT that names a private address is asked at its second port all the same."""
        private = [Address("10.9.9.2", port) for port in (S1.port, S1B.port)]
        for mapping, expected in ((E, Mapping.NOT_PORT_DEPENDENT), (P, Mapping.ADDRESS_AND_PORT_DEPENDENT)):
            lab = Lab(seed=11, delay_s=0.02)
            nat = lab.nat(
                WAN, Mapping(mapping), Filtering.ADDRESS_DEPENDENT, allocation=PortAllocation.RANDOM
            )
            found, seconds = discover(lab, nat, [S1], [S1, S1B], own=private)
            self.assertEqual((found.mapping, found.filtering), (expected, Filtering.NOT_PORT_DEPENDENT))
            self.assertLess(seconds, PATIENT_S)

    def test_side_by_side(self) -> None:
        """Where neither filters nor the hairpin let an answer in, one wait is enough for all."""
        lab = Lab(seed=3, delay_s=0.02)
        nat = lab.nat(WAN, Mapping(P), Filtering(P), allocation=PortAllocation.RANDOM)
        found, seconds = discover(lab, nat, [S1], [S1, S1B, S2, S2B])
        self.assertEqual((found.filtering.value, found.hairpin), (P, False))
        self.assertLess(seconds, PATIENT_S)

    def test_ports_and_hairpin(self) -> None:
        """Kept ports, steps and a hairpin are seen."""
        for allocation, hairpin in (
            (PortAllocation.PRESERVED, False),
            (PortAllocation.STEPPED, True),
            (PortAllocation.BLOCK, True),
        ):
            lab = Lab(seed=3, delay_s=0.02)
            nat = lab.nat(
                WAN, Mapping(P), Filtering.ENDPOINT_INDEPENDENT, allocation=allocation, hairpin=hairpin
            )
            found, _ = discover(lab, nat, [S1], [S1, S1B, S2, S2B])
            self.assertEqual((found.ports.allocation, found.hairpin), (allocation, hairpin))
            kept = PORT_SAMPLES if allocation is PortAllocation.PRESERVED else 0
            self.assertEqual(found.preserved, (kept, PORT_SAMPLES))

    def test_public_machine(self) -> None:
        """Without a NAT the address is the own one, and nothing is translated."""
        lab = Lab(seed=4, delay_s=0.02)
        found, seconds = discover(lab, None, [S1], [S1, S1B])
        self.assertFalse(found.is_translated)
        self.assertIs(found.mapping, Mapping.ENDPOINT_INDEPENDENT)
        self.assertAlmostEqual(found.round_trip_s or 0.0, 0.04, 2)
        self.assertLess(seconds, 6.0)

    def test_blocked(self) -> None:
        """A network without UDP is known as such within four seconds."""
        lab = Lab(seed=5, delay_s=0.02)
        found, seconds = discover(lab, lab.nat(WAN, blocks_udp=True), [S1, S2], [S1, S1B, S2, S2B])
        self.assertEqual(found, NatBehavior(udp_works=False))
        self.assertLess(seconds, 4.0)

    def test_lifetime(self) -> None:
        """On request the age is bracketed at which idle mappings die."""
        for lifetime_s, expected in ((25.0, (20.0, 30.0)), (1000.0, (LIFETIMES_S[-1], None))):
            lab = Lab(seed=6, delay_s=0.02)
            nat = lab.nat(WAN, lifetime_s=lifetime_s)
            found, _ = discover(lab, nat, [S1], [S1, S1B], lifetime=True)
            assert found.lifetime is not None
            self.assertEqual((found.lifetime.at_least_s, found.lifetime.less_than_s), expected)

    def test_loss_is_not_symmetry(self) -> None:
        """With a third of all datagrams lost a steady NAT is never taken for a symmetric one."""
        for seed in range(20):
            lab = Lab(seed=seed, delay_s=0.02, loss=0.3)
            found, _ = discover(lab, lab.nat(WAN), [S1, S2], [S1, S1B, S2, S2B])
            self.assertTrue(found.mapping.is_steady or found.mapping is Mapping.UNKNOWN, found.mapping)


class MappingDiscoveryTests(SynchronousTestCase):
    """The short question before a punch."""

    def ask(self, lab: Lab, nat: LabNat) -> tuple[NatBehavior, float]:
        """Asks four server addresses from one socket."""
        lab.stun_server([S1, S1B, S2, S2B])
        machine = lab.machine("192.168.1.100", behind=nat)
        core = MappingDiscovery([S1, S1B, S2, S2B], [Address("192.168.1.100", 5000)], lab.chance.randbytes)
        node = machine.run(core, [5000])
        began = lab.now
        core.start(lab.now)
        self.assertTrue(lab.run(30.0, until=lambda: bool(node.events)))
        ((at, found),) = node.events
        assert isinstance(found, NatBehavior)
        return found, at - began

    def test_one_round_trip(self) -> None:
        """Where nothing is lost it takes one round trip."""
        lab = Lab(seed=1, delay_s=0.02)
        found, seconds = self.ask(lab, lab.nat(WAN))
        self.assertEqual((found.mapping, found.mapped), (Mapping.ENDPOINT_INDEPENDENT, Address(WAN, 5000)))
        self.assertAlmostEqual(seconds, 0.04, 3)

    def test_next_port(self) -> None:
        """Steps are seen, and the port that prediction starts from."""
        lab = Lab(seed=1, delay_s=0.02)
        found, _ = self.ask(lab, lab.nat(WAN, Mapping(P), allocation=PortAllocation.STEPPED))
        self.assertEqual(found.ports, Ports(PortAllocation.STEPPED, step=1))
        self.assertEqual(found.latest_port, 20003)

    def test_one_closed_port(self) -> None:
        """Servers that do not answer are not waited for once others have, and the mapping is not known."""
        lab = Lab(seed=1, delay_s=0.02)
        lab.stun_server([S1])
        machine = lab.machine("192.168.1.100", behind=lab.nat(WAN, Mapping(P)))
        core = MappingDiscovery([S1, S1B], [Address("192.168.1.100", 5000)], lab.chance.randbytes)
        node = machine.run(core, [5000])
        began = lab.now
        core.start(lab.now)
        self.assertTrue(lab.run(30.0, until=lambda: bool(node.events)))
        ((at, found),) = node.events
        self.assertAlmostEqual(at - began, 0.04 + OTHERS_S, 3)
        self.assertEqual((found.mapped.host, found.mapping), (WAN, Mapping.UNKNOWN))
        self.assertIsNone(core.next_wakeup())

    def test_not_waited_for(self) -> None:
        """Where their answers are of little use, the others get two round trips, and no more."""
        for closed, expected_s in ((0, 0.04), (1, 0.04 + OTHERS_ROUND_TRIPS * 0.04)):
            lab = Lab(seed=1, delay_s=0.02)
            servers = [S1, S1B]
            lab.stun_server(servers[: 2 - closed])
            machine = lab.machine("192.168.1.100", behind=lab.nat(WAN))
            core = MappingDiscovery(servers, [Address("192.168.1.100", 5000)], lab.chance.randbytes, 0.0)
            node = machine.run(core, [5000])
            began = lab.now
            core.start(lab.now)
            self.assertTrue(lab.run(30.0, until=lambda node=node: bool(node.events)))  # type: ignore[misc]
            ((at, found),) = node.events
            self.assertAlmostEqual(at - began, expected_s, 3)
            self.assertEqual(found.mapped, Address(WAN, 5000))

    def test_blocked(self) -> None:
        """No answer at all takes less than two seconds."""
        lab = Lab(seed=1, delay_s=0.02)
        found, seconds = self.ask(lab, lab.nat(WAN, blocks_udp=True))
        self.assertFalse(found.udp_works)
        self.assertLess(seconds, 2.0)
