"""Tests for :mod:`relaykit.sansio.nathole.endpoints`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import RefusedError
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, PUBLIC_HOSTS_MAX
from relaykit.sansio.nathole.endpoints import Endpoint, told_assisted, told_mapped
from relaykit.values import Address

HERE, THERE = "203.0.113.9", "198.51.100.7"


def end(*mapped: str, assisted: tuple[str, ...] = (), seen_at: str = HERE) -> Endpoint:
    """One end."""
    return Endpoint.of(mapped, assisted, seen_at)


ELSEWHERE = end(f"{THERE}:5000", seen_at=THERE)
NEIGHBOR = end(f"{HERE}:5000", seen_at=HERE)
LOCAL = end("127.0.0.1:5000", seen_at="127.0.0.1")


class EndpointTests(SynchronousTestCase):
    """Tests for what an end says of itself."""

    def test_read(self) -> None:
        """Addresses are read as they are written, of either family."""
        read = end("203.0.113.9:4000", "[2001:db8::1]:4001", "[::ffff:192.0.2.7]:4002")
        hosts = [(each.host, each.port) for each in read.mapped]
        self.assertEqual(hosts, [(HERE, 4000), ("2001:db8::1", 4001), ("192.0.2.7", 4002)])

    def test_refused(self) -> None:
        """What is no address, and more than anybody has, is refused."""
        for text in (
            "",
            "203.0.113.9",
            "203.0.113.9:",
            "203.0.113.9:65536",
            "203.0.113.9:+1",
            "a.example:1",
            ":1",
        ):
            self.assertRaises(RefusedError, end, text)
            self.assertRaises(RefusedError, Endpoint.of, (), (text,), HERE)
        many = tuple(f"203.0.113.9:{2000 + each}" for each in range(CANDIDATES_MAX + 1))
        self.assertRaises(RefusedError, end, *many)
        self.assertRaises(RefusedError, Endpoint.of, (), many, HERE)

    @given(st.text(max_size=40))
    def test_junk(self, text: str) -> None:
        """Any text is an address or is refused."""
        try:
            (address,) = end(text).mapped
        except RefusedError:
            return
        self.assertIsInstance(address, Address)


class ToldTests(SynchronousTestCase):
    """Tests for what the other end is told."""

    def test_mapped(self) -> None:
        """Equal ones in a row are told once, in order."""
        mapped = end(f"{HERE}:4000", f"{HERE}:4000", f"{HERE}:4001", f"{HERE}:4000")
        self.assertEqual(told_mapped(mapped, ELSEWHERE), (f"{HERE}:4000", f"{HERE}:4001", f"{HERE}:4000"))

    def test_never(self) -> None:
        """Nobody is sent to what no client has: groups, networks, the own machine, ports of services."""
        for text in (
            "224.0.0.1:5000",
            "255.255.255.255:5000",
            "240.0.0.1:5000",
            "0.0.0.0:5000",
            "169.254.169.254:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "[ff02::1]:5000",
            "[fe80::1]:5000",
            f"{HERE}:53",
            f"{HERE}:1023",
        ):
            for other in (ELSEWHERE, NEIGHBOR, LOCAL):
                self.assertEqual(told_mapped(end(text), other), (), text)
                self.assertEqual(told_assisted(end(assisted=(text,)), other), (), text)

    def test_one_machine(self) -> None:
        """Clients on the server's own machine are told of each other there."""
        local = end("127.0.0.1:5000", assisted=("127.0.0.1:5001",), seen_at="127.0.0.1")
        self.assertEqual(told_mapped(local, LOCAL), ("127.0.0.1:5000",))
        self.assertEqual(told_assisted(local, LOCAL), ("127.0.0.1:5001",))
        self.assertEqual(told_mapped(local, ELSEWHERE), ())

    def test_most_hosts(self) -> None:
        """A NAT may have some addresses, and not any number."""
        mapped = end(*(f"203.0.113.{each}:4000" for each in range(PUBLIC_HOSTS_MAX + 4)))
        self.assertEqual(len(told_mapped(mapped, ELSEWHERE)), PUBLIC_HOSTS_MAX)

    def test_private(self) -> None:
        """Private addresses are told where both may be in one network, public ones always."""
        assisted = ("192.168.1.2:4000", "10.0.0.2:4000", "[fd00::1]:4000", "203.0.113.77:4000")
        for seen_at, other, told in (
            (HERE, NEIGHBOR, assisted),
            (HERE, ELSEWHERE, assisted[3:]),
            ("10.0.0.2", ELSEWHERE, assisted),
            (HERE, end(f"{HERE}:1", seen_at="192.168.1.9"), assisted),
        ):
            self.assertEqual(told_assisted(end(assisted=assisted, seen_at=seen_at), other), told)
            self.assertEqual(told_mapped(end(*assisted, seen_at=seen_at), other), told)
