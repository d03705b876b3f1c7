"""Tests for finding connections whose peer is dead."""

from __future__ import annotations

import os
import struct

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.dead_peers import DEAD_AFTER_S, LOOK_EVERY_S, DeadPeers, is_dead


def told(repeated: int = 0, asked: int = 0, silent_s: float = 0.0) -> bytes:
    """What the kernel tells of a connection."""
    return struct.pack("=xxBB52xI", repeated, asked, int(silent_s * 1000))


class ToldTests(SynchronousTestCase):
    """Tests for :func:`is_dead`."""

    def test_dead(self) -> None:
        """A peer is gone when several repetitions, or questions, have gone unanswered for long enough."""
        self.assertTrue(is_dead(told(9, 0, DEAD_AFTER_S)))
        self.assertTrue(is_dead(told(0, 3, DEAD_AFTER_S * 3)))

    def test_there(self) -> None:
        """It is there when it answered a while ago, when it was not asked, and when one answer is missing."""
        self.assertFalse(is_dead(told(9, 0, DEAD_AFTER_S - 1)))
        self.assertFalse(is_dead(told(0, 0, 36_000.0)))
        self.assertFalse(is_dead(told(0, 1, DEAD_AFTER_S + 120)))


@define(eq=False)
class Leg:
    """A leg that notes that it ended."""

    peers: DeadPeers
    info: bytes = told()
    looks: int = field(default=0, init=False)
    dead: bool = field(default=False, init=False)

    def tcp_info(self, count: int) -> bytes:
        """What the kernel tells."""
        self.looks += 1
        if not self.info:
            raise OSError(9, os.strerror(9))
        return self.info[:count]

    def peer_died(self) -> None:
        """Is noted."""
        self.dead = True
        self.peers.forget(self)


class DeadPeersTests(SynchronousTestCase):
    """Tests for :class:`DeadPeers`."""

    def setUp(self) -> None:
        """Looks at nothing yet."""
        self.clock = Clock()
        self.peers = DeadPeers(self.clock)

    def legs(self, count: int, info: bytes = told()) -> list[Leg]:
        """Legs that are looked after."""
        made = [Leg(self.peers, info) for _ in range(count)]
        for leg in made:
            self.peers.watch(leg)
        return made

    def test_looks(self) -> None:
        """Every connection is looked at in every round, however many there are, and not all at once."""
        made = self.legs(1000)
        self.clock.advance(LOOK_EVERY_S)
        self.assertLess(sum(leg.looks for leg in made), 500)
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual({leg.looks for leg in made}, {1})
        self.clock.advance(LOOK_EVERY_S)
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual({leg.looks for leg in made}, {2})

    def test_dead(self) -> None:
        """Those whose peer is gone end, the others live on."""
        (gone,) = self.legs(1, told(9, 0, 500.0))
        (there,) = self.legs(1)
        self.clock.advance(LOOK_EVERY_S)
        self.assertEqual((gone.dead, there.dead), (True, False))

    def test_no_answer(self) -> None:
        """A connection of which the kernel tells nothing does not keep the others from being looked at."""
        self.legs(3, b"")
        (gone,) = self.legs(1, told(9, 0, 500.0))
        self.clock.advance(LOOK_EVERY_S)
        self.assertTrue(gone.dead)

    def test_idle(self) -> None:
        """Without connections there is nothing to wait for."""
        made = self.legs(2)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for leg in made:
            self.peers.forget(leg)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.legs(1, told(9, 0, 500.0))
        self.clock.advance(LOOK_EVERY_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone_between_two_portions(self) -> None:
        """A leg that ends while others are looked at is not looked at any more."""
        made = self.legs(600)
        self.clock.advance(LOOK_EVERY_S)
        waiting = [leg for leg in made if not leg.looks]
        for leg in waiting:
            self.peers.forget(leg)
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual({leg.looks for leg in waiting}, {0})
