"""Tests for the one clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit import clock
from relaykit.clock import MonotonicReactor, monotonic, tick_monotonically

HOUR_S = 3600.0


class WallReactor(EPollReactor):
    """A real reactor that is not installed, whose time of day can be set."""

    def __init__(self) -> None:
        self.day = 1_000_000_000.0
        super().__init__()

    def seconds(self) -> float:
        return self.day


class TickingTests(SynchronousTestCase):
    """Tests for reactors of our own."""

    def setUp(self) -> None:
        """Makes a reactor whose wall clock and monotonic clock can be moved apart."""
        self.day, self.now = 1_000_000_000.0, 50.0
        self.patch(clock, "seconds_of_day", self.tell_day)
        self.patch(time, "monotonic", lambda: self.now)
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.reactor.seconds = self.tell_day
        self.made: list[str] = []

    def tell_day(self) -> float:
        """The time of day."""
        return self.day

    def test_told(self) -> None:
        """Whoever asks the reactor for the time is told the monotonic one, and so are delayed calls."""
        self.assertTrue(tick_monotonically(self.reactor))
        self.assertEqual(self.reactor.seconds(), 50.0)
        call = self.reactor.callLater(10.0, self.made.append, "late")
        self.assertEqual(call.getTime(), 60.0)
        call.reset(20.0)
        self.assertEqual(call.getTime(), 70.0)

    def test_step_forwards(self) -> None:
        """An hour that the wall clock skips brings no call nearer."""
        tick_monotonically(self.reactor)
        self.reactor.callLater(10.0, self.made.append, "late")
        self.day += HOUR_S
        self.reactor.runUntilCurrent()
        self.assertEqual((self.made, self.reactor.timeout()), ([], 10.0))

    def test_step_backwards(self) -> None:
        """An hour that the wall clock repeats delays no call, nor does the reactor sleep through it."""
        tick_monotonically(self.reactor)
        self.reactor.callLater(10.0, self.made.append, "late")
        self.day -= HOUR_S
        self.assertEqual(self.reactor.timeout(), 10.0)
        self.now += 10.0
        self.reactor.runUntilCurrent()
        self.assertEqual(self.made, ["late"])

    def test_step_without(self) -> None:
        """What is the matter with the time of day: a step takes every delayed call with it."""
        self.reactor.callLater(10.0, self.made.append, "late")
        self.day -= HOUR_S
        self.assertEqual(self.reactor.timeout(), 10.0 + HOUR_S)

    def test_too_late(self) -> None:
        """Where calls are scheduled already, a reactor is left alone."""
        self.reactor.callLater(10.0, self.made.append, "late")
        self.assertFalse(tick_monotonically(self.reactor))
        self.assertEqual(self.reactor.seconds(), self.day)

    def test_twice(self) -> None:
        """Doing it again changes nothing, whatever is scheduled."""
        tick_monotonically(self.reactor)
        self.reactor.callLater(10.0, self.made.append, "late")
        self.assertTrue(tick_monotonically(self.reactor))


class ChoosingTests(SynchronousTestCase):
    """Tests for :func:`monotonic`."""

    def test_clocks_of_tests(self) -> None:
        """What does not go by the time of day is used as it is."""
        for reactor in (Clock(), MemoryReactorClock()):
            self.assertIs(monotonic(reactor), reactor)

    def test_own_reactor(self) -> None:
        """Nor is anything put beside a reactor that ticks monotonically."""
        reactor = EPollReactor()
        self.addCleanup(reactor._poller.close)
        self.assertEqual(reactor.seconds, runtime.seconds)
        tick_monotonically(reactor)
        self.assertIs(monotonic(reactor), reactor)

    def test_foreign_reactor(self) -> None:
        """A reactor that goes by the time of day gets a clock beside it, and stays as it is."""
        reactor = EPollReactor()
        self.addCleanup(reactor._poller.close)
        beside = monotonic(reactor)
        self.assertIsInstance(beside, MonotonicReactor)
        self.assertEqual(reactor.seconds, runtime.seconds)
        verifyObject(IReactorTime, beside)
        self.assertTrue(IReactorTCP.providedBy(beside))
        self.assertEqual(beside.addReader, reactor.addReader)


class Thread:
    """The thread of a reactor: what is called from other threads waits to be done."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._changed = threading.Condition()

    def callFromThread(self, call: Callable[[], None]) -> None:
        """Takes a call from another thread."""
        with self._changed:
            self._calls.append(call)
            self._changed.notify()

    def turn(self) -> None:
        """Waits for calls and makes them."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._calls, 30.0):
                raise AssertionError("nothing was called")
            calls, self._calls = self._calls, []
        for call in calls:
            call()


class BesideTests(SynchronousTestCase):
    """Tests for :class:`MonotonicReactor`."""

    def setUp(self) -> None:
        """Makes a clock beside a reactor."""
        self.now = 100.0
        self.thread = Thread()
        self.clock: Any = MonotonicReactor(self.thread, lambda: self.now)
        self.made: list[object] = []

    def pass_time(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
        self.clock.run_due()

    def test_order(self) -> None:
        """Calls are made when their time has come, the earliest first."""
        for delay in (3.0, 1.0, 2.0):
            self.clock.callLater(delay, self.made.append, delay)
        self.pass_time(0.5)
        self.assertEqual(self.made, [])
        self.pass_time(1.6)
        self.assertEqual(self.made, [1.0, 2.0])
        self.pass_time(1.0)
        self.assertEqual(self.made, [1.0, 2.0, 3.0])

    def test_moved(self) -> None:
        """A call can be made earlier, later, and not at all."""
        first = self.clock.callLater(10.0, self.made.append, "first")
        second = self.clock.callLater(1.0, self.made.append, "second")
        third = self.clock.callLater(1.0, self.made.append, "third")
        first.reset(2.0)
        second.delay(5.0)
        third.cancel()
        self.pass_time(3.0)
        self.assertEqual(self.made, ["first"])
        self.assertEqual(self.clock.getDelayedCalls(), [second])
        self.pass_time(3.0)
        self.assertEqual(self.made, ["first", "second"])

    def test_cancelled_are_not_kept(self) -> None:
        """Deadlines that are kept in time, one after the other, take no memory."""
        for _ in range(10_000):
            self.clock.callLater(1000.0, self.made.append, 0).cancel()
        self.assertLess(len(self.clock._calls), 200)

    def test_at_once(self) -> None:
        """What is due at once is made in the reactor's next turn, not within the call; no thread waits."""
        threads = set(threading.enumerate())
        self.clock.callLater(0, self.made.append, 1)
        self.clock.callLater(0, self.made.append, 2)
        self.assertEqual((self.made, set(threading.enumerate()) - threads), ([], set()))
        self.thread.turn()
        self.assertEqual(self.made, [1, 2])

    def test_again_and_again(self) -> None:
        """A call that schedules itself for at once lets the reactor do other things in between."""

        def again() -> None:
            self.made.append(len(self.made))
            self.clock.callLater(0, again)

        self.clock.callLater(0, again)
        self.thread.turn()
        self.thread.turn()
        self.assertEqual(self.made, [0, 1])

    def test_failing_call(self) -> None:
        """A call that fails does not keep the next one from being made."""
        self.clock.callLater(1.0, lambda: 1 / 0)
        self.clock.callLater(1.0, self.made.append, "next")
        self.pass_time(2.0)
        self.assertEqual(self.made, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_past(self) -> None:
        """Nothing can be done in the past."""
        self.assertRaises(ValueError, self.clock.callLater, -1.0, self.made.append, 0)


class AlarmTests(SynchronousTestCase):
    """Tests for :class:`MonotonicReactor` with the thread that waits."""

    def test_wakes_the_reactor(self) -> None:
        """The reactor's thread is woken when a call is due, though the reactor waits for nothing."""
        thread = Thread()
        made: list[int] = []
        beside: Any = MonotonicReactor(thread)
        later = beside.callLater(HOUR_S, made.append, 2)
        beside.callLater(0.01, made.append, 1)
        while not made:
            thread.turn()
        self.assertEqual(made, [1])
        later.cancel()

    def test_step_of_the_wall_clock(self) -> None:
        """A reactor that would sleep for an hour, because the day is an hour younger, is woken in time."""
        reactor = WallReactor()
        self.addCleanup(reactor._poller.close)
        beside: Any = MonotonicReactor(reactor)
        made: list[float] = []
        began = time.monotonic()

        def make() -> None:
            made.append(time.monotonic() - began)
            reactor.stop()

        def step() -> None:
            reactor.day -= HOUR_S
            beside.callLater(0.05, make)
            reactor.callLater(0.0, lambda: None)

        reactor.callWhenRunning(step)
        reactor.run(installSignalHandlers=False)
        self.assertGreaterEqual(made[0], 0.05)
        self.assertLess(made[0], HOUR_S / 2)
