"""Tests of whose an address is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.sources import source_of, source_of_host
from relaykit.values import Address, Origin


class SourceTests(SynchronousTestCase):
    """Tests for :func:`source_of_host` and :func:`source_of`."""

    def test_networks(self) -> None:
        """An IPv4 address is a source of its own; of IPv6 it is the networks that one line may have."""
        for host, networks in (
            ("192.0.2.7", ("192.0.2.7",)),
            ("2001:db8:1:2:3:4:5:6", ("2001:db8:1::/56", "2001:db8:1:2::/64")),
            ("2001:db8:1:2ff:ffff::", ("2001:db8:1:200::/56", "2001:db8:1:2ff::/64")),
            ("fe80::1%eth0", ("fe80::/56", "fe80::/64")),
            ("", ("",)),
        ):
            self.assertEqual(source_of_host(host), networks)

    def test_origin(self) -> None:
        """The port plays no part; without an address all are one source."""
        first, second = (source_of(Origin(Address("192.0.2.7", port))) for port in (1, 2))
        self.assertEqual(first, second)
        self.assertEqual(source_of(Origin()), ("",))

    @given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
    def test_same_network(self, address: object, host: int) -> None:
        """Whatever a machine calls itself within its network, it is the same source."""
        number = int(address)  # type: ignore[call-overload]  # it is an IPv6Address
        other = type(address)(number >> 64 << 64 | host)  # type: ignore[call-arg]
        self.assertEqual(source_of_host(str(address)), source_of_host(str(other)))
