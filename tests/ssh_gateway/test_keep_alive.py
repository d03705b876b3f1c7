"""Tests for :mod:`relaykit.ssh_gateway.keep_alive`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.ssh_gateway.keep_alive import KEEP_ALIVE_S, KeepAlive


class KeepAliveTests(SynchronousTestCase):
    """Tests for who is asked."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.silent = 0
        self.keep_alive = KeepAlive(self.ping, self.clock, self.on_silent)
        self.keep_alive.start()

    def ping(self) -> Deferred[None]:
        """The client is asked."""
        self.asked.append(Deferred())
        return self.asked[-1]

    def on_silent(self) -> None:
        """It does not answer."""
        self.silent += 1

    def test_answers(self) -> None:
        """Who answers, soon or late, is asked again."""
        for _ in range(5):
            self.clock.advance(KEEP_ALIVE_S - 1)
            if self.asked:
                self.asked[-1].callback(None)
            self.clock.advance(1)
        self.assertEqual((len(self.asked), self.silent), (5, 0))

    def test_silent(self) -> None:
        """Who has not answered when the next question is due is given up, once."""
        self.clock.pump([KEEP_ALIVE_S] * 5)
        self.assertEqual((len(self.asked), self.silent), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """Nobody is asked any more."""
        self.keep_alive.stop()
        self.clock.advance(10 * KEEP_ALIVE_S)
        self.assertEqual((self.asked, self.silent), ([], 0))
