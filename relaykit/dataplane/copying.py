"""Forwarding by copying: for all legs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.interfaces import IMeasuringForwarder, IPiecesReceiver
from relaykit.values import Ended, Traffic

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer

__all__ = ["CopyForwarder", "Direction", "Flow", "moved_by"]


@implementer(IPiecesReceiver)
class Direction:
    """Takes what one leg delivers and writes it to the other."""

    __slots__ = ("_write", "ended", "far", "flow", "lost", "moved", "near")

    def __init__(self, flow: Flow, near: IStreamLeg, far: IStreamLeg) -> None:
        self.flow = flow
        self._write = far.write
        self.near = near
        self.far = far
        self.moved = 0
        self.ended = False
        self.lost: Ended | None = None

    def data_received(self, data: Buffer) -> None:
        self.moved += len(data)
        self._write(data)

    def pieces_received(self, pieces: Sequence[Buffer]) -> None:
        self.moved += sum(map(len, pieces))
        self.far.write_sequence(pieces)

    def end_received(self) -> None:
        self.ended = True
        self.flow.direction_ended(self)

    def leg_lost(self, reason: Ended) -> None:
        self.lost = reason
        self.flow.leg_lost(self)


class Flow:
    """Two legs that are being forwarded, until both are gone.

    ``near`` and ``far`` are the directions that begin at the near and at the far leg.  Each leg
    pauses the other one while its output is full, so at most a piece and the legs' own queues are
    held in each direction.  While it lasts it is in ``flows``.
    """

    __slots__ = ("_clock", "_done", "_ended", "_flows", "_half_close", "_since", "far", "near")

    def __init__(
        self,
        near: IStreamLeg,
        far: IStreamLeg,
        half_close: bool,
        clock: Callable[[], float],
        flows: set[Flow],
    ) -> None:
        self._clock = clock
        self._flows = flows
        self._since = clock()
        self._half_close = half_close
        self._ended: Ended | None = None
        self._done: Deferred[Traffic] = Deferred(self._cancelled)
        self.near = self._direction(near, far)
        self.far = self._direction(far, near)

    def start(self) -> Deferred[Traffic]:
        """Begins; fires when both legs are gone."""
        near, far = self.near.near, self.far.near
        near.registerProducer(far, True)
        far.registerProducer(near, True)
        done = self._done
        self._flows.add(self)
        near.attach(self.near)
        far.attach(self.far)
        return done

    def direction_ended(self, direction: Direction) -> None:
        """One leg will deliver no more."""
        if self._half_close:
            direction.far.finish_writing()
        else:
            self._end(Ended.FINISHED)

    def leg_lost(self, direction: Direction) -> None:
        """One leg is gone; the other follows once what it still has to send is sent."""
        lost = direction.lost
        if lost is not Ended.FINISHED:
            self._end(Ended.NEAR_LOST if direction is self.near else Ended.FAR_LOST)
        elif not direction.ended:
            self._end(Ended.FINISHED)
        if self.near.lost is not None and self.far.lost is not None:
            self._finished()

    def _direction(self, near: IStreamLeg, far: IStreamLeg) -> Direction:
        return Direction(self, near, far)

    def _end(self, why: Ended) -> None:
        if self._ended is None:
            self._ended = why
            self.near.near.close()
            self.far.near.close()

    def _finished(self) -> None:
        self._flows.discard(self)
        traffic = Traffic(
            near_to_far=self.near.moved,
            far_to_near=self.far.moved,
            seconds=max(0.0, self._clock() - self._since),
            ended=self._ended or Ended.FINISHED,
        )
        # Without this cycle a flow's memory is free at once, not when the collector next comes by.
        del self.near.flow, self.far.flow
        if not self._done.called:
            self._done.callback(traffic)

    def _cancelled(self, _done: Deferred[Traffic]) -> None:
        self._ended = Ended.CANCELLED
        self.near.near.abort()
        self.far.near.abort()


def moved_by(flows: Iterable[Flow]) -> tuple[int, int]:
    """Bytes that flows have moved so far: near to far, and far to near."""
    to_far = to_near = 0
    for flow in flows:
        to_far += flow.near.moved
        to_near += flow.far.moved
    return to_far, to_near


@implementer(IMeasuringForwarder)
class CopyForwarder:
    """Reads from one leg and writes to the other; serves any two legs.

    ``clock`` measures how long a flow lasts: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._flows: set[Flow] = set()

    def can_forward(self, near: IStreamLeg, far: IStreamLeg) -> bool:
        return True

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Deferred[Traffic]:
        return Flow(near, far, half_close, self._clock, self._flows).start()

    def moving(self) -> tuple[int, int]:
        return moved_by(self._flows)
