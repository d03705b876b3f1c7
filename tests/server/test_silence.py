"""Tests of asking a client for a sign of life."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.server.silence import LATE_S, SILENCE_S, SignOfLife


class SignOfLifeTests(SynchronousTestCase):
    """Whether a client is alive."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked = 0
        self.sign = SignOfLife(self.ask, self.clock)

    def ask(self) -> None:
        """Notes that the client is asked."""
        self.asked += 1

    def test_heard(self) -> None:
        """A client that says something is alive; nothing is left to wait for."""
        answer = self.sign.awaited()
        self.assertNoResult(answer)
        self.sign.heard()
        self.assertTrue(self.successResultOf(answer))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """A client that says nothing for three seconds is not."""
        answer = self.sign.awaited()
        self.clock.advance(SILENCE_S - 0.1)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.assertFalse(self.successResultOf(answer))

    def test_asked_once(self) -> None:
        """Who asks while an answer is awaited gets the same one; later ones ask again."""
        answers = [self.sign.awaited(), self.sign.awaited()]
        self.sign.heard()
        self.assertEqual([self.successResultOf(each) for each in answers], [True, True])
        self.assertEqual(self.asked, 1)
        self.assertNoResult(self.sign.awaited())
        self.assertEqual(self.asked, 2)

    def test_earlier_signs(self) -> None:
        """What was heard before the question is no answer."""
        self.sign.heard()
        self.assertNoResult(self.sign.awaited())

    def test_lost(self) -> None:
        """A client that is gone is not alive, and is not asked any more."""
        answer = self.sign.awaited()
        self.sign.lost()
        self.assertFalse(self.successResultOf(answer))
        self.assertFalse(self.successResultOf(self.sign.awaited()))
        self.assertEqual(self.asked, 1)

    def test_held_up(self) -> None:
        """When this side stood still, the client gets its time again: its answer waits to be read."""
        answer = self.sign.awaited()
        self.clock.advance(SILENCE_S + LATE_S + 60)
        self.assertNoResult(answer)
        self.sign.heard()
        self.assertTrue(self.successResultOf(answer))
