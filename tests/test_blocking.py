"""Tests for calls that block."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit import blocking
from relaykit.blocking import BlockingCall, call_in_thread


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
