"""Pipes: two legs in one process, each of which is the peer of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.values import LOST_LINGER_S, Address, Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["CAPACITY_BYTES", "PipeLeg"]

CAPACITY_BYTES = 64 * 1024
"""Bytes on their way in one direction at which the writer is paused: one piece of a socket."""


class PipeLeg(StreamLeg):
    """One end of a pipe; see :meth:`pair`.

    Bytes move at the end of a turn, so that neither end is called within a call of the other.
    """

    __slots__ = (
        "_breaking_off",
        "_closing",
        "_end_sent",
        "_finishing",
        "_gone",
        "_linger",
        "_other",
        "_poller",
        "_queue",
        "_queued",
    )

    def __init__(self, poller: Poller, peer: Address | None, host: Address | None) -> None:
        super().__init__(peer, host)
        self._poller = poller
        self._other: PipeLeg = self
        self._queue: list[Buffer] = []
        self._queued = 0
        self._finishing = self._end_sent = self._closing = self._breaking_off = False
        self._gone: Ended | None = None
        self._linger: IDelayedCall | None = None

    @classmethod
    def pair(
        cls, poller: Poller, here: Address | None = None, there: Address | None = None
    ) -> tuple[Self, Self]:
        """Two legs that are connected: that of who is ``here``, and that of who is ``there``."""
        near, far = cls(poller, there, here), cls(poller, here, there)
        near._other, far._other = far, near
        return near, far

    def __repr__(self) -> str:
        return f"<PipeLeg of {self.host}>"

    @property
    def turns(self) -> ITurns:
        return self._poller

    def write(self, data: Buffer) -> None:
        if self._finishing or self._gone is not None or not len(data):
            return
        self._queue.append(data if type(data) is bytes else bytes(data))
        self._queued += len(data)
        self._move_soon()
        if self._queued >= CAPACITY_BYTES:
            self._output_full()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._move_soon()

    def close(self) -> None:
        self._silence()
        if self._gone is None and not self._closing:
            self._finishing = self._closing = True
            self._linger = self._poller.reactor.callLater(FLUSH_LINGER_S, self._linger_over)
            self._move_soon()
            self._other._move_soon()

    def break_off(self) -> None:
        self._breaking_off = True
        self.close()
        if self._linger is not None:
            self._linger.reset(LOST_LINGER_S)

    def abort(self) -> None:
        self._silence()
        self._go(Ended.CANCELLED)
        self._other._go(Ended.RESET)

    # --- inside -----------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted:
            self._other._move_soon()

    def _move_soon(self) -> None:
        self._poller.at_turn_end(self._move)

    def _move(self) -> None:
        """Gives the other end what it takes, then the end of it, and tells what is over."""
        if self._gone is not None:
            # Both would else be a reference cycle, with all that their receivers hold.
            self._other = self
            self._lost(self._gone)
            return
        other = self._other
        if self._queue and (other._reading or other._silent or other._gone is not None):
            queue, self._queue, self._queued = self._queue, [], 0
            for piece in queue if other._gone is None else ():
                other._arrived(piece)
            self._output_drained()
        if self._finishing and not self._end_sent and not self._queue:
            self._end_sent = True
            if other._gone is None:
                other._ended()
            other._settle()
        self._settle()

    def _settle(self) -> None:
        """Notes that both directions have ended, or that nobody here waits for the other one."""
        done = self._other._end_sent or (self._closing and not self._breaking_off)
        if self._end_sent and done:
            self._go(Ended.FINISHED)

    def _linger_over(self) -> None:
        self._linger = None
        self._go(Ended.FINISHED if self._end_sent else Ended.TIMEOUT)
        self._other._go(Ended.RESET)

    def _go(self, reason: Ended) -> None:
        if self._gone is not None:
            return
        self._gone = reason
        self._queue, self._queued = [], 0
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._move_soon()
