"""Two legs that are connected within this process: one for who has a user, one for what serves it.

Bytes go straight from the writer of one to the receiver of the other, by calls: there is no socket between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from zope.interface import implementer

from relaykit.dataplane.legs import StreamLeg
from relaykit.dataplane.sockets import FLUSH_LINGER_S
from relaykit.interfaces import IInnerLeg
from relaykit.values import LOST_LINGER_S, Ended, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["CAPACITY_BYTES", "PairLeg", "leg_pair"]

CAPACITY_BYTES: Final = 64 * 1024
"""Bytes that wait for a receiver at which their writer is paused: one piece, as sockets are read."""


def leg_pair(poller: Poller, origin: Origin) -> tuple[PairLeg, PairLeg]:
    """Two legs that are connected: that to a service, and the service's own, whose peer is the user."""
    near, far = PairLeg(poller, Origin()), PairLeg(poller, origin)
    near.other, far.other = far, near
    return near, far


@implementer(IInnerLeg)
class PairLeg(StreamLeg):
    """One end of a pair; see :func:`leg_pair`."""

    __slots__ = (
        "_closing",
        "_delivers",
        "_end_sent",
        "_finishing",
        "_gone",
        "_linger",
        "_poller",
        "_queue",
        "_queued",
        "other",
    )

    def __init__(self, poller: Poller, origin: Origin) -> None:
        super().__init__(origin.source, origin.destination)
        self.other = self
        self._poller = poller
        self._queue: list[Buffer] = []
        self._queued = 0
        self._finishing = self._end_sent = self._closing = False
        self._delivers = False
        """Whether what this end writes is being delivered: what is written back meanwhile must wait."""
        self._gone: Ended | None = None
        self._linger: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<PairLeg of {self.peer or self.other.peer}>"

    @property
    def turns(self) -> ITurns:
        return self._poller

    def write(self, data: Buffer) -> None:
        size = len(data)
        if self._finishing or not size:
            return
        other = self.other
        if other._flowing and not (self._queue or self._delivers or other._delivers):
            self._deliver_to(other, data)
            return
        self._queue.append(data if type(data) is bytes else bytes(data))
        self._queued += size
        if self._queued >= CAPACITY_BYTES:
            self._output_full()
        self._poller.at_turn_end(self._move)

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._poller.at_turn_end(self._move)

    def close(self) -> None:
        self._end_within(FLUSH_LINGER_S)

    def break_off(self) -> None:
        self._end_within(LOST_LINGER_S)

    def abort(self) -> None:
        self._silence()
        self._go(Ended.CANCELLED)
        self.other._go(Ended.RESET)

    # --- inside ---------------------------------------------------------------------------------

    def _reading_wanted(self, wanted: bool) -> None:
        if wanted and self.other._queue:
            self._poller.at_turn_end(self.other._move)

    def _deliver_to(self, other: PairLeg, data: Buffer) -> None:
        self._delivers = True
        try:
            other._arrived(data)
        finally:
            self._delivers = False

    def _move(self) -> None:
        """Delivers what the other end takes, and then the end."""
        other = self.other
        if self._queue and (other._reading or other._silent):
            data = b"".join(self._queue)
            self._drop_queue()
            self._deliver_to(other, data)
            self._output_drained()
        if self._queue:
            return
        if self._finishing and not self._end_sent and self._gone is None:
            self._end_sent = True
            other._ended()
        if self._end_sent and (self._closing or other._end_sent):
            # Whoever still writes to an end that was closed has nobody to write to.
            self._go(Ended.FINISHED)
            other._go(Ended.FINISHED if other._end_sent else Ended.RESET)

    def _end_within(self, seconds: float) -> None:
        self._silence()
        if self._gone is not None:
            return
        self._finishing = self._closing = True
        self._poller.at_turn_end(self._move)
        if self._queue:
            self._set_linger(seconds)

    def _set_linger(self, seconds: float) -> None:
        reactor = self._poller.reactor
        if self._linger is None:
            self._linger = reactor.callLater(seconds, self._linger_over)
        elif self._linger.getTime() > reactor.seconds() + seconds:
            self._linger.reset(seconds)

    def _linger_over(self) -> None:
        self._linger = None
        self._go(Ended.TIMEOUT)
        self.other._go(Ended.RESET)

    def _go(self, reason: Ended) -> None:
        """Notes why this end is gone, and tells it when the turn ends."""
        if self._gone is None:
            self._gone = reason
            self._finishing = True
            self._drop_queue()
            if self._linger is not None:
                self._linger.cancel()
                self._linger = None
            self._poller.at_turn_end(self._tell_loss)

    def _tell_loss(self) -> None:
        self._lost(self._gone or Ended.RESET)

    def _drop_queue(self) -> None:
        self._queue, self._queued = [], 0
