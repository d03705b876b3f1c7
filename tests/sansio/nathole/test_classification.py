"""Tests for :mod:`relaykit.sansio.nathole.classification`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusedError
from relaykit.sansio.nathole.classification import NatBehavior, NatFeature, classify
from relaykit.values import Address

HOST, OTHER = "203.0.113.9", "203.0.113.10"


def seen(*addresses: tuple[str, int], hosts: tuple[str, ...] = ()) -> NatFeature:
    """The NAT of an end that is seen at these addresses."""
    return classify([Address(*each) for each in addresses], hosts)


class ClassifyTests(SynchronousTestCase):
    """Tests for what addresses tell."""

    def test_behaviors(self) -> None:
        """What differs between two addresses says what the NAT does; it is easy if nothing does."""
        for second, behavior, is_hard in (
            ((HOST, 4000), NatBehavior.NO_CHANGE, False),
            ((HOST, 4001), NatBehavior.PORT_CHANGED, True),
            ((OTHER, 4000), NatBehavior.IP_CHANGED, True),
            ((OTHER, 4001), NatBehavior.BOTH_CHANGED, True),
        ):
            feature = seen((HOST, 4000), second)
            self.assertEqual((feature.behavior, feature.is_hard), (behavior, is_hard))

    def test_regular(self) -> None:
        """Ports that differ by five at most, and nothing else that differs, can be guessed."""
        for port, difference, is_regular in (
            (4001, 1, True),
            (4005, 5, True),
            (4006, 6, False),
            (3995, 5, True),
        ):
            feature = seen((HOST, 4000), (HOST, port))
            self.assertEqual((feature.ports_difference, feature.is_regular), (difference, is_regular))
        for feature in (seen((HOST, 4000), (HOST, 4000)), seen((HOST, 4000), (OTHER, 4001))):
            self.assertEqual((feature.ports_difference, feature.is_regular), (0, False))

    def test_public(self) -> None:
        """An end is public if one of its interfaces has an address that servers see."""
        pair = (HOST, 4000), (HOST, 4000)
        self.assertFalse(seen(*pair, hosts=("192.168.1.2",)).is_public)
        self.assertTrue(seen(*pair, hosts=("192.168.1.2", HOST)).is_public)

    def test_not_enough(self) -> None:
        """One address tells nothing."""
        for addresses in ((), ((HOST, 4000),)):
            error = self.assertRaises(RefusedError, seen, *addresses)
            self.assertEqual(error.text, "not enough addresses")
