"""Tests for what the kernel tells of addresses and routes; the messages were recorded on Linux 6.18."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.parsers import netlink
from relaykit.sansio.parsers.netlink import RouteChanges

ADDRESS_ADDED = bytes.fromhex(
    "4c000000140000004be9036b1e580000021880000300000008000100c000020708000200c00002070700030064300000"
    "080008008000000014000600ffffffffffffffffd1e10700d1e10700"
)
"""192.0.2.7/24 at the third interface."""

ADDRESS_RENEWED = bytes.fromhex(
    "4c000000140000004ce9036b5e580000021800000300000008000100c000020708000200c00002070700030064300000"
    "08000800000000001400060084030000e8030000d1e1070054e20700"
)
"""The same, with another lifetime."""

ADDRESS_REMOVED = bytes.fromhex(
    "4c0000001500000050e9036bd1580000021800000300000008000100c000020708000200c00002070700030064300000"
    "08000800000000001400060081030000e5030000d1e1070054e20700"
)

LINK_LOCAL_ADDED = bytes.fromhex(
    "500000001400000000000000000000000a4080fd0300000014000100fe80000000000000682ce3fffe01d68214000600"
    "ffffffffffffffffdbe00700dbe00700080008008000000005000b0003000000"
)

OF_ADDRESS = bytes.fromhex(
    "3c00000018000006000000000000000002180000fe02fd010000000008000f00fe00000008000100c000020008000700"
    "c00002070800040003000000"
)
"""The route to the network of the address."""

TO_OWN_ADDRESS = bytes.fromhex(
    "3c00000018000006000000000000000002200000ff02fe020000000008000f00ff00000008000100c000020708000700"
    "c00002070800040003000000"
)

DEFAULT_ADDED = bytes.fromhex(
    "34000000180000064ee9036b8258000002000000fe0300010000000008000f00fe00000008000500c00002010800040003000000"
)
DEFAULT_REMOVED = DEFAULT_ADDED[:4] + b"\x19" + DEFAULT_ADDED[5:]


def numbered(number: int) -> bytes:
    """The address message with another interface."""
    return ADDRESS_ADDED[:20] + number.to_bytes(4, "little") + ADDRESS_ADDED[24:]


class RouteChangesTests(SynchronousTestCase):
    """Tests for :class:`RouteChanges`."""

    def setUp(self) -> None:
        """Knows nothing yet."""
        self.changes = RouteChanges()

    def test_address(self) -> None:
        """An address that comes or goes is a change; the kernel's repetitions are none."""
        told = [ADDRESS_ADDED, ADDRESS_RENEWED, ADDRESS_REMOVED, ADDRESS_REMOVED, ADDRESS_ADDED]
        self.assertEqual([self.changes.feed(each) for each in told], [True, False, True, False, True])

    def test_route(self) -> None:
        """So is a route."""
        told = [DEFAULT_ADDED, DEFAULT_ADDED, DEFAULT_REMOVED, DEFAULT_REMOVED]
        self.assertEqual([self.changes.feed(each) for each in told], [True, False, True, False])

    def test_of_no_interest(self) -> None:
        """What is of use on one link only, and what comes with an address, is no change."""
        for told in (LINK_LOCAL_ADDED, OF_ADDRESS, TO_OWN_ADDRESS):
            self.assertFalse(self.changes.feed(told))

    def test_tentative(self) -> None:
        """An address that is not usable yet is no change; that it becomes usable is one."""
        tentative = bytearray(ADDRESS_ADDED)
        tentative[18] |= 0x40
        self.assertFalse(self.changes.feed(bytes(tentative)))
        self.assertTrue(self.changes.feed(ADDRESS_ADDED))

    def test_several(self) -> None:
        """One datagram may tell several things."""
        self.assertTrue(self.changes.feed(OF_ADDRESS + DEFAULT_ADDED))
        self.assertFalse(self.changes.feed(OF_ADDRESS + DEFAULT_ADDED))
        self.assertTrue(self.changes.feed(DEFAULT_ADDED + ADDRESS_ADDED))

    def test_bounded(self) -> None:
        """What is remembered is bounded; what was forgotten counts as new."""
        for number in range(netlink.MAX_KNOWN):
            self.assertTrue(self.changes.feed(numbered(number)))
        self.assertFalse(self.changes.feed(numbered(0)))
        self.assertTrue(self.changes.feed(numbered(netlink.MAX_KNOWN)))
        self.assertTrue(self.changes.feed(numbered(0)))

    def test_cut(self) -> None:
        """A message that is cut anywhere is skipped, or told apart from none: nothing is raised."""
        for whole in (ADDRESS_ADDED, DEFAULT_ADDED):
            for end in range(len(whole)):
                self.assertFalse(RouteChanges().feed(whole[:end]))

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        """Junk is skipped."""
        RouteChanges().feed(junk)
        for whole in (ADDRESS_ADDED, DEFAULT_ADDED):
            length = (16 + len(junk)).to_bytes(4, "little")
            RouteChanges().feed(length + whole[4:16] + junk)
