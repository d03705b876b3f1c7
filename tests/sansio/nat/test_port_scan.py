"""Tests of finding ports: the order of predictions, the rounds of sockets, the bounds of guessing."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.nat.behavior import PortAllocation, Ports
from relaykit.sansio.nat.pairing import NatView, Strategy
from relaykit.sansio.nat.port_scan import (
    GUESSES_MAX,
    GUESSES_PER_S,
    PREDICTION_S,
    PREDICTION_WINDOW,
    SCATTER_MAX,
    SPREAD_AT_ONCE,
    SPREAD_LOW_ROUNDS,
    SPREAD_ROUNDS_S,
    PortScan,
    Target,
)
from relaykit.values import Address

TARGET = Address("198.51.100.3", 6000)
TICK_S = 0.05


def scan(nat: NatView) -> PortScan:
    """A scan with its own chance."""
    return PortScan(TARGET, nat, random.Random(1).randbytes)


def play(one: PortScan, strategy: Strategy, seconds: float, sockets: int = 1) -> list[tuple[float, Target]]:
    """All targets of a strategy, with the time."""
    found = []
    for tick in range(round(seconds / TICK_S)):
        since = tick * TICK_S
        found += [(since, target) for target in one.targets(strategy, since, TICK_S, sockets)]
    return found


class PortScanTests(SynchronousTestCase):
    """Each strategy."""

    def test_predicted(self) -> None:
        """The next ports are tried in their order, up or down, brisk at first, and not for ever."""
        for step in (1, -2):
            nat = NatView(ports=Ports(PortAllocation.STEPPED, step=step), latest_port=20000)
            targets = play(scan(nat), Strategy.PREDICT, 20.0)
            first = [target.address.port for since, target in targets if since == 0.0]
            self.assertEqual(first, [20000 + step * place for place in range(1, PREDICTION_WINDOW + 1)])
            self.assertTrue(all(target == Target(0, target.address, True) for _, target in targets))
            self.assertLessEqual(targets[-1][0], PREDICTION_S[2])
            self.assertLess(len(targets), 600)

    def test_predicted_at_the_edge(self) -> None:
        """Ports that do not exist are left out."""
        nat = NatView(ports=Ports(PortAllocation.STEPPED, step=2), latest_port=65530)
        self.assertEqual(
            [target.address.port for target in scan(nat).targets(Strategy.PREDICT, 0.0, TICK_S, 1)],
            [65532, 65534],
        )

    def test_spread(self) -> None:
        """Every socket sends once in each round, some at a time; the first rounds only open."""
        one = scan(NatView())
        targets = play(one, Strategy.SPREAD, 12.0, sockets=100)
        self.assertEqual(len(targets), 100 * len(SPREAD_ROUNDS_S))
        self.assertEqual({target.address for _, target in targets}, {TARGET})
        self.assertEqual(sorted({target.via for _, target in targets}), list(range(100)))
        self.assertEqual(sum(since == 0.0 for since, _ in targets), SPREAD_AT_ONCE)
        one = scan(NatView())
        play(one, Strategy.SPREAD, SPREAD_ROUNDS_S[SPREAD_LOW_ROUNDS] - TICK_S, sockets=100)
        self.assertTrue(one.is_opening)
        self.assertEqual(len(list(one.targets(Strategy.SPREAD, 5.0, TICK_S, 100))), SPREAD_AT_ONCE)
        self.assertFalse(one.is_opening)

    def test_guessed(self) -> None:
        """Guesses are in the peer's block, at their pace, and bounded."""
        nat = NatView(ports=Ports(PortAllocation.BLOCK, low=20480, high=21503))
        targets = play(scan(nat), Strategy.GUESS, 60.0)
        self.assertEqual(len(targets), GUESSES_MAX)
        self.assertEqual(sum(since < 1.0 for since, _ in targets), GUESSES_PER_S)
        ports = {target.address.port for _, target in targets}
        self.assertTrue(min(ports) >= 20480 and max(ports) <= 21503)
        self.assertGreater(len(ports), 800)
        self.assertEqual({(target.via, target.is_opening) for _, target in targets}, {(0, False)})

    def test_scattered(self) -> None:
        """Scattering guesses from all sockets."""
        targets = play(scan(NatView()), Strategy.SCATTER, 60.0, sockets=64)
        self.assertEqual(len(targets), SCATTER_MAX)
        self.assertEqual({target.via for _, target in targets}, set(range(64)))

    def test_nothing(self) -> None:
        """Who only checks, or gives up, sends nothing more."""
        for strategy in (Strategy.CHECK, Strategy.GIVE_UP):
            self.assertEqual(play(scan(NatView()), strategy, 5.0), [])

    @given(
        st.sampled_from(Strategy),
        st.integers(1, 65535),
        st.integers(1, 65535),
        st.integers(-1024, 1024),
        st.integers(0, 65535),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_peer(self, strategy: Strategy, low: int, high: int, step: int, latest: int) -> None:
        """Whatever a peer says of its NAT, what is sent goes to ports from 1024 on of its one address."""
        ports = Ports(PortAllocation.STEPPED, step=step, low=min(low, high), high=max(low, high))
        targets = play(scan(NatView(ports=ports, latest_port=latest)), strategy, 1.0, sockets=4)
        for _, target in targets:
            self.assertEqual(target.address.host, TARGET.host)
            self.assertTrue(1024 <= target.address.port <= 65535)
