"""The pool of pipes; how bytes are spliced is tested on real sockets."""

from __future__ import annotations

import os
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane import splicing
from relaykit.dataplane.splicing import IDLE_AFTER_S, UNNEEDED_AFTER_S, Pipe, PipePool, SplicedDirection


class Holder:
    """A direction that gives its pipe back when it is asked to, if it can."""

    def __init__(self, pool: PipePool, willing: bool = True) -> None:
        self.pool = pool
        self.willing = willing
        self.pipe: Pipe | None = None

    def acquire(self) -> bool:
        """Whether it got a pipe."""
        self.pipe = self.pool.acquire(self.as_direction())
        return self.pipe is not None

    def stop_splicing(self) -> None:
        """Gives the pipe back."""
        if self.willing and self.pipe is not None:
            self.pool.release(self.as_direction(), self.pipe)
            self.pipe = None

    def as_direction(self) -> SplicedDirection:
        """What the pool takes it for."""
        return cast(SplicedDirection, self)


class PipePoolTests(SynchronousTestCase):
    """Lending pipes that are no real ones."""

    def setUp(self) -> None:
        self.time = 0.0
        self.clock = Clock()
        self.made = 0
        self.closed: list[int] = []
        self.patch(splicing, "_make_pipe", self.make)
        self.patch(os, "close", self.closed.append)
        self.pool = PipePool(self.clock, limit=2, clock=lambda: self.time)

    def make(self) -> Pipe:
        """Makes a pipe with numbers of its own."""
        self.made += 1
        return Pipe(self.made * 10, self.made * 10 + 1, 4096)

    def test_reused(self) -> None:
        """A pipe that was given back is lent again; none is made beyond the limit."""
        first, second, third = (Holder(self.pool) for _ in range(3))
        self.assertEqual([each.acquire() for each in (first, second, third)], [True, True, False])
        first.stop_splicing()
        self.assertEqual((third.acquire(), self.made, self.pool.lent), (True, 2, 2))

    def test_taken_from_who_is_idle(self) -> None:
        """When all are lent, whoever moved nothing for a while gives his up; others do not."""
        first, second, third = (Holder(self.pool) for _ in range(3))
        first.acquire()
        second.acquire()
        self.time += IDLE_AFTER_S / 2
        self.pool.used(first.as_direction())
        self.assertFalse(third.acquire())
        self.time += IDLE_AFTER_S / 2
        self.assertTrue(third.acquire())
        self.assertEqual((first.pipe is None, second.pipe is None), (False, True))

    def test_not_willing(self) -> None:
        """A holder with bytes in its pipe keeps it; the asker copies."""
        first, second, third = Holder(self.pool, False), Holder(self.pool, False), Holder(self.pool)
        first.acquire()
        second.acquire()
        self.time += 2 * IDLE_AFTER_S
        self.assertFalse(third.acquire())

    def test_discarded(self) -> None:
        """A pipe that may have bytes in it is closed, and another may be made."""
        first = Holder(self.pool)
        first.acquire()
        self.pool.discard(first.as_direction(), cast(Pipe, first.pipe))
        self.assertEqual((self.closed, self.pool.lent), ([10, 11], 0))
        self.assertTrue(first.acquire())
        self.assertEqual(self.made, 2)

    def test_closed(self) -> None:
        """Closing the pool closes what nobody has."""
        first, second = Holder(self.pool), Holder(self.pool)
        first.acquire()
        second.acquire()
        first.stop_splicing()
        self.pool.close()
        self.assertEqual(self.closed, [10, 11])
        second.stop_splicing()
        self.assertEqual((self.closed, self.clock.getDelayedCalls()), ([10, 11, 20, 21], []))

    def test_shrinks(self) -> None:
        """Pipes that nobody needed for a while are closed, with one timer for all; those in use stay."""
        first, second = Holder(self.pool), Holder(self.pool)
        first.acquire()
        second.acquire()
        first.stop_splicing()
        second.stop_splicing()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(UNNEEDED_AFTER_S)
        # One is needed now and then.
        first.acquire()
        first.stop_splicing()
        self.clock.advance(UNNEEDED_AFTER_S)
        self.assertEqual(self.closed, [10, 11])
        self.assertTrue(first.acquire())
        self.clock.advance(UNNEEDED_AFTER_S)
        self.assertEqual((self.closed, self.made, self.clock.getDelayedCalls()), ([10, 11], 2, []))
        first.stop_splicing()
        self.clock.advance(2 * UNNEEDED_AFTER_S)
        self.clock.advance(UNNEEDED_AFTER_S)
        self.assertEqual((self.closed, self.clock.getDelayedCalls()), ([10, 11, 20, 21], []))

    def test_no_pipes(self) -> None:
        """Where the system has no pipe left the direction goes on copying."""
        self.patch(splicing, "_make_pipe", lambda: None)
        self.assertFalse(Holder(self.pool).acquire())
