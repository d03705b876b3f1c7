"""Whether an SSH client lives: it is asked for a sign of life again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

__all__ = ["KEEP_ALIVE_S", "KeepAlive"]

KEEP_ALIVE_S = 30.0
"""Seconds between two signs of life that are asked for; frp's figure.  A client that has not given the last
one by then is dropped."""


class KeepAlive:
    """Asks one client.

    :param ping: has it say something; fires when it does.
    :param on_silent: is called once, where it has not.
    """

    def __init__(
        self, ping: Callable[[], Deferred[None]], clock: IReactorTime, on_silent: Callable[[], object]
    ) -> None:
        self._ping = ping
        self._clock = clock
        self._on_silent = on_silent
        self._is_due = False
        self._timer = Timer(clock, self._ask)

    def start(self) -> None:
        """Asks for the first time after a while."""
        self._timer.set(self._clock.seconds() + KEEP_ALIVE_S)

    def stop(self) -> None:
        """Asks no more."""
        self._timer.stop()

    def _ask(self) -> None:
        if self._is_due:
            self._on_silent()
            return
        self._is_due = True
        self._ping().addCallback(self._lives)
        self.start()

    def _lives(self, _: None) -> None:
        self._is_due = False
