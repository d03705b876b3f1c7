"""Tests for :mod:`relaykit.sansio.packets.headers`."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.packets.headers import addresses_of, parse_destination, parse_interface
from tests.sansio.packets.made import packet


class AddressesTests(SynchronousTestCase):
    """Whose packets are."""

    def test_both_versions(self) -> None:
        """The source and the destination are those of the header."""
        for source, destination in (("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")):
            for content in (b"", b"abc", bytes(1380)):
                self.assertEqual(
                    addresses_of(packet(source, destination, content)),
                    (ip_address(source).packed, ip_address(destination).packed),
                )

    def test_options(self) -> None:
        """A header of IPv4 may have options, for which there is room."""
        plain = bytearray(packet("10.0.0.1", "10.0.0.2", bytes(4)))
        for words, is_packet in ((4, False), (5, True), (6, True), (7, False)):
            plain[0] = 0x40 | words
            self.assertEqual(addresses_of(plain) is not None, is_packet, words)

    def test_none(self) -> None:
        """What is shorter or longer than it says, or of another version, is no packet."""
        for whole in (packet("10.0.0.1", "10.0.0.2", b"abc"), packet("fd00::1", "fd00::2", b"abc")):
            for length in range(len(whole)):
                self.assertIsNone(addresses_of(whole[:length]))
            self.assertIsNone(addresses_of(whole + b"x"))
            for version in (0, 1, 5, 7, 15):
                self.assertIsNone(addresses_of(bytes([version << 4 | 5]) + whole[1:]))

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        """Junk has two addresses of one version, or none."""
        found = addresses_of(junk)
        self.assertIn([len(each) for each in found or ()], ([], [4, 4], [16, 16]))


class ConfiguredTests(SynchronousTestCase):
    """Addresses as files have them."""

    def test_interface(self) -> None:
        """An address has the length of its network's prefix, in digits."""
        for text, network in (
            ("10.0.0.1/24", "10.0.0.0/24"),
            ("100.86.0.2/32", "100.86.0.2/32"),
            ("fd00::1/64", "fd00::/64"),
        ):
            found = parse_interface(text)
            self.assertEqual((str(found), str(found.network)), (text, network))
        for text in (
            *("", "bad", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/255.255.255.0", "10.0.0/24"),
            *("fd00::1/129", "fd00::1%a/64", "10.0.0.1/+24", " 10.0.0.1/24", "10.0.0.1/24\n", "1.2.3.4/0024"),
        ):
            with self.assertRaises(ValueError) as raised:
                parse_interface(text)
            self.assertEqual(str(raised.exception), f"invalid CIDR address: {text}")

    def test_destination(self) -> None:
        """A destination is one address; of IPv4 where it is one within IPv6."""
        for text, address in (("10.0.0.2", "10.0.0.2"), ("fd00::2", "fd00::2"), ("::ffff:a00:2", "10.0.0.2")):
            self.assertEqual(str(parse_destination(text)), address)
        for text in ("bad", "10.0.0.2/24", "10.0.0", "fe80::1%eth0"):
            with self.assertRaises(ValueError) as raised:
                parse_destination(text)
            self.assertEqual(str(raised.exception), f"invalid destination IP address [{text}]")
        with self.assertRaises(ValueError) as raised:
            parse_destination("")
        self.assertEqual(str(raised.exception), "destinationIP is required")
