"""Tests of the timer."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.timer import PORTION_S, Deadlines, Portion, Timer, Waits


class Owner:
    """Has a timer that calls it, as drivers do."""

    def __init__(self) -> None:
        self.timer = Timer(Clock(), self.on_due)
        self.timer.set(1.0)

    def on_due(self) -> None:
        """Nothing to do."""


class DeadlinesTests(SynchronousTestCase):
    """Deadlines of several things."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.due: list[str] = []
        self.deadlines: Deadlines[str] = Deadlines(self.clock, self.due.append)

    def test_each(self) -> None:
        """Each is told of in its time, by one call of the reactor at a time."""
        for key, seconds in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
            self.deadlines.set(key, seconds)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1.5)
        self.assertEqual(self.due, ["a"])
        self.clock.advance(2.0)
        self.assertEqual(self.due, ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changed(self) -> None:
        """One that is set again counts from then on, and one that is dropped is not told of."""
        for key in ("a", "b"):
            self.deadlines.set(key, 1.0)
        self.deadlines.set("a", 5.0)
        self.deadlines.drop("b")
        self.assertEqual(["a" in self.deadlines, "b" in self.deadlines], [True, False])
        self.clock.advance(4.9)
        self.assertEqual(self.due, [])
        self.clock.advance(0.1)
        self.assertEqual(self.due, ["a"])
        self.deadlines.set("c", 1.0)
        self.deadlines.drop("c")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_set_when_due(self) -> None:
        """Who is told may set it again."""
        self.deadlines = Deadlines(self.clock, self._again)
        self.deadlines.set("a", 1.0)
        self.clock.pump([1.0, 1.0, 1.0])
        self.assertEqual(self.due, ["a", "a", "a"])

    def _again(self, key: str) -> None:
        self.due.append(key)
        self.deadlines.set(key, 1.0)

    def test_stopped(self) -> None:
        """Then none is told of, and none can be set any more."""
        self.deadlines.set("a", 1.0)
        self.deadlines.stop()
        self.deadlines.set("b", 1.0)
        self.clock.advance(5.0)
        self.assertEqual((self.due, self.clock.getDelayedCalls()), ([], []))


class PortionTests(SynchronousTestCase):
    """How long something may take in one turn."""

    def test_over(self) -> None:
        """A portion is over after its time, and there is another in the next turn."""
        clock = Clock()
        portion = Portion(clock)
        self.assertFalse(portion.is_over)
        clock.advance(PORTION_S)
        self.assertTrue(portion.is_over)
        begun = portion.next()
        self.assertNoResult(begun)
        clock.advance(0.0)
        self.successResultOf(begun)
        self.assertFalse(portion.is_over)


class TimerTests(SynchronousTestCase):
    """When it calls."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.called: list[float] = []
        self.timer = Timer(self.clock, lambda: self.called.append(self.clock.seconds()))

    def scheduled(self) -> list[float]:
        """The times of the reactor's calls."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def test_once(self) -> None:
        """It calls at the time that was set last, once, and has one call scheduled at most."""
        for due in (5.0, 3.0, 3.0, 4.0):
            self.timer.set(due)
            self.assertEqual(len(self.scheduled()), 1)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.called, [4.0])

    def test_later(self) -> None:
        """A later time moves no call: it comes early, tells nobody, and waits for the rest."""
        self.timer.set(2.0)
        self.timer.set(5.0)
        self.assertEqual(self.scheduled(), [2.0])
        self.clock.advance(2.0)
        self.assertEqual((self.called, self.scheduled()), ([], [5.0]))
        self.clock.advance(3.0)
        self.assertEqual(self.called, [5.0])

    def test_sooner(self) -> None:
        """A sooner time takes the place of the call that is scheduled."""
        self.timer.set(5.0)
        self.timer.set(2.0)
        self.assertEqual(self.scheduled(), [2.0])

    def test_passed(self) -> None:
        """A time that has passed is due in the next turn."""
        self.clock.advance(5.0)
        self.timer.set(2.0)
        self.assertEqual(self.called, [])
        self.clock.advance(0.0)
        self.assertEqual(self.called, [5.0])

    def test_never(self) -> None:
        """Set to never it does not call, and can be set again."""
        self.timer.set(1.0)
        self.timer.set(None)
        self.assertEqual(self.scheduled(), [])
        self.timer.set(1.0)
        self.clock.advance(2.0)
        self.timer.set(1.0)
        self.clock.advance(0.0)
        self.assertEqual(self.called, [2.0, 2.0])

    def test_set_by_whom_it_calls(self) -> None:
        """Whoever is called can set it again, to the same time too."""

        def on_due() -> None:
            self.called.append(self.clock.seconds())
            if len(self.called) < 3:
                timer.set(1.0)

        timer = Timer(self.clock, on_due)
        timer.set(1.0)
        self.clock.advance(1.0)
        self.assertEqual((self.called, self.scheduled()), ([1.0] * 3, []))

    def test_other_clock(self) -> None:
        """Times can be those of another clock than the one that waits."""
        timer = Timer(self.clock, lambda: self.called.append(1.0), lambda: self.clock.seconds() + 1000.0)
        timer.set(1002.0)
        self.assertEqual(self.scheduled(), [2.0])

    def test_stopped(self) -> None:
        """Stopped it leaves nothing scheduled, cannot be set again, and has forgotten whom it called."""
        self.addCleanup(gc.enable)
        gc.disable()
        owner = Owner()
        gone, timer = weakref.ref(owner), owner.timer
        timer.stop()
        del owner
        self.assertIsNone(gone())
        timer.set(1.0)
        self.clock.advance(2.0)
        self.assertEqual((self.called, self.scheduled()), ([], []))


