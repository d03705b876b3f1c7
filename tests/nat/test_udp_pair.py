"""Tests of two sockets where a core knows of one."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.udp_pair import UdpPair
from relaykit.values import Address
from tests.nat.fakes import FakeSocket

PEER = Address("198.51.100.3", 6000)


class _Network:
    """Opens such sockets, except those that are taken."""

    def __init__(self, *taken: tuple[str, int]) -> None:
        self.taken = taken

    def open_udp(self, host: str, port: int, receiver: Any) -> FakeSocket:
        """Opens one."""
        if (host, port) in self.taken:
            raise CannotListenError(host, port, OSError("taken"))
        return FakeSocket(host, port, receiver)


class UdpPairTests(SynchronousTestCase):
    """Two families behind one number."""

    def make(self, with_six: bool, *taken: tuple[str, int]) -> UdpPair:
        """Opens a pair."""
        network: Any = _Network(*taken)
        return UdpPair(network, with_six)

    def test_families(self) -> None:
        """Each destination is reached through the socket of its family."""
        pair = self.make(True)
        six = Address("2001:db8::5", 9)
        self.assertTrue(pair.send(b"4", PEER, 2) and pair.send(b"6", six))
        four_socket, six_socket = pair
        self.assertEqual(four_socket.sent, [(b"4", PEER, 2)])  # type: ignore[attr-defined]
        self.assertEqual(six_socket.sent, [(b"6", six, None)])  # type: ignore[attr-defined]
        self.assertEqual(six_socket.address.port, four_socket.address.port)

    def test_no_ipv6(self) -> None:
        """Without IPv6 what goes there is lost."""
        pair = self.make(False)
        self.assertFalse(pair.send(b"6", Address("2001:db8::5", 9)))
        self.assertEqual(len(list(pair)), 1)

    def test_port_taken(self) -> None:
        """Where the same port cannot be had for IPv6, another one will do, or none."""
        pair = self.make(True, ("::", 5000))
        self.assertEqual(len(list(pair)), 2)
        pair = self.make(True, ("::", 5000), ("::", 0))
        self.assertEqual(len(list(pair)), 1)

    def test_receiver(self) -> None:
        """Both sockets have one receiver."""

        def hear(data: bytes, source: Address, arrived_at: str) -> None:
            """Nothing."""

        pair = self.make(True)
        pair.receiver = hear
        self.assertEqual([each.receiver for each in pair], [hear, hear])
        self.assertIs(pair.receiver, hear)

    def test_keep(self) -> None:
        """One socket is kept for the path, the other is closed."""
        for destination in (PEER, Address("2001:db8::5", 9)):
            pair = self.make(True)
            kept = pair.keep(destination)
            self.assertEqual(":" in kept.address.host, ":" in destination.host)
            self.assertEqual(sum(each.closed for each in pair), 1)  # type: ignore[attr-defined]
        pair.close()
        self.assertEqual(sum(each.closed for each in pair), 2)  # type: ignore[attr-defined]
