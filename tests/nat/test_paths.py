"""Tests of punched paths: who gets what arrives, and who owns the sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.paths import EARLY_MAX, PunchedPath, UdpPair
from relaykit.sansio.nat.candidates import CandidateKind
from relaykit.sansio.nat.checks import CheckKeys, CheckKind, PeerRole
from relaykit.sansio.nat.pairing import Strategy
from relaykit.sansio.nat.punching import Punched
from relaykit.values import Address, Ended

PEER, STRANGER = Address("198.51.100.3", 6000), Address("198.51.100.3", 6001)
CHECK = CheckKeys(bytes(32), PeerRole.INITIATOR, b"").seal(CheckKind.PROBE, bytes(8), 0)


class _Socket:
    """A socket that notes what is done to it."""

    def __init__(self, host: str, port: int, receiver: Any) -> None:
        self.address = Address(host, port or 5000)
        self.receiver = receiver
        self.sent: list[tuple[bytes, Address, int | None]] = []
        self.closed = False

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """Notes it."""
        self.sent.append((payload, destination, ttl))
        return True

    def close(self) -> None:
        """Notes it."""
        self.closed = True


class _Network:
    """Opens such sockets, except those that are taken."""

    def __init__(self, *taken: tuple[str, int]) -> None:
        self.taken = taken

    def open_udp(self, host: str, port: int, receiver: Any) -> _Socket:
        """Opens one."""
        if (host, port) in self.taken:
            raise CannotListenError(host, port, OSError("taken"))
        return _Socket(host, port, receiver)


class _Driver:
    """Notes what reaches the core of the punch."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.stopped = False

    def arrived(self, via: int, data: bytes, source: Address, arrived_at: str) -> None:
        """Notes it."""
        self.heard.append((via, data))

    def stop(self) -> None:
        """Notes it."""
        self.stopped = True


class PunchedPathTests(SynchronousTestCase):
    """One path."""

    def setUp(self) -> None:
        """Makes a path on socket 7 of a punch."""
        self.socket = _Socket("0.0.0.0", 0, None)
        self.driver = _Driver()
        result = Punched(7, PEER, CandidateKind.REFLEXIVE, Strategy.CHECK, 0.1, 0.05)
        socket: Any = self.socket
        driver: Any = self.driver
        self.path = PunchedPath(socket, result, PeerRole.INITIATOR, driver)
        self.heard: list[bytes] = []

    def hear(self, data: bytes, source: Address, arrived_at: str) -> None:
        """Notes what arrives."""
        self.heard.append(data)

    def arrive(self, data: bytes, source: Address = PEER) -> None:
        """Something arrives."""
        self.socket.receiver(data, source, "")

    def test_checks_go_to_the_core(self) -> None:
        """The punch's own datagrams go to its core, with the number of its socket."""
        self.path.attach(self.hear)
        self.arrive(CHECK, STRANGER)
        self.assertEqual((self.driver.heard, self.heard), ([(7, CHECK)], []))

    def test_early_datagrams(self) -> None:
        """What the peer sends before there is a receiver is kept, within bounds, in order."""
        for place in range(EARLY_MAX + 3):
            self.arrive(bytes([64, place]))
        self.arrive(b"@stranger", STRANGER)
        self.path.attach(self.hear)
        self.arrive(b"@later")
        self.assertEqual(len(self.heard), EARLY_MAX + 1)
        self.assertEqual((self.heard[0], self.heard[-1]), (bytes([64, 3]), b"@later"))

    def test_strangers(self) -> None:
        """Others are heard only by those who want to hear them."""
        self.path.attach(self.hear)
        self.arrive(b"@1", STRANGER)
        self.path.attach(self.hear, any_source=True)
        self.arrive(b"@2", STRANGER)
        self.assertEqual(self.heard, [b"@2"])

    def test_sending_and_closing(self) -> None:
        """What is sent goes to the peer; closing ends the punch, too."""
        self.assertTrue(self.path.send(b"x"))
        self.assertEqual(self.socket.sent, [(b"x", PEER, None)])
        self.path.close()
        self.assertEqual((self.socket.closed, self.driver.stopped), (True, True))

    def test_lost(self) -> None:
        """Who waits for the loss of the path is told, early and late."""
        early, given_up = self.path.when_lost(), self.path.when_lost()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.assertNoResult(early)
        self.path.went_silent()
        for each in (early, self.path.when_lost()):
            self.assertIs(self.successResultOf(each), Ended.TIMEOUT)
        self.assertTrue(self.driver.stopped)


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
