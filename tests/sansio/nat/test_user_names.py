"""Tests for :mod:`relaykit.sansio.nat.user_names`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.lanes.binary import BinaryCodec
from relaykit.sansio.nat.user_names import SCOPE_BYTES, UserNames, is_name, user_named
from relaykit.values import Address

ports = st.integers(0, 65535)


def names(scope: int = 1) -> UserNames:
    """Those of a visitor with this scope."""
    return UserNames(lambda count: bytes([scope]) * count)


class UserNamesTests(SynchronousTestCase):
    """Names of users."""

    def test_golden(self) -> None:
        """An IPv4 user's name has the scope and the address."""
        name = names().name_of(Address("192.0.2.7", 9))
        self.assertEqual(name, Address("fd01:101:101:101:101:101:c000:207", 9))
        self.assertEqual(SCOPE_BYTES, 11)

    @given(st.ip_addresses(v=4).map(str), ports)
    def test_ipv4(self, host: str, port: int) -> None:
        """It is a name, from which the user is known again, on either kind of lane."""
        user, codec = Address(host, port), BinaryCodec()
        name = names().name_of(user)
        self.assertEqual((is_name(name), user_named(name)), (True, user))
        self.assertEqual(codec.user_of(codec.key_of(name)), name)

    @given(st.ip_addresses(v=6).map(str), ports)
    def test_ipv6(self, host: str, port: int) -> None:
        """So it is for IPv6, but that the user's address is not known by it."""
        user, codec = Address(host, port), BinaryCodec()
        name = names().name_of(user)
        self.assertEqual((is_name(name), user_named(name)), (True, name))
        self.assertEqual(codec.user_of(codec.key_of(name)), name)

    def test_apart(self) -> None:
        """Users, zones and visitors are told apart, and one user has one name."""
        users = [Address(host, 1) for host in ("192.0.2.1", "192.0.2.2", "fe80::1%2", "fe80::1%3")]
        called = [names(scope).name_of(user) for scope in (1, 2) for user in users]
        self.assertEqual(len(set(called)), 8)
        self.assertEqual(called[:4], [names().name_of(user) for user in users])

    def test_no_name(self) -> None:
        """Addresses of users are none, and what is no address has none."""
        for host in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
            address = Address(host, 1)
            self.assertEqual((is_name(address), user_named(address)), (False, address))
        self.assertRaises(ValueError, names().name_of, Address("/run/socket", 0))
