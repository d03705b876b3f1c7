"""Tests of the table of strategies: it fits itself from both sides, and types follow from behaviors."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.pairing import STRATEGIES, NatType, NatView, Strategy, nat_type_of, strategy_for
from relaykit.values import Address

COUNTERPARTS = {
    Strategy.CHECK: {Strategy.CHECK, Strategy.PREDICT},
    Strategy.PREDICT: {Strategy.PREDICT, Strategy.CHECK},
    Strategy.SPREAD: {Strategy.GUESS},
    Strategy.GUESS: {Strategy.SPREAD},
    Strategy.SCATTER: {Strategy.SCATTER},
    Strategy.GIVE_UP: {Strategy.GIVE_UP},
}


class StrategyTests(SynchronousTestCase):
    """The table."""

    def test_both_sides_agree(self) -> None:
        """What one end does is what the other end's strategy needs, for every pair of types."""
        for own in NatType:
            for other in NatType:
                self.assertIn(strategy_for(other, own), COUNTERPARTS[strategy_for(own, other)], (own, other))

    def test_nothing_is_given_up_twice(self) -> None:
        """Hopeless pairs are simply missing."""
        self.assertNotIn(Strategy.GIVE_UP, STRATEGIES.values())
        for other in NatType:
            self.assertIs(strategy_for(NatType.BLOCKED, other), Strategy.GIVE_UP)
        self.assertIs(strategy_for(NatType.RANDOM, NatType.RANDOM), Strategy.GIVE_UP)

    def test_open_ends_reach_everybody(self) -> None:
        """An open end only checks, whatever the other is."""
        for other in set(NatType) - {NatType.BLOCKED}:
            self.assertIs(strategy_for(NatType.OPEN, other), Strategy.CHECK)


class NatTypeTests(SynchronousTestCase):
    """What matters of a NAT."""

    def test_types(self) -> None:
        """Each behavior has its type."""
        steady, every = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT
        strict = Filtering.ADDRESS_AND_PORT_DEPENDENT
        block = Ports(PortAllocation.BLOCK, low=20480, high=21503)
        wide = Ports(PortAllocation.BLOCK, low=16384, high=32767)
        steps = Ports(PortAllocation.STEPPED, step=1)
        for view, nat_type in (
            (NatView(udp_works=False), NatType.BLOCKED),
            (NatView(mapping=steady, filtering=Filtering.ENDPOINT_INDEPENDENT), NatType.OPEN),
            (NatView(mapping=steady, filtering=Filtering.NOT_PORT_DEPENDENT), NatType.OPEN),
            (NatView(mapping=steady, filtering=strict), NatType.STEADY),
            (NatView(mapping=steady), NatType.STEADY),
            (NatView(), NatType.STEADY),
            (NatView(mapping=every, ports=steps, latest_port=20000), NatType.STEPPED),
            (NatView(mapping=every, ports=steps), NatType.RANDOM),
            (NatView(mapping=every, ports=block), NatType.BLOCK),
            (NatView(mapping=every, ports=wide), NatType.RANDOM),
            (NatView(mapping=Mapping.DEPENDENT), NatType.RANDOM),
            (NatView(mapping=every, filtering=Filtering.ENDPOINT_INDEPENDENT), NatType.RANDOM),
        ):
            self.assertIs(nat_type_of(view), nat_type, view)

    def test_view(self) -> None:
        """The short question's result is completed by what the thorough discovery found earlier."""
        every = Mapping.ADDRESS_AND_PORT_DEPENDENT
        strict = Filtering.ADDRESS_AND_PORT_DEPENDENT
        block = Ports(PortAllocation.BLOCK, low=20480, high=21503)
        steps = Ports(PortAllocation.STEPPED, step=1)
        thorough = NatBehavior(udp_works=True, mapping=every, filtering=strict, ports=block)
        random = NatBehavior(udp_works=True, mapping=every, ports=Ports(PortAllocation.RANDOM), latest_port=5)
        self.assertEqual(NatView.of(random, thorough), NatView(True, every, strict, block, 5))
        stepped = NatBehavior(udp_works=True, mapping=every, ports=steps, latest_port=5)
        few_samples = NatView.of(stepped, thorough)
        self.assertEqual((few_samples.ports, nat_type_of(few_samples)), (block, NatType.BLOCK))
        preserved = NatBehavior(udp_works=True, ports=Ports(PortAllocation.PRESERVED))
        self.assertEqual(NatView.of(stepped, preserved).ports, steps)
        self.assertEqual(NatView.of(stepped).filtering, Filtering.UNKNOWN)
        self.assertEqual(NatView.of(stepped, NatBehavior(udp_works=False)), NatView.of(stepped))

    def test_unsure_mapping_is_settled_by_the_thorough_one(self) -> None:
        """What one server address could not show may be known from before."""
        seen = NatBehavior(
            udp_works=True,
            local=Address("10.0.0.1", 1),
            mapped=Address("192.0.2.1", 1),
            mapping=Mapping.NOT_PORT_DEPENDENT,
        )
        thorough = NatBehavior(udp_works=True, mapping=Mapping.ADDRESS_DEPENDENT)
        self.assertFalse(NatView.of(seen).is_sure)
        self.assertEqual(NatView.of(seen, thorough).mapping, Mapping.ADDRESS_DEPENDENT)
