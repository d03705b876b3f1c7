"""Calls that may block for as long as they like: a dead name server's, or those for files that are pipes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.python.failure import Failure

__all__ = ["BlockingCall", "call_in_thread"]

ResultT = TypeVar("ResultT")


def call_in_thread(reactor: Any, function: Callable[[], ResultT]) -> Deferred[ResultT]:
    """Runs what blocks, in a thread of its own; the end of the program waits for none of these.

    Cancelling gives up waiting; the thread goes on.

    :param reactor: an IReactorFromThreads.
    """
    found: Deferred[ResultT] = Deferred()

    def run() -> None:
        try:
            result: ResultT | Failure = function()
        except BaseException:
            result = Failure()
        reactor.callFromThread(found.callback, result)

    threading.Thread(target=run, name=f"for {function!r}", daemon=True).start()
    return found


class BlockingCall:
    """One call in a thread at a time, with a deadline: what never ends costs one thread, however often it is
    asked for.

    :param reactor: an IReactorFromThreads, and the time.
    :param seconds: that a call may take.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._is_busy = False
        """Whether there is a thread, which may be one that nobody waits for any more."""

    def __call__(self, function: Callable[[], ResultT]) -> Deferred[ResultT]:
        """Calls it, and fires with what it answers or raises.

        Fails with twisted's TimeoutError once the deadline has passed, and at once while a call is under way.
        """
        if self._is_busy:
            return fail(DeadlinePassed())
        self._is_busy = True

        def call() -> ResultT:
            try:
                return function()
            finally:
                self._is_busy = False

        return call_in_thread(self._reactor, call).addTimeout(self._seconds, self._reactor)
