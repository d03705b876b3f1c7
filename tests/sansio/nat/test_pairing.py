"""Tests of the table of parts: it fits itself from both sides, and shapes follow from behaviors."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation, Ports
from relaykit.sansio.nat.pairing import PARTS, NatView, Part, Shape, part_of, shape_of
from relaykit.values import Address

COUNTERPARTS = {
    Part.KNOCK: {Part.KNOCK, Part.PREDICT},
    Part.PREDICT: {Part.PREDICT, Part.KNOCK},
    Part.SPREAD: {Part.GUESS},
    Part.GUESS: {Part.SPREAD},
    Part.SCATTER: {Part.SCATTER},
    Part.GIVE_UP: {Part.GIVE_UP},
}


class PartTests(SynchronousTestCase):
    """The table."""

    def test_both_sides_agree(self) -> None:
        """What one end does is what the other end's part needs, for every pair of shapes."""
        for own in Shape:
            for other in Shape:
                self.assertIn(part_of(other, own), COUNTERPARTS[part_of(own, other)], (own, other))

    def test_nothing_is_given_up_twice(self) -> None:
        """Hopeless pairs are simply missing."""
        self.assertNotIn(Part.GIVE_UP, PARTS.values())
        for other in Shape:
            self.assertIs(part_of(Shape.BLOCKED, other), Part.GIVE_UP)
        self.assertIs(part_of(Shape.RANDOM, Shape.RANDOM), Part.GIVE_UP)

    def test_open_ends_reach_everybody(self) -> None:
        """An open end only knocks, whatever the other is."""
        for other in set(Shape) - {Shape.BLOCKED}:
            self.assertIs(part_of(Shape.OPEN, other), Part.KNOCK)


class ShapeTests(SynchronousTestCase):
    """What matters of a NAT."""

    def test_shapes(self) -> None:
        """Each behavior has its shape."""
        steady, every = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT
        strict = Filtering.ADDRESS_AND_PORT_DEPENDENT
        block = Ports(PortAllocation.BLOCK, low=20480, high=21503)
        wide = Ports(PortAllocation.BLOCK, low=16384, high=32767)
        steps = Ports(PortAllocation.STEPPED, step=1)
        for view, shape in (
            (NatView(udp_works=False), Shape.BLOCKED),
            (NatView(mapping=steady, filtering=Filtering.ENDPOINT_INDEPENDENT), Shape.OPEN),
            (NatView(mapping=steady, filtering=Filtering.NOT_PORT_DEPENDENT), Shape.OPEN),
            (NatView(mapping=steady, filtering=strict), Shape.STEADY),
            (NatView(mapping=steady), Shape.STEADY),
            (NatView(), Shape.STEADY),
            (NatView(mapping=every, ports=steps, latest_port=20000), Shape.STEPPED),
            (NatView(mapping=every, ports=steps), Shape.RANDOM),
            (NatView(mapping=every, ports=block), Shape.BLOCK),
            (NatView(mapping=every, ports=wide), Shape.RANDOM),
            (NatView(mapping=Mapping.DEPENDENT), Shape.RANDOM),
            (NatView(mapping=every, filtering=Filtering.ENDPOINT_INDEPENDENT), Shape.RANDOM),
        ):
            self.assertIs(shape_of(view), shape, view)

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
        self.assertEqual(NatView.of(stepped, thorough).ports, steps)
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
