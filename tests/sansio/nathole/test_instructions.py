"""Tests of what a server may have this machine do."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import HolePunchingError
from relaykit.sansio.nat.candidates import CANDIDATES_MAX, Interface
from relaykit.sansio.nathole.instructions import (
    CANDIDATE_PORTS_MAX,
    LISTEN_PORTS_MAX,
    QUIET_MAX_S,
    QUIET_S,
    RANDOM_PORTS_MAX,
    SEND_DELAY_MAX_S,
    HoleRole,
    Instructions,
    instructions_of,
)
from relaykit.sansio.nathole.messages import DetectBehavior, NatHoleResp, PortsRange
from relaykit.values import Address

OWN = (Address("8.8.4.4", 4000), Address("8.8.4.4", 4000))
LAN = [Interface("eth0", "192.168.1.100", 24)]


def told(
    role: str = "sender",
    mapped: tuple[str, ...] = ("8.8.8.8:5000",),
    assisted: tuple[str, ...] = (),
    seen_as: tuple[Address, ...] = OWN,
    error: str = "",
    **behavior: Any,
) -> Instructions:
    """What a response with these fields comes to."""
    response = NatHoleResp(
        sid="s1",
        candidate_addrs=mapped,
        assisted_addrs=assisted,
        error=error,
        detect_behavior=DetectBehavior(role=role, **behavior),
    )
    return instructions_of(response, seen_as, LAN)


class InstructionsTests(SynchronousTestCase):
    """From a response to what is done."""

    def refused(self, text: str, *args: Any, **fields: Any) -> None:
        """This response is refused for a reason that has this text in it."""
        self.assertIn(text, str(self.assertRaises(HolePunchingError, told, *args, **fields)))

    def test_sender(self) -> None:
        """A sender tries the addresses of interfaces first, then the mapped ones, after its pause."""
        found = told(assisted=("192.168.1.7:5000",), send_delay_ms=2500, ttl=7)
        self.assertEqual(found.targets, (Address("192.168.1.7", 5000), Address("8.8.8.8", 5000)))
        self.assertEqual((found.role, found.send_delay_s, found.ttl), (HoleRole.SENDER, 2.5, 7))
        self.assertEqual((found.sid, found.quiet_s), ("s1", QUIET_S))

    def test_receiver(self) -> None:
        """A receiver tries no addresses of interfaces, and no mapped ones where there are ports; at once."""
        found = told("receiver", assisted=("192.168.1.7:5000",), send_delay_ms=2500, read_timeout_ms=9000)
        self.assertEqual(found.targets, (Address("8.8.8.8", 5000),))
        self.assertEqual((found.send_delay_s, found.quiet_s, found.ttl), (0.0, 9.0, None))
        ranges = (PortsRange(first=4999, last=5001), PortsRange(first=5001, last=5002))
        found = told("receiver", candidate_ports=ranges, listen_random_ports=256)
        self.assertEqual((found.targets, found.hosts), ((), ("8.8.8.8",)))
        self.assertEqual((found.ports, found.listen_ports), ((4999, 5000, 5001, 5002), 256))

    def test_error(self) -> None:
        """The server's no is told in its words."""
        self.refused("the server says: no such proxy", error="no such proxy")

    def test_others_are_safe(self) -> None:
        """Nothing is sent to addresses that cannot be the peer's, nor to low ports."""
        for host in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "169.254.1.1", "10.0.0.1"):
            self.refused("no address", mapped=(f"{host}:5000",))
        self.refused("no address", mapped=("8.8.8.8:53",))
        self.refused("no address", mapped=())
        found = told(assisted=("127.0.0.1:5000", "192.168.1.255:5000", "10.0.0.1:5000"))
        self.assertEqual(found.targets, (Address("8.8.8.8", 5000),))

    def test_same_site(self) -> None:
        """Behind the same public address any private address may be the peer's."""
        found = told(mapped=("8.8.4.4:5000",), assisted=("10.0.0.1:5000",))
        self.assertEqual(found.targets, (Address("10.0.0.1", 5000), Address("8.8.4.4", 5000)))

    def test_private_world(self) -> None:
        """Whom the STUN server sees at a private address reaches the peer at one; the same with loopback."""
        private, loopback = (Address("10.1.0.1", 4000),), (Address("127.0.0.1", 4000),)
        found = told(mapped=("10.2.0.1:5000",), assisted=("10.3.0.1:5000",), seen_as=private)
        self.assertEqual(found.targets, (Address("10.2.0.1", 5000),))
        found = told(mapped=("127.0.0.1:5000", "127.0.0.1:53", "8.8.8.8:5000"), seen_as=loopback)
        self.assertEqual(found.targets, (Address("127.0.0.1", 5000),))

    def test_malformed(self) -> None:
        """An address that is none, or of IPv6, and a role that there is not."""
        for text in ("", "8.8.8.8", "8.8.8.8:", "host:1", "8.8.8.8:1234567", "[::1]:5000", "8.8.8.8:-1"):
            self.refused("names an address", mapped=(text,))
        self.refused("a role", "observer")

    def test_bounds(self) -> None:
        """Each number has its most, which is taken; the next one is refused."""
        for name, most in (
            ("ttl", 255),
            ("send_delay_ms", int(SEND_DELAY_MAX_S * 1000)),
            ("read_timeout_ms", int(QUIET_MAX_S * 1000)),
            ("send_random_ports", RANDOM_PORTS_MAX),
            ("listen_random_ports", LISTEN_PORTS_MAX),
        ):
            least: dict[str, Any] = {name: most}
            told(**least)
            self.refused("is the most", **{name: most + 1})
            self.refused("is the most", **{name: -1})

    def test_no_flood(self) -> None:
        """Nobody has all of many sockets try a thousand ports: frp's server asks an end for one of both."""
        self.refused("by chance and to listen", send_random_ports=1, listen_random_ports=1)

    def test_ports_bounded(self) -> None:
        """So many ports are tried, in however many ranges they are named; low ones are left out."""
        most = (PortsRange(first=2000, last=2000 + CANDIDATE_PORTS_MAX - 1), PortsRange(first=-5, last=80))
        self.assertEqual(len(told(candidate_ports=most).ports), CANDIDATE_PORTS_MAX)
        for ranges in (
            (PortsRange(first=1, last=2**62),),
            (*most, PortsRange(first=5000, last=5000)),
        ):
            self.refused("more than 64 ports", candidate_ports=ranges)
        self.assertEqual(told(candidate_ports=(PortsRange(first=9, last=8),)).ports, ())

    def test_addresses_bounded(self) -> None:
        """So many addresses are looked at, of few hosts."""
        many = tuple(f"8.8.{number}.8:5000" for number in range(100))
        self.assertLessEqual(len(told(mapped=many, assisted=many).targets), CANDIDATES_MAX)

    @given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=9))
    def test_junk(self, addresses: list[str], role: str) -> None:
        """Junk is refused, and nothing else happens."""
        with contextlib.suppress(HolePunchingError):
            told(role, tuple(addresses))
