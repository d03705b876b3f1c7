"""An answer without an end: parts are sent as they come, as long as they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = ["MOST_WAITING", "SIGN_S", "TAKEN_S", "StreamWriter"]

MOST_WAITING = 1000
"""Parts that wait for a reader who takes none; who leaves more waiting is dropped.  With what its connection
holds, some 400 KB."""

TAKEN_S = 10.0
"""Seconds within which a reader must take something of what waits."""

SIGN_S = 15.0
"""Seconds between two signs of life, by which a reader, and what is in between, knows that nothing came."""


@implementer(IPushProducer)
class StreamWriter:
    """Writes the parts of one answer; bounded in what waits, and for how long.

    :param write: takes a part.
    :param drop: lets the reader go, who is too slow.
    :param sign: what is a sign of life.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        drop: Callable[[], object],
        sign: bytes,
        clock: IReactorTime,
    ) -> None:
        self._write = write
        self._drop = drop
        self._sign = sign
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._is_paused = False
        self._timer = Timer(clock, self._on_time)

    def start(self) -> None:
        """Sends a first sign of life."""
        self._write(self._sign)
        self._wait(SIGN_S)

    def take(self, part: bytes) -> None:
        """Sends a part, as soon as the reader has taken those before it."""
        if not self._is_paused:
            self._write(part)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(part)
        else:
            self._drop()

    def pauseProducing(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._wait(TAKEN_S)

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._wait(SIGN_S)
        while self._waiting and not self._is_paused:
            self._write(self._waiting.popleft())

    def stopProducing(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Sends nothing more."""
        self._waiting.clear()
        self._timer.stop()

    def _on_time(self) -> None:
        if self._is_paused:
            self._drop()
        else:
            self.start()

    def _wait(self, seconds: float) -> None:
        self._timer.set(self._clock.seconds() + seconds)
