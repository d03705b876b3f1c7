"""Forwarding datagrams between two legs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from relaykit.dataplane.flows import Ending
from relaykit.interfaces import IDatagramReceiver, IFlow
from relaykit.values import Ended, Traffic

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IDatagramLeg
    from relaykit.sansio.contract import Buffer

__all__ = ["FLOW_IDLE_S", "DatagramCounts", "DatagramFlow", "DatagramForwarder"]

FLOW_IDLE_S = 60.0
"""Silence, in both directions, after which a flow of datagrams is over: nothing else tells its end."""

_SWEEPS = 4
"""Looks at all flows within that time: one timer for them, and no clock for each datagram."""


@frozen
class DatagramCounts:
    """How many datagrams went, and how many were dropped at the legs, both ways."""

    near_to_far: int = 0
    far_to_near: int = 0
    dropped: int = 0

    def __add__(self, other: DatagramCounts) -> DatagramCounts:
        return DatagramCounts(
            self.near_to_far + other.near_to_far,
            self.far_to_near + other.far_to_near,
            self.dropped + other.dropped,
        )


@implementer(IDatagramReceiver)
class _Direction:
    """Takes what one leg delivers and sends it to the other."""

    __slots__ = ("datagrams", "flow", "leg", "lost", "moved", "send")

    def __init__(self, flow: DatagramFlow, leg: IDatagramLeg, other: IDatagramLeg) -> None:
        self.flow = flow
        self.leg = leg
        self.send = other.send
        self.moved = 0
        self.datagrams = 0
        self.lost = False

    def datagram_received(self, data: Buffer) -> None:
        if self.send(data):
            self.moved += len(data)
            self.datagrams += 1
            self.flow.idle_sweeps = 0

    def leg_lost(self, reason: Ended) -> None:
        self.lost = True
        self.flow.leg_lost(self, reason)


@implementer(IFlow)
class DatagramFlow(Ending):
    """Two datagram legs that are being forwarded, until both are gone.

    Bytes count once the other leg has taken them.  It ends by a lost leg, its idle time-out, or :meth:`end`.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_on_over",
        "_since",
        "far",
        "idle_sweeps",
        "near",
    )

    def __init__(
        self,
        near: IDatagramLeg,
        far: IDatagramLeg,
        clock: Callable[[], float],
        on_over: Callable[[DatagramFlow], None],
    ) -> None:
        super().__init__()
        self.near = _Direction(self, near, far)
        self.far = _Direction(self, far, near)
        self.idle_sweeps = 0
        self._clock = clock
        self._since = clock()
        self._on_over = on_over
        self._ended: Ended | None = None

    def start(self) -> None:
        """Begins to deliver."""
        self.near.leg.attach(self.near)
        self.far.leg.attach(self.far)

    def moved(self) -> tuple[int, int]:
        return self.near.moved, self.far.moved

    def counts(self) -> DatagramCounts:
        """Its datagrams up to now."""
        dropped = self.near.leg.dropped + self.far.leg.dropped
        return DatagramCounts(self.near.datagrams, self.far.datagrams, dropped)

    def end(self, why: Ended) -> None:
        if self._ended is None:
            self._ended = why
            self.near.leg.close()
            self.far.leg.close()

    def leg_lost(self, direction: _Direction, reason: Ended) -> None:
        """One leg is gone; so is the other, then."""
        if reason in (Ended.FINISHED, Ended.TIMEOUT):
            self.end(reason)
        else:
            self.end(Ended.NEAR_LOST if direction is self.near else Ended.FAR_LOST)
        if self.near.lost and self.far.lost:
            self._over()

    def _over(self) -> None:
        traffic = Traffic(
            near_to_far=self.near.moved,
            far_to_near=self.far.moved,
            seconds=max(0.0, self._clock() - self._since),
            ended=self._ended or Ended.FINISHED,
        )
        # Without this reference cycle a flow's memory is free at once.
        del self.near.flow, self.far.flow
        self._on_over(self)
        self._tell_end(traffic)


class DatagramForwarder:
    """Forwards datagrams, and ends the flows on which there are none any more.

    ``clock`` measures how long a flow lasts: seconds, monotonic.
    """

    def __init__(self, reactor: IReactorTime, clock: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._clock = clock
        self._flows: dict[DatagramFlow, None] = {}
        self._ended = DatagramCounts()
        """Of the flows that are over."""
        self._sweeping: IDelayedCall | None = None

    def forward(self, near: IDatagramLeg, far: IDatagramLeg) -> DatagramFlow:
        """Owns both legs from now on, until they are gone: see :class:`relaykit.interfaces.IFlow`."""
        flow = DatagramFlow(near, far, self._clock, self._over)
        self._flows[flow] = None
        if self._sweeping is None:
            self._sweep_later()
        flow.start()
        return flow

    def counts(self) -> DatagramCounts:
        """The datagrams of all flows up to now; adds up the present ones, so it costs something."""
        return sum((flow.counts() for flow in self._flows), self._ended)

    def _over(self, flow: DatagramFlow) -> None:
        del self._flows[flow]
        self._ended += flow.counts()
        if not self._flows and self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def _sweep_later(self) -> None:
        self._sweeping = self._reactor.callLater(FLOW_IDLE_S / _SWEEPS, self._sweep)

    def _sweep(self) -> None:
        self._sweep_later()
        for flow in list(self._flows):
            flow.idle_sweeps += 1
            if flow.idle_sweeps > _SWEEPS:
                flow.end(Ended.TIMEOUT)
