"""Tests for :mod:`relaykit.sansio.packets.switch`."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.packets.headers import parse_interface
from relaykit.sansio.packets.switch import MOST_ADDRESSES, MOST_WAITING_BYTES, Branch, PacketSwitch
from tests.sansio.packets.made import packet

OWN, ALICE, BOB = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def made(is_gateway: bool = False) -> PacketSwitch:
    """A switch of the network 10.0.0.0/24."""
    return PacketSwitch(parse_interface(f"{OWN}/24"), is_gateway)


class Switching(SynchronousTestCase):
    """A switch, and what it does with packets."""

    def setUp(self) -> None:
        self.switch = made()

    def bring(self, branch: Branch, source: str, destination: str = OWN) -> bool:
        """Whether the system gets a packet of a stream."""
        whole = packet(source, destination)
        return bool(self.switch.brought(branch, [bytearray(whole)]))

    def send(self, destination: str) -> list[Branch]:
        """Which streams have a packet of the system now."""
        return list(self.switch.sent([packet(OWN, destination)]))


class LedTests(Switching):
    """Streams of visitors."""

    def test_to_destination(self) -> None:
        """What goes to the destination of a stream is for it, in order, and nothing else."""
        branch = self.switch.join(ip_address(ALICE))
        packets = [packet(OWN, each, bytes([at])) for at, each in enumerate((ALICE, BOB, ALICE))]
        self.assertEqual(list(self.switch.sent([*packets, b"junk"])), [branch])
        self.assertEqual((branch.take(), self.switch.unknown), ([packets[0], packets[2]], 2))
        self.assertEqual(branch.take(), [])

    def test_from_destination(self) -> None:
        """It brings what comes from there, for this end."""
        branch = self.switch.join(ip_address(ALICE))
        self.assertTrue(self.bring(branch, ALICE))
        for source, destination in ((BOB, OWN), (ALICE, BOB), ("127.0.0.1", OWN), (ALICE, "10.0.0.255")):
            self.assertFalse(self.bring(branch, source, destination))
        self.assertEqual((branch.dropped, self.switch.brought(branch, [bytearray(b"junk")])), (4, []))

    def test_replaced(self) -> None:
        """The last stream to an address has it, and only its own end makes the address nobody's."""
        first, second = (self.switch.join(ip_address(ALICE)) for _ in range(2))
        self.assertEqual(self.send(ALICE), [second])
        self.switch.leave(first)
        self.assertEqual(self.send(ALICE), [second])
        self.switch.leave(second)
        self.assertEqual(self.send(ALICE), [])

    def test_full(self) -> None:
        """What waits for a stream is bounded; the rest is dropped."""
        branch = self.switch.join(ip_address(ALICE))
        size = 1024
        whole = packet(OWN, ALICE, bytes(size - 20))
        self.switch.sent([whole] * (MOST_WAITING_BYTES // size + 3))
        self.assertEqual((len(branch.take()), branch.dropped), (MOST_WAITING_BYTES // size, 3))
        self.switch.sent([whole])
        self.assertEqual(len(branch.take()), 1)

    def test_of_both_versions(self) -> None:
        """An address of IPv6 is led to as one of IPv4 is."""
        switch = PacketSwitch(parse_interface("fd00::1/64"))
        branch = switch.join(ip_address("fd00::2"))
        self.assertEqual(list(switch.sent([packet("fd00::1", "fd00::2")])), [branch])
        whole = bytearray(packet("fd00::2", "fd00::1"))
        self.assertEqual(switch.brought(branch, [whole]), [whole])


class LearnedTests(Switching):
    """Streams that a proxy was given."""

    def test_learned(self) -> None:
        """A stream gets what goes to the address that its packets came from, once one has come."""
        branch = self.switch.join(None)
        self.assertEqual(self.send(ALICE), [])
        self.assertTrue(self.bring(branch, ALICE))
        self.assertEqual((self.send(ALICE), self.send(BOB)), ([branch], []))
        self.switch.leave(branch)
        self.assertEqual(self.send(ALICE), [])

    def test_one_address(self) -> None:
        """It keeps the address that it had first."""
        branch = self.switch.join(None)
        self.assertEqual([self.bring(branch, each) for each in (ALICE, BOB, ALICE)], [True, False, True])
        self.assertEqual(self.send(BOB), [])

    def test_not_learned(self) -> None:
        """It is an address of the network, not this end's nor a visitor's; and only what is taken counts."""
        branch = self.switch.join(None)
        self.switch.join(ip_address(BOB))
        for source in (OWN, BOB, "10.0.1.2", "127.0.0.1", "0.0.0.0", "fd00::2"):
            self.assertFalse(self.bring(branch, source, "fd00::1" if ":" in source else OWN), source)
        self.assertFalse(self.bring(branch, ALICE, "192.0.2.1"))
        self.assertEqual((self.send(ALICE), branch.learned), ([], set()))

    def test_taken_over(self) -> None:
        """A later stream with the address of another has it from then on; the former brings nothing more."""
        former, later = self.switch.join(None), self.switch.join(None)
        self.assertTrue(self.bring(former, ALICE))
        self.assertEqual(self.switch.taken_over(), [])
        self.assertTrue(self.bring(later, ALICE))
        self.assertEqual(self.switch.taken_over(), [(former, ip_address(ALICE))])
        self.assertEqual(self.switch.taken_over(), [])
        self.assertEqual((self.bring(former, ALICE), self.bring(former, BOB)), (False, False))
        self.switch.leave(former)
        self.assertEqual(self.send(ALICE), [later])


class GatewayTests(Switching):
    """An end that forwards for others."""

    def setUp(self) -> None:
        self.switch = made(is_gateway=True)

    def test_for_all(self) -> None:
        """Packets are taken for all, and from all but this end itself."""
        led, learned = self.switch.join(ip_address(ALICE)), self.switch.join(None)
        for branch in (led, learned):
            self.assertTrue(self.bring(branch, "192.0.2.7", "198.51.100.1"))
        self.assertFalse(self.bring(learned, OWN))

    def test_several(self) -> None:
        """A stream may have several addresses, up to a bound; each is whose packet came last."""
        one, other = self.switch.join(None), self.switch.join(None)
        for source in (ALICE, BOB):
            self.assertTrue(self.bring(one, source))
        self.assertTrue(self.bring(other, BOB))
        self.assertEqual((self.send(ALICE), self.send(BOB)), ([one], [other]))
        self.assertTrue(self.bring(one, BOB))
        self.assertEqual((self.send(BOB), self.switch.taken_over()), ([one], []))
        sources = [str(ip_address("10.1.0.0") + at) for at in range(MOST_ADDRESSES)]
        self.assertEqual(sum(self.bring(one, each) for each in sources), MOST_ADDRESSES - 2)


class JunkTests(SynchronousTestCase):
    """Whatever comes."""

    @given(
        st.booleans(),
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.one_of(
                    st.binary(max_size=60),
                    st.builds(packet, st.sampled_from((OWN, ALICE, BOB)), st.sampled_from((OWN, ALICE, BOB))),
                ),
            ),
            max_size=30,
        ),
    )
    def test_addresses(self, is_gateway: bool, said: list[tuple[int, bytes]]) -> None:
        """An address is of one stream at a time, which knows that it has it."""
        switch = made(is_gateway)
        branches = [switch.join(None), switch.join(None), switch.join(ip_address(BOB))]
        for who, whole in said:
            if who == 3:
                switch.sent([whole])
            else:
                switch.brought(branches[who], [bytearray(whole)])
            known = [address for branch in branches for address in branch.learned]
            self.assertEqual(len(known), len(set(known)))
            self.assertEqual(set(known), set(switch._learned))
        for branch in branches:
            switch.leave(branch)
        self.assertEqual((switch._learned, switch._led), ({}, {}))
