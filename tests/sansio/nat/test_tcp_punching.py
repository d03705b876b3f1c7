"""Tests of punching TCP: who is nominated, and what happens to the other connections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.checks import CHECK_BYTES, PeerRole
from relaykit.sansio.nat.tcp_punching import (
    AGAIN_S,
    CONNECTIONS_MAX,
    TOTAL_S,
    Dial,
    Drop,
    TcpPunched,
    TcpPunching,
    TcpPunchingEvent,
    TcpPunchingFailed,
)
from relaykit.values import Address

KEY = bytes(range(32))
TARGET = Address("198.51.100.3", 6000)


class _Pair:
    """Two ends and the connections between them; each has one number at both ends."""

    def __init__(self, keys: tuple[bytes, bytes] = (KEY, KEY)) -> None:
        self.ends = [
            TcpPunching(role, [TARGET], key, lambda size, role=role: role.value[-1:].encode() * size)  # type: ignore[misc]
            for role, key in zip(PeerRole, keys, strict=True)
        ]
        self.events: list[list[TcpPunchingEvent]] = [[], []]
        self.now = 0.0
        self.is_cut = False
        for end in self.ends:
            end.start(0.0)

    def open(self, number: int) -> None:
        """A connection comes to stand."""
        for end in self.ends:
            end.opened(number, self.now)

    def exchange(self, piece: int = 1000) -> None:
        """Carries bytes in pieces until both are quiet."""
        while sent := [list(end.to_send(self.now)) for end in self.ends]:
            if not any(sent):
                break
            for place, payloads in enumerate(sent):
                for number, payload in payloads:
                    for at in range(0, len(payload), piece):
                        self.ends[1 - place].received(number, payload[at : at + piece], self.now)
        for place, end in enumerate(self.ends):
            self.events[place] += end.events()

    def results(self, place: int) -> list[TcpPunchingEvent]:
        """What an end told, without its dialing."""
        return [event for event in self.events[place] if not isinstance(event, Dial)]


class TcpPunchingTests(SynchronousTestCase):
    """Both ends."""

    def test_one_connection(self) -> None:
        """A connection that stands becomes the path at both ends, however its bytes are cut."""
        for piece in (1, 7, CHECK_BYTES, 1000):
            pair = _Pair()
            self.assertEqual(list(pair.ends[0].events()), [Dial(TARGET)])
            pair.open(1)
            pair.exchange(piece)
            for place in (0, 1):
                self.assertEqual(pair.results(place), [TcpPunched(1, b"", 0.0)])
                self.assertIsNone(pair.ends[place].next_wakeup())

    def test_several_connections(self) -> None:
        """Of several connections one is the path, the same at both ends; the others are dropped."""
        pair = _Pair()
        for number in (1, 2, 3):
            pair.open(number)
        pair.exchange()
        for place in (0, 1):
            self.assertEqual(pair.results(place), [TcpPunched(1, b"", 0.0), Drop(2), Drop(3)])

    def test_nominated_connection_is_lost(self) -> None:
        """If the nominated connection breaks before it is accepted, another one is nominated."""
        pair = _Pair()
        pair.open(1)
        pair.open(2)
        initiator, responder = pair.ends
        for number, payload in initiator.to_send(0.0):
            responder.received(number, payload, 0.0)
        for number, payload in responder.to_send(0.0):
            initiator.received(number, payload, 0.0)
        self.assertEqual([number for number, _ in initiator.to_send(0.0)], [1])
        initiator.lost(1, 0.0)
        responder.lost(1, 0.0)
        pair.exchange()
        for place in (0, 1):
            self.assertEqual(pair.results(place), [TcpPunched(2, b"", 0.0)])

    def test_leftover(self) -> None:
        """What follows the proof at once is not lost."""
        pair = _Pair()
        pair.open(1)
        initiator, responder = pair.ends
        for sender, receiver in ((initiator, responder), (responder, initiator), (initiator, responder)):
            ((_, payload),) = sender.to_send(0.0)
            receiver.received(1, payload, 0.0)
        ((_, acceptance),) = responder.to_send(0.0)
        initiator.received(1, acceptance + b"hello", 0.0)
        self.assertIn(TcpPunched(1, b"hello", 0.0), initiator.events())

    def test_strangers(self) -> None:
        """A connection that does not prove the key is dropped, and nothing is said on it but probes."""
        for keys in ((KEY, bytes(32)), (bytes(32), KEY)):
            pair = _Pair(keys)
            pair.open(1)
            pair.exchange()
            self.assertEqual((pair.results(0), pair.results(1)), ([], [Drop(1)]))

    def test_reflection(self) -> None:
        """What an end said cannot be thrown back at it."""
        pair = _Pair()
        initiator = pair.ends[0]
        initiator.opened(1, 0.0)
        ((_, payload),) = initiator.to_send(0.0)
        initiator.received(1, payload, 0.0)
        self.assertIn(Drop(1), initiator.events())

    def test_dialing_again(self) -> None:
        """An address that refused is dialed again after a pause, until time is up."""
        initiator = _Pair().ends[0]
        self.assertEqual(list(initiator.events()), [Dial(TARGET)])
        dials, now = 0, 0.0
        while True:
            initiator.refused(TARGET, now)
            wakeup = initiator.next_wakeup()
            assert wakeup is not None
            now = wakeup
            initiator.wake(now)
            (event,) = initiator.events()
            if isinstance(event, TcpPunchingFailed):
                break
            self.assertEqual(event, Dial(TARGET))
            dials += 1
        self.assertAlmostEqual(now, TOTAL_S)
        self.assertLessEqual(abs(dials - TOTAL_S / AGAIN_S), 1.5)
        initiator.wake(now + 1)
        initiator.opened(7, now)
        self.assertEqual(list(initiator.events()), [Drop(7)])

    def test_bound(self) -> None:
        """The number of connections that have proven nothing is bounded."""
        initiator = _Pair().ends[0]
        initiator.events()
        for number in range(CONNECTIONS_MAX + 2):
            initiator.opened(number, 0.0)
        self.assertEqual(list(initiator.events()), [Drop(CONNECTIONS_MAX), Drop(CONNECTIONS_MAX + 1)])

    @given(st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=100)), max_size=10))
    @settings(max_examples=50)
    def test_junk(self, inputs: list[tuple[int, bytes]]) -> None:
        """Junk on any connection never makes it the path."""
        for end in _Pair().ends:
            for number in (1, 2, 3):
                end.opened(number, 0.0)
            for number, data in inputs:
                end.received(number, data, 0.0)
            self.assertFalse(any(isinstance(event, TcpPunched) for event in end.events()))
