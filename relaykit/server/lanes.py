"""The lanes of a proxy: work connections that carry the datagrams of many users each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from relaykit.errors import NoWorkConnection
from relaykit.server.flows import UserFlow
from relaykit.values import MOST_DATAGRAM_BYTES, Ended, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.internet.interfaces import IDelayedCall

    from relaykit.interfaces import IDatagramLane, IDatagramLeg, IFlow, IStreamLeg
    from relaykit.sansio.lanes.codec import DatagramTooLarge
    from relaykit.server.flows import FlowOwner

__all__ = ["DatagramUserFlow", "ProxyLanes"]

MOST_LANES = 4
"""Lanes of one proxy at a time, with a client that can have several: each has room of its own on its way, so
that a user who fills one does not hold up those of the others."""

MOST_WAITING = 4096
"""Users of one proxy who wait for its first lane; each costs some 2 KB, and what it sent.  Their port lets go
of sources when there are many, but nobody learns of it before a lane is there, and forged ones come fast."""

PAUSE_S = 1.0
"""Seconds from when a lane was lost, or could not be opened, until another is asked for; frp's figure."""


class DatagramUserFlow(UserFlow):
    """A source of datagrams that is served, over a lane."""

    __slots__ = ("_lanes",)

    def __init__(self, proxy: FlowOwner, leg: IDatagramLeg, origin: Origin, lanes: ProxyLanes) -> None:
        super().__init__(proxy, leg, origin)
        self._lanes = lanes

    def _want_work(self) -> None:
        self._lanes.want(self)

    def _cancel_work(self) -> None:
        self._lanes.cancel(self)

    def _forward(self, work: IDatagramLeg) -> IFlow:
        plane = self.proxy.data_plane
        user = plane.policed(self._leg, self.proxy.budgets_for(self.origin))
        flow: IFlow = plane.forward_datagrams(user, work)
        return flow

    def _drop(self, leg: Any) -> None:
        leg.close()


class ProxyLanes:
    """Opens lanes as users come, shares them out, and has another one when one is lost.

    Users wait for the first lane.  A lane that is lost takes its users' flows with it; whoever sends again is
    a new user.

    :ivar most_bytes: the largest datagram in frp's format.
    """

    log = Logger()

    def __init__(self, proxy: FlowOwner) -> None:
        self.most_bytes = MOST_DATAGRAM_BYTES
        self._proxy = proxy
        self._lanes: list[IDatagramLane] = []
        self._most = 1
        self._waiting: dict[DatagramUserFlow, None] = {}
        self._opening: _Opening | None = None
        self._pause: IDelayedCall | None = None
        self._told_of_size = False
        self._closed = False

    def want(self, flow: DatagramUserFlow) -> None:
        """A user needs a leg on a lane, and is told of it, maybe at once, or that there is none."""
        if self._closed:
            flow.on_unserved(NoWorkConnection("the proxy was withdrawn"))
            return
        lane = min(self._lanes, key=lambda each: each.users, default=None)
        if lane is None:
            if len(self._waiting) >= MOST_WAITING:
                flow.on_unserved(NoWorkConnection("too many users wait for this proxy already"))
                return
            self._waiting[flow] = None
            self._open()
            return
        if lane.users and len(self._lanes) < self._most:
            self._open()
        try:
            leg = lane.open(flow.origin.source)
        except ValueError:
            flow.on_unserved(NoWorkConnection("where the datagrams come from is no address"))
        else:
            flow.on_work_leg(leg)

    def cancel(self, flow: DatagramUserFlow) -> None:
        """A user needs none any more."""
        self._waiting.pop(flow, None)

    def close(self) -> None:
        """Ends all lanes: the proxy was withdrawn, and its last user is gone."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._opening is not None:
            self._opening.is_waiting = False
            self._proxy.session.cancel_work(self._opening)
        for lane in tuple(self._lanes):
            lane.close()

    # --- for the work connection that is being opened -------------------------------------------------

    def opened(self, leg: IStreamLeg) -> None:
        """There is a work connection for one more lane."""
        self._opening = None
        codec = self._proxy.session.lane_codec(self.most_bytes)
        self._most = MOST_LANES if codec.is_shared else 1
        lane = self._proxy.data_plane.lane_over(leg, codec, self._too_large)
        self._lanes.append(lane)
        lane.when_lost().addCallback(self._lost, lane)
        lane.start()
        for flow in self._take_waiting():
            self.want(flow)

    def not_opened(self, error: Exception) -> None:
        """There is none."""
        self._opening = None
        self._leave_unserved(error)

    # --- inside ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._opening is None and self._pause is None:
            self._opening = _Opening(self._proxy, self)
            self._proxy.session.want_work(self._opening)

    def _take_waiting(self) -> Iterator[DatagramUserFlow]:
        """Those who wait and are to be told; what one is told may end another."""
        waiting, self._waiting = self._waiting, {}
        return (flow for flow in waiting if flow.is_waiting)

    def _leave_unserved(self, error: Exception) -> None:
        self._pause_now()
        for flow in self._take_waiting():
            flow.on_unserved(error)

    def _lost(self, why: Ended, lane: IDatagramLane) -> None:
        self._lanes.remove(lane)
        if self._closed:
            return
        self.log.info(
            "[{run}] [{proxy}] a work connection for datagrams is lost: {ended}",
            run=self._proxy.identity.run_id,
            proxy=self._proxy.name,
            ended=why.value,
        )
        # Who waits still, waits for this one.
        self._leave_unserved(NoWorkConnection("the work connection was lost at once"))

    def _pause_now(self) -> None:
        if not self._closed and self._pause is None:
            self._pause = self._proxy.clock.callLater(PAUSE_S, self._pause_over)

    def _pause_over(self) -> None:
        self._pause = None
        if self._waiting:
            self._open()

    def _too_large(self, error: DatagramTooLarge) -> None:
        if self._told_of_size:
            return
        self._told_of_size = True
        self.log.warn(
            "[{run}] [{proxy}] a datagram is dropped: {reason}",
            run=self._proxy.identity.run_id,
            proxy=self._proxy.name,
            reason=str(error),
            problem="datagram-too-large",
        )


class _Opening:
    """A lane that has no work connection yet; it is no user's, so the client is told of none."""

    has_alternative = False
    is_probe = False
    message = None

    def __init__(self, proxy: FlowOwner, lanes: ProxyLanes) -> None:
        self.proxy = proxy
        self.origin = Origin()
        self.is_waiting = True
        self._lanes = lanes

    def on_work_leg(self, leg: IStreamLeg) -> None:
        self.is_waiting = False
        self._lanes.opened(leg)

    def on_unserved(self, error: Exception) -> None:
        self.is_waiting = False
        self._lanes.not_opened(error)
