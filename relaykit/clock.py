"""The one clock: seconds that no step of the wall clock moves.

Twisted's reactors go by the time of day.  When that is set, by hand or by whoever keeps it right, every
delayed call comes too early or too late: sessions are given up that are alive, or dead ones are not
noticed.  All that relaykit waits for is on the monotonic clock instead.  Where a reactor belongs to
relaykit, :func:`tick_monotonically` turns it over to that clock; where it belongs to another program,
:func:`monotonic` puts a clock beside it.  Either stands still while the machine is suspended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.runtime import seconds as seconds_of_day
from zope.interface import directlyProvides, implementer, providedBy

__all__ = ["MonotonicReactor", "monotonic", "tick_monotonically"]

IDLE_S = 60.0
"""Seconds without anything to wait for after which the thread that waits ends."""

_MOST_CANCELLED = 64
"""Cancelled calls that are kept until their time comes; more than that, and more than half, are removed."""


def tick_monotonically(reactor: Any) -> bool:
    """Makes a reactor tell and keep monotonic time; for the programs that run it themselves.

    Everything that asks ``reactor.seconds()`` gets that time, too.  Whether it could be done: where calls
    are scheduled already, by the time of day, nothing is changed.
    """
    if reactor.seconds == seconds_of_day:
        if reactor.getDelayedCalls():
            return False
        reactor.seconds = time.monotonic
    return True


def monotonic(reactor: Any) -> Any:
    """The reactor with monotonic time: itself, unless its time is the time of day."""
    return MonotonicReactor(reactor) if reactor.seconds == seconds_of_day else reactor


@implementer(IReactorTime)
class MonotonicReactor:
    """A reactor whose delayed calls keep monotonic time; in all else it is the one that it is made of.

    A thread waits for the next call, because the reactor itself could sleep through it.  The calls are
    made in the reactor's thread, as always.
    """

    log = Logger()

    def __init__(self, reactor: Any, seconds: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._calls: list[DelayedCall] = []
        self._cancelled = 0
        self._rung = False
        self._alarm = _Alarm(self._ring, seconds)
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def seconds(self) -> float:
        return self._seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> DelayedCall:
        if delay < 0:
            raise ValueError(f"a call cannot be made {-delay} s ago")
        at = self._seconds() + delay
        call = DelayedCall(at, callable, args, kw, self._call_cancelled, self._call_sooner, self._seconds)
        heappush(self._calls, call)
        self._wait()
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        return [call for call in self._calls if call.active()]

    def run_due(self) -> None:
        """Makes the calls whose time has come; in the reactor's thread."""
        self._rung = False
        now = self._seconds()
        due = []
        while self._calls and self._calls[0].time <= now:
            due.append(heappop(self._calls))
        # What these schedule for at once is for the next time, so that the reactor does other things, too.
        for call in due:
            if call.cancelled:
                self._cancelled -= 1
            elif call.delayed_time > 0.0:
                call.activate_delay()
                heappush(self._calls, call)
            else:
                call.called = 1
                with self.log.failuresHandled("a delayed call failed"):
                    call.func(*call.args, **call.kw)
        self._wait()

    def _wait(self) -> None:
        if not self._calls:
            return
        at = self._calls[0].time
        if at > self._seconds():
            self._alarm.set(at)
        elif not self._rung:
            # What is due at once needs no thread to wait for it.
            self._rung = True
            self._ring()

    def _ring(self) -> None:
        self._reactor.callFromThread(self.run_due)

    def _call_cancelled(self, call: DelayedCall) -> None:
        self._cancelled += 1
        if self._cancelled > _MOST_CANCELLED and self._cancelled * 2 > len(self._calls):
            self._calls[:] = [each for each in self._calls if not each.cancelled]
            heapify(self._calls)
            self._cancelled = 0

    def _call_sooner(self, call: DelayedCall) -> None:
        heapify(self._calls)
        self._wait()


class _Alarm:
    """Calls ``ring`` in a thread of its own when the time that was set last has come."""

    def __init__(self, ring: Callable[[], None], seconds: Callable[[], float]) -> None:
        self._ring = ring
        self._seconds = seconds
        self._changed = threading.Condition()
        self._at: float | None = None
        self._running = False

    def set(self, at: float) -> None:
        """Names the time.  A later one than before is left to a ring that is too early."""
        with self._changed:
            if self._at is not None and self._at <= at:
                return
            self._at = at
            if self._running:
                self._changed.notify()
            else:
                self._running = True
                threading.Thread(target=self._run, name="relaykit clock", daemon=True).start()

    def _run(self) -> None:
        with self._changed:
            while True:
                if self._at is None:
                    if not self._changed.wait(IDLE_S) and self._at is None:
                        self._running = False
                        return
                    continue
                left_s = self._at - self._seconds()
                if left_s > 0:
                    self._changed.wait(left_s)
                else:
                    self._at = None
                    self._ring()
