"""The costly steps of TLS handshakes at the end that is connected to: few in a turn, and sources take turns.

A stranger needs nothing for such a step but a hello that it has recorded.  In between users are served.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import ITurns
    from relaykit.sansio.sources import Source

__all__ = ["STEPS_AT_ONCE", "Handshakes"]

STEPS_AT_ONCE = 8
"""Steps of handshakes in one turn: some 4 ms of the processor.  The others come in the next turns: one of
each source, of IPv6 of each /56, after the other."""


class Handshakes:
    """Takes steps: at once, or when it is their turn.

    A step answers whether it cost anything: one whose connection has gone meanwhile does not count.
    """

    def __init__(self, turns: ITurns, clock: IReactorTime) -> None:
        self._turns = turns
        self._clock = clock
        self._taken = 0
        self._waiting: OrderedDict[str, deque[Callable[[], bool]]] = OrderedDict()
        self._is_scheduled = False

    def take(self, step: Callable[[], bool], source: Source) -> None:
        """Takes a step in this turn, if there is room for it and nobody waits, or in one of the next."""
        if not self._waiting and self._may_go_on():
            self._taken += step()
            return
        waiting = self._waiting.get(source[0])
        if waiting is None:
            waiting = self._waiting[source[0]] = deque()
        waiting.append(step)

    def _may_go_on(self) -> bool:
        if not self._taken:
            self._turns.at_turn_end(self._turn_ended)
        return self._taken < STEPS_AT_ONCE

    def _turn_ended(self) -> None:
        self._taken = 0
        if self._waiting and not self._is_scheduled:
            # Not before the reactor has looked at everything else.
            self._is_scheduled = True
            self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._is_scheduled = False
        while self._waiting and self._may_go_on():
            name, waiting = self._waiting.popitem(last=False)
            step = waiting.popleft()
            if waiting:
                self._waiting[name] = waiting
            self._taken += step()
