"""Calls that may block for as long as they like: a dead name server's, or those for files that are pipes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["call_in_thread"]

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
