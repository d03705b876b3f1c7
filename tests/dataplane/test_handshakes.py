"""Tests of the costly steps of handshakes: few in a turn, and sources take turns."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.handshakes import STEPS_AT_ONCE, Handshakes
from relaykit.sansio.sources import source_of_host
from relaykit.testing.memory import MemoryNetwork

FLOOD = "192.0.2.1"
HONEST = "192.0.2.2"


class HandshakesTests(SynchronousTestCase):
    """Tests for :class:`Handshakes`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.handshakes = Handshakes(self.network, self.clock)
        self.taken: list[str] = []

    def step(self, host: str, costs: bool = True) -> Callable[[], bool]:
        """A step that is noted."""

        def step() -> bool:
            self.taken.append(host)
            return costs

        return step

    def ask(self, host: str, times: int = 1, costs: bool = True) -> None:
        """So many steps are asked for."""
        for _ in range(times):
            self.handshakes.take(self.step(host, costs), source_of_host(host))

    def turn(self) -> None:
        """One turn ends, and the next one begins."""
        self.network.turn()
        self.clock.advance(0)

    def test_at_once(self) -> None:
        """Few steps are taken at once, in every turn, and leave nothing behind."""
        for _ in range(3):
            self.taken.clear()
            self.ask(FLOOD, STEPS_AT_ONCE)
            self.assertEqual(len(self.taken), STEPS_AT_ONCE)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.network.turn()

    def test_many(self) -> None:
        """Of many steps each turn has so many, until all are taken."""
        self.ask(FLOOD, 3 * STEPS_AT_ONCE)
        counts = [len(self.taken)]
        for _ in range(3):
            self.turn()
            counts.append(len(self.taken))
        self.assertEqual([count // STEPS_AT_ONCE for count in counts], [1, 2, 3, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sources_take_turns(self) -> None:
        """However many steps others have asked for before, who asks for one waits for one of each."""
        self.ask(FLOOD, 1000)
        self.ask("2001:db8:0:1::1", 100)
        self.ask("2001:db8:0:2::1", 100)
        self.taken.clear()
        self.ask(HONEST)
        self.turn()
        self.assertLess(self.taken.index(HONEST), 3)

    def test_gone(self) -> None:
        """Steps of connections that are gone take nobody's turn."""
        self.ask(FLOOD, STEPS_AT_ONCE)
        self.ask(FLOOD, 1000, costs=False)
        self.ask(FLOOD)
        self.turn()
        self.assertEqual((len(self.taken), self.clock.getDelayedCalls()), (STEPS_AT_ONCE + 1001, []))
