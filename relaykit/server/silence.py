"""Whether a client is alive, asked when another one wants what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["SILENCE_S", "SignOfLife"]

SILENCE_S = 3.0
"""Seconds that a client has to give a sign of life; who asks waits so long, and an answer to a login
may take ten."""

LATE_S = 1.0
"""A deadline that comes so much too late was held up on this side, and what the client said meanwhile
waits to be read: it gets its time once more."""


class SignOfLife:
    """Waits for the next sign of life of one client, for as many as want to know.

    ``ask()`` does what makes a live client say something.  Whoever hears the client calls :meth:`heard`.
    """

    def __init__(self, ask: Callable[[], None], clock: IReactorTime) -> None:
        self._ask = ask
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._due = 0.0
        self._over = False
        self._waiting: list[Deferred[bool]] = []

    def awaited(self) -> Deferred[bool]:
        """Asks; fires with whether the client gave a sign of life within :data:`SILENCE_S`."""
        if self._over:
            return succeed(False)
        waiting: Deferred[bool] = Deferred()
        self._waiting.append(waiting)
        if self._timer is None:
            self._wait()
            self._ask()
        return waiting

    def heard(self) -> None:
        """The client said something."""
        if self._waiting:
            self._answer(True)

    def lost(self) -> None:
        """The client is gone: there will be no sign of life any more."""
        self._over = True
        self._answer(False)

    def _wait(self) -> None:
        self._due = self._clock.seconds() + SILENCE_S
        self._timer = self._clock.callLater(SILENCE_S, self._silent)

    def _silent(self) -> None:
        if self._clock.seconds() - self._due > LATE_S:
            self._wait()
            return
        self._timer = None
        self._answer(False)

    def _answer(self, alive: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(alive)
