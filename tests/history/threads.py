"""Threads of tests: what they do is done at once, or when the test says so."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from relaykit.blocking import OneThread

__all__ = ["ThreadAtOnce", "clock_of_threads"]


class ThreadAtOnce(OneThread):
    """Makes calls at once, unless it is made to wait."""

    is_hanging = False

    def _call(self, function: Any) -> Deferred[Any]:
        if self.is_hanging:
            self._waiting += 1
            return Deferred()
        return execute(function)

    def end(self) -> Deferred[None]:
        return self._call(lambda: None)


def clock_of_threads() -> Any:
    """A clock that threads can call."""
    clock: Any = Clock()
    clock.callFromThread = lambda function, *arguments: function(*arguments)
    return clock