class WaitsTests(SynchronousTestCase):
    """Answers that have the same time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.waits = Waits(self.clock, 10.0, 3)

    def ask(self, source: str = "192.0.2.7") -> Deferred[str]:
        """An answer that is waited for."""
        return self.waits.add(Deferred(), (source,))

    def test_late(self) -> None:
        """Each is cancelled when its time is over, by one call of the reactor at a time."""
        first = self.ask()
        self.clock.advance(4.0)
        second = self.ask()
        self.assertEqual((len(self.waits), len(self.clock.getDelayedCalls())), (2, 1))
        self.clock.advance(6.0)
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.clock.advance(4.0)
        self.failureResultOf(second, CancelledError)
        self.assertEqual((len(self.waits), self.clock.getDelayedCalls()), (0, []))

    def test_answered(self) -> None:
        """One that is there in time is passed on, and is not waited for when callbacks see it."""
        seen = []
        answer = self.ask()
        answer.addCallback(lambda found: seen.append((found, len(self.waits))))
        answer.callback("here")
        self.assertEqual((seen, self.clock.getDelayedCalls()), ([("here", 0)], []))

    def test_there_already(self) -> None:
        """One that is there needs no time."""
        self.assertEqual(self.successResultOf(self.waits.add(succeed("here"), ("192.0.2.7",))), "here")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_given_up(self) -> None:
        """All can be given up before."""
        answers = [self.ask() for _ in range(3)]
        self.waits.cancel_all()
        for answer in answers:
            self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_crowded(self) -> None:
        """For one too many the oldest of whoever has most is given up; one that was answered has no place."""
        first = self.ask("192.0.2.1")
        others = [self.ask() for _ in range(3)]
        self.failureResultOf(others[0], CancelledError)
        others[1].callback("here")
        waiting = [first, others[2], self.ask()]
        for each in waiting:
            self.assertNoResult(each)
        self.assertEqual(len(self.waits), 3)
        self.waits.cancel_all()
        for each in waiting:
            self.failureResultOf(each, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
