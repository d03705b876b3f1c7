"""A flow of bytes between two legs: what each leg delivers, what its end or its loss means for the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.interfaces import IFlow, ILossReceiver, IPiecesReceiver
from relaykit.values import Ended, Traffic

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer

__all__ = ["Direction", "Ending", "Flow"]


class Ending:
    """The end of a flow, for whoever waits for it; what all flows extend."""

    __slots__ = ("_traffic", "_waiting")

    def __init__(self) -> None:
        self._traffic: Traffic | None = None
        self._waiting: list[Deferred[Traffic]] = []

    def when_ended(self) -> Deferred[Traffic]:
        """See :meth:`relaykit.interfaces.IFlow.when_ended`."""
        if self._traffic is not None:
            return succeed(self._traffic)
        waiting: Deferred[Traffic] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _tell_end(self, traffic: Traffic) -> None:
        self._traffic = traffic
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(traffic)


@implementer(IPiecesReceiver, ILossReceiver)
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

    def loss_noted(self, reason: Ended) -> None:
        # What the near leg holds is as much as its peer's window; how long the far leg keeps it is bounded.
        self.near.resumeProducing()

    def leg_lost(self, reason: Ended) -> None:
        self.lost = reason
        self.flow.leg_lost(self)


@implementer(IFlow)
class Flow(Ending):
    """Two legs that are being forwarded, until both are gone.

    ``near`` and ``far`` are the directions that begin at the near and at the far leg.  Each leg
    pauses the other one while its output is full, so at most a piece and the legs' own queues are
    held in each direction.  ``clock`` measures how long it lasts: seconds, monotonic.
    """

    __slots__ = ("_clock", "_ended", "_half_close", "_since", "far", "near")

    def __init__(
        self,
        near: IStreamLeg,
        far: IStreamLeg,
        half_close: bool,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._clock = clock
        self._since = clock()
        self._half_close = half_close
        self._ended: Ended | None = None
        self.near = self._direction(near, far)
        self.far = self._direction(far, near)

    def start(self) -> Self:
        """Begins to deliver; answers itself."""
        near, far = self.near.near, self.far.near
        near.registerProducer(far, True)
        far.registerProducer(near, True)
        near.attach(self.near)
        far.attach(self.far)
        return self

    def moved(self) -> tuple[int, int]:
        return self.near.moved, self.far.moved

    def end(self, why: Ended) -> None:
        if self._traffic is None:
            self._ended = self._ended or why
            self.near.near.abort()
            self.far.near.abort()

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
            direction.far.break_off()
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
        traffic = Traffic(
            near_to_far=self.near.moved,
            far_to_near=self.far.moved,
            seconds=max(0.0, self._clock() - self._since),
            ended=self._ended or Ended.FINISHED,
        )
        # Without this reference cycle a flow's memory is free at once.
        del self.near.flow, self.far.flow
        self._tell_end(traffic)
