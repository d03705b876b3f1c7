"""Calls that may block for as long as they like: a dead name server's, or those for a disk that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.python.failure import Failure

__all__ = ["BlockingCall", "OneThread", "ThreadBusy", "call_in_thread"]

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


_Calls: TypeAlias = "SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None]"


class ThreadBusy(Exception):
    """As many calls wait for a thread as may."""


class OneThread:
    """A thread that makes calls one after the other; the end of the program waits for none of them.

    It begins with the first call, and with the first one after :meth:`end`.

    :param reactor: an IReactorFromThreads.
    :param most: calls that may wait for their turn, the one that is made included.
    """

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        self._reactor = reactor
        self._most = most
        self._name = name
        self._waiting = 0
        self._calls: _Calls | None = None

    @property
    def is_busy(self) -> bool:
        """Whether one more call would fail."""
        return self._waiting >= self._most

    def call(self, function: Callable[[], ResultT]) -> Deferred[ResultT]:
        """Makes a call in its turn; fails with :class:`ThreadBusy`.  Cancelling gives up waiting."""
        return fail(ThreadBusy()) if self.is_busy else self._call(function)

    def end(self) -> Deferred[None]:
        """Makes the calls that wait, and fires; then there is no thread any more."""
        calls = self._calls
        if calls is None:
            return succeed(None)
        ended = self._call(lambda: None)
        calls.put(None)
        self._calls = None
        return ended

    def _call(self, function: Callable[[], ResultT]) -> Deferred[ResultT]:
        calls = self._calls
        if calls is None:
            calls = self._calls = SimpleQueue()
            threading.Thread(target=lambda: self._run(calls), name=self._name, daemon=True).start()
        self._waiting += 1
        made: Deferred[ResultT] = Deferred()
        calls.put((function, made))
        return made

    def _run(self, calls: _Calls) -> None:
        while (call := calls.get()) is not None:
            function, made = call
            try:
                result = function()
            except BaseException:
                result = Failure()
            self._reactor.callFromThread(self._made, made, result)

    def _made(self, made: Deferred[Any], result: object) -> None:
        self._waiting -= 1
        made.callback(result)
