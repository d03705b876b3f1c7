"""Tests of candidates: what is sent, and what of a peer's candidates may be sent to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.candidates import (
    CANDIDATES_MAX,
    PUBLIC_HOSTS_MAX,
    Candidate,
    CandidateKind,
    Interface,
    admitted,
    host_candidates,
    is_internet,
)
from relaykit.values import Address

LAN = [Interface("eth0", "192.168.1.100", 24), Interface("eth0", "2001:db8:1::100", 64)]


def candidate(host: str, port: int = 5000, kind: CandidateKind = CandidateKind.HOST) -> Candidate:
    """A candidate of a peer."""
    return Candidate(kind, Address(host, port))


def hosts(candidates: tuple[Candidate, ...]) -> list[str]:
    """Their addresses."""
    return [each.address.host for each in candidates]


class HostCandidateTests(SynchronousTestCase):
    """What this machine offers."""

    def test_interfaces(self) -> None:
        """Both families are offered; loopback, link-local addresses and containers are not."""
        found = host_candidates(
            [
                Interface("lo", "127.0.0.1", 8),
                *LAN,
                Interface("eth0", "fe80::1", 64),
                Interface("eth1", "169.254.7.7", 16),
                Interface("docker0", "172.17.0.1", 16),
                Interface("veth12ab", "10.1.1.1", 24),
                Interface("wg0", "10.9.0.2", 24),
            ],
            5000,
        )
        self.assertEqual(hosts(found), ["192.168.1.100", "2001:db8:1::100", "10.9.0.2"])
        self.assertEqual({(each.kind, each.address.port) for each in found}, {(CandidateKind.HOST, 5000)})

    def test_own_filter(self) -> None:
        """Which interfaces are left out can be said."""
        self.assertEqual(host_candidates(LAN, 5000, ignored=["eth*"]), ())

    def test_bound(self) -> None:
        """A machine with very many addresses offers some of them."""
        many = [Interface("eth0", f"10.0.{place}.1", 24) for place in range(100)]
        self.assertEqual(len(host_candidates(many, 5000)), CANDIDATES_MAX)


class AdmissionTests(SynchronousTestCase):
    """A peer cannot target us at others."""

    def test_never(self) -> None:
        """No address of this machine itself, of many machines or of none is admitted, nor a low port."""
        bad = [
            candidate(host)
            for host in (
                "127.0.0.1",
                "::1",
                "0.0.0.0",
                "::",
                "224.0.0.251",
                "ff02::1",
                "255.255.255.255",
                "240.0.0.1",
                "169.254.169.254",
                "fe80::1",
                "192.168.1.255",
                "192.168.1.0",
                "::ffff:127.0.0.1",
                "no address",
            )
        ]
        bad += [candidate("192.168.1.7", port) for port in (0, 53, 1023, 65536)]
        for same_site in (False, True):
            self.assertEqual(admitted(bad, LAN, same_site, lambda host: True), ())

    def test_private(self) -> None:
        """A private address is tried in a network of ours or at the same site, and nowhere else."""
        offered = [candidate("192.168.1.7"), candidate("10.0.0.5"), candidate("fd00::5")]
        self.assertEqual(hosts(admitted(offered, LAN, same_site=False)), ["192.168.1.7"])
        self.assertEqual(
            hosts(admitted(offered, LAN, same_site=True)), ["192.168.1.7", "10.0.0.5", "fd00::5"]
        )

    def test_public(self) -> None:
        """Public addresses are tried, but not more than a few."""
        offered = [candidate(f"8.8.8.{place}", kind=CandidateKind.REFLEXIVE) for place in range(1, 10)]
        found = admitted(offered, LAN, same_site=False)
        self.assertEqual(len(found), PUBLIC_HOSTS_MAX)

    def test_seen_by_the_server(self) -> None:
        """The address that the relay server sees the peer at is not crowded out by others."""
        offered = [candidate(f"8.8.8.{place}", kind=CandidateKind.REFLEXIVE) for place in range(1, 10)]
        found = {each.address.host for each in admitted(offered, LAN, same_site=False, seen_at="8.8.8.9")}
        self.assertEqual((len(found), "8.8.8.9" in found), (PUBLIC_HOSTS_MAX, True))
        elsewhere = admitted(offered, LAN, same_site=False, seen_at="9.9.9.9")
        self.assertEqual(len(elsewhere), PUBLIC_HOSTS_MAX - 1)

    def test_documentation_addresses_are_not_the_internet(self) -> None:
        """By default the Internet is what the registries say."""
        self.assertTrue(is_internet("8.8.8.8") and is_internet("2600::1"))
        self.assertFalse(is_internet("203.0.113.2") or is_internet("100.64.0.1") or is_internet("10.0.0.1"))

    def test_order_and_doubles(self) -> None:
        """The preferred kinds come first; an address that is also reflexive counts as that."""
        offered = [
            candidate("8.8.8.8", 7000, CandidateKind.REFLEXIVE),
            candidate("8.8.8.8", 7001, CandidateKind.MAPPED),
            candidate("9.9.9.9", 7002, CandidateKind.REFLEXIVE),
            candidate("9.9.9.9", 7002),
            candidate("192.168.1.7"),
        ]
        found = admitted(offered, LAN, same_site=False)
        self.assertEqual(
            [(each.kind.value, each.address.port) for each in found],
            [("reflexive", 7002), ("host", 5000), ("mapped", 7001), ("reflexive", 7000)],
        )

    @given(
        st.lists(
            st.tuples(
                st.one_of(st.ip_addresses().map(str), st.text(max_size=8)),
                st.integers(-5, 70000),
                st.sampled_from(CandidateKind),
            ),
            max_size=60,
        ),
        st.booleans(),
    )
    @settings(max_examples=100)
    def test_anything(self, offered: list[tuple[str, int, CandidateKind]], same_site: bool) -> None:
        """Whatever is offered, little is admitted, and each address once."""
        found = admitted(
            [Candidate(kind, Address(host, port)) for host, port, kind in offered], LAN, same_site
        )
        self.assertLessEqual(len(found), CANDIDATES_MAX)
        self.assertEqual(len({each.address for each in found}), len(found))
        self.assertLessEqual(len({h for h in hosts(found) if is_internet(h)}), PUBLIC_HOSTS_MAX)
