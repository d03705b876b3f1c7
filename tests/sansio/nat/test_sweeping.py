"""Tests of finding ports: the order of predictions, the rounds of sockets, the bounds of guessing."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import PortAllocation, Ports
from relaykit.sansio.nat.pairing import NatView, Part
from relaykit.sansio.nat.sweeping import (
    GUESSES_MAX,
    GUESSES_PER_S,
    PREDICTION_S,
    PREDICTION_WINDOW,
    SCATTER_MAX,
    SPREAD_AT_ONCE,
    SPREAD_LOW_ROUNDS,
    SPREAD_ROUNDS_S,
    Aim,
    Sweep,
)
from relaykit.values import Address

TARGET = Address("198.51.100.3", 6000)
TICK_S = 0.05


def sweep(nat: NatView) -> Sweep:
    """A sweep with its own chance."""
    return Sweep(TARGET, nat, random.Random(1).randbytes)


def play(one: Sweep, part: Part, seconds: float, sockets: int = 1) -> list[tuple[float, Aim]]:
    """All aims of a part, with the time."""
    found = []
    for tick in range(round(seconds / TICK_S)):
        since = tick * TICK_S
        found += [(since, aim) for aim in one.aims(part, since, TICK_S, sockets)]
    return found


class SweepTests(SynchronousTestCase):
    """Each part."""

    def test_predicted(self) -> None:
        """The next ports are tried in their order, up or down, brisk at first, and not for ever."""
        for step in (1, -2):
            nat = NatView(ports=Ports(PortAllocation.STEPPED, step=step), latest_port=20000)
            aims = play(sweep(nat), Part.PREDICT, 20.0)
            first = [aim.address.port for since, aim in aims if since == 0.0]
            self.assertEqual(first, [20000 + step * place for place in range(1, PREDICTION_WINDOW + 1)])
            self.assertTrue(all(aim == Aim(0, aim.address, True) for _, aim in aims))
            self.assertLessEqual(aims[-1][0], PREDICTION_S[2])
            self.assertLess(len(aims), 600)

    def test_predicted_at_the_edge(self) -> None:
        """Ports that do not exist are left out."""
        nat = NatView(ports=Ports(PortAllocation.STEPPED, step=2), latest_port=65530)
        self.assertEqual(
            [aim.address.port for aim in sweep(nat).aims(Part.PREDICT, 0.0, TICK_S, 1)], [65532, 65534]
        )

    def test_spread(self) -> None:
        """Every socket sends once in each round, some at a time; the first rounds only open."""
        one = sweep(NatView())
        aims = play(one, Part.SPREAD, 12.0, sockets=100)
        self.assertEqual(len(aims), 100 * len(SPREAD_ROUNDS_S))
        self.assertEqual({aim.address for _, aim in aims}, {TARGET})
        self.assertEqual(sorted({aim.via for _, aim in aims}), list(range(100)))
        self.assertEqual(sum(since == 0.0 for since, _ in aims), SPREAD_AT_ONCE)
        one = sweep(NatView())
        play(one, Part.SPREAD, SPREAD_ROUNDS_S[SPREAD_LOW_ROUNDS] - TICK_S, sockets=100)
        self.assertTrue(one.is_opening)
        self.assertEqual(len(list(one.aims(Part.SPREAD, 5.0, TICK_S, 100))), SPREAD_AT_ONCE)
        self.assertFalse(one.is_opening)

    def test_guessed(self) -> None:
        """Guesses are in the peer's block, at their pace, and bounded."""
        nat = NatView(ports=Ports(PortAllocation.BLOCK, low=20480, high=21503))
        aims = play(sweep(nat), Part.GUESS, 60.0)
        self.assertEqual(len(aims), GUESSES_MAX)
        self.assertEqual(sum(since < 1.0 for since, _ in aims), GUESSES_PER_S)
        ports = {aim.address.port for _, aim in aims}
        self.assertTrue(min(ports) >= 20480 and max(ports) <= 21503)
        self.assertGreater(len(ports), 800)
        self.assertEqual({(aim.via, aim.is_opening) for _, aim in aims}, {(0, False)})

    def test_scattered(self) -> None:
        """Scattering guesses from all sockets."""
        aims = play(sweep(NatView()), Part.SCATTER, 60.0, sockets=64)
        self.assertEqual(len(aims), SCATTER_MAX)
        self.assertEqual({aim.via for _, aim in aims}, set(range(64)))

    def test_nothing(self) -> None:
        """Who only knocks, or gives up, sends nothing more."""
        for part in (Part.KNOCK, Part.GIVE_UP):
            self.assertEqual(play(sweep(NatView()), part, 5.0), [])

    @given(
        st.sampled_from(Part),
        st.integers(1, 65535),
        st.integers(1, 65535),
        st.integers(-1024, 1024),
        st.integers(0, 65535),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_peer(self, part: Part, low: int, high: int, step: int, latest: int) -> None:
        """Whatever a peer says of its NAT, what is sent goes to ports from 1024 on of its one address."""
        ports = Ports(PortAllocation.STEPPED, step=step, low=min(low, high), high=max(low, high))
        aims = play(sweep(NatView(ports=ports, latest_port=latest)), part, 1.0, sockets=4)
        for _, aim in aims:
            self.assertEqual(aim.address.host, TARGET.host)
            self.assertTrue(1024 <= aim.address.port <= 65535)
