"""Tests for calls that block."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit import blocking
from relaykit.blocking import BlockingCall, OneThread, ThreadBusy, call_in_thread


class _Threads:
    """What makes threads; they run when the test wants."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def Thread(self, target: Any, name: str, daemon: bool) -> Any:
        """A thread, which does not keep the program alive."""
        assert daemon, name
        self.made.append(target)
        return self

    def start(self) -> None:
        """Starts nothing yet."""


class CallInThreadTests(SynchronousTestCase):
    """Tests for :func:`call_in_thread`."""

    def test_calls(self) -> None:
        """What blocks runs in a thread that the program's end does not wait for; so does what fails."""
        reactor: Any = Clock()
        reactor.callFromThread = lambda function, *arguments: function(*arguments)
        threads = _Threads()
        self.patch(blocking, "threading", threads)
        found, failed, given_up = (
            call_in_thread(reactor, function) for function in (lambda: 5, lambda: 1 / 0, lambda: 7)
        )
        self.assertNoResult(found)
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        for run in threads.made:
            run()
        self.assertEqual(self.successResultOf(found), 5)
        self.failureResultOf(failed, ZeroDivisionError)


class BlockingCallTests(SynchronousTestCase):
    """Tests for :class:`BlockingCall`."""

    def test_deadline(self) -> None:
        """What never ends is given up, and keeps the only thread; once it has ended there is one again."""
        reactor: Any = Clock()
        reactor.callFromThread = lambda function, *arguments: function(*arguments)
        threads = _Threads()
        self.patch(blocking, "threading", threads)
        call = BlockingCall(reactor, 5.0)
        late = call(lambda: 1)
        self.failureResultOf(call(lambda: 2), DeadlinePassed)
        reactor.advance(5.0)
        self.failureResultOf(late, DeadlinePassed)
        self.failureResultOf(call(lambda: 3), DeadlinePassed)
        (run,) = threads.made
        run()
        again = call(lambda: 4)
        threads.made[1]()
        self.assertEqual(self.successResultOf(again), 4)


class OneThreadTests(SynchronousTestCase):
    """Tests for :class:`OneThread`."""

    def setUp(self) -> None:
        self.threads = _Threads()
        self.patch(blocking, "threading", self.threads)
        reactor: Any = Clock()
        reactor.callFromThread = lambda function, *arguments: function(*arguments)
        self.thread = OneThread(reactor, 3, "for a test")

    def test_in_turn(self) -> None:
        """Calls are made one after the other by one thread, which begins with the first one."""
        self.assertEqual(self.threads.made, [])
        made: list[int] = []
        first = self.thread.call(lambda: made.append(1))
        failed = self.thread.call(lambda: 1 // 0)
        third = self.thread.call(lambda: made.append(3))
        self.assertNoResult(first)
        ended = self.thread.end()
        (run,) = self.threads.made
        run()
        self.assertEqual(made, [1, 3])
        for each in (first, third, ended):
            self.assertIsNone(self.successResultOf(each))
        self.failureResultOf(failed, ZeroDivisionError)

    def test_bounded(self) -> None:
        """No more calls wait than may, those included that nobody waits for any more; the end has room."""
        calls = [self.thread.call(lambda: 7) for _ in range(3)]
        self.assertTrue(self.thread.is_busy)
        self.failureResultOf(self.thread.call(lambda: 7), ThreadBusy)
        calls[0].cancel()
        self.failureResultOf(calls[0], CancelledError)
        self.failureResultOf(self.thread.call(lambda: 7), ThreadBusy)
        ended = self.thread.end()
        self.threads.made[0]()
        self.assertEqual([self.successResultOf(each) for each in calls[1:]], [7, 7])
        self.assertIsNone(self.successResultOf(ended))
        self.assertFalse(self.thread.is_busy)

    def test_again(self) -> None:
        """After its end another thread begins with the next call."""
        self.assertIsNone(self.successResultOf(self.thread.end()))
        self.thread.call(lambda: 4)
        self.thread.end()
        again = self.thread.call(lambda: 5)
        self.thread.end()
        self.assertEqual(len(self.threads.made), 2)
        for run in self.threads.made:
            run()
        self.assertEqual(self.successResultOf(again), 5)
