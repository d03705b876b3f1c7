"""The visitor of a ``sudp`` proxy: one lane through the server for all its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from relaykit.errors import RelaykitError
from relaykit.interfaces import IDatagramAcceptor
from relaykit.proxies.stcp import PortVisitor

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IDatagramLane,
        IDatagramLeg,
        IListeningPort,
        IVisitorHost,
    )
    from relaykit.proxies.sudp.options import SudpVisitorOptions
    from relaykit.values import Origin

__all__ = ["LANE_IDLE_S", "MOST_WAITING", "RETRY_S", "SudpVisitor"]

MOST_WAITING = 1024
"""Users of one visitor that wait for its lane at once; each holds some datagrams meanwhile."""

RETRY_S = 1.0
"""Seconds after a visit was opened, or failed to be, in which no other is: users send again and again, and
would have the server asked as often."""

LANE_IDLE_S = 60.0
"""Seconds between two looks whether any user still has a flow: a lane that nobody uses is one user more at
the server, and maybe a connection of its own."""


@implementer(IDatagramAcceptor)
class SudpVisitor(PortVisitor):
    """Forwards all users of its port over one lane through the server to the secret proxy.

    The lane is opened when a datagram comes, given up when no user has a flow any more, and opened again when
    the next one comes.
    """

    def __init__(self, options: SudpVisitorOptions, host: IVisitorHost) -> None:
        super().__init__(options.secret_key, host)
        self._most_bytes = options.udp_packet_size
        self._lane: IDatagramLane | None = None
        self._visiting: Deferred[None] | None = None
        self._waiting: list[tuple[IDatagramLeg, Origin]] = []
        self._pause_until = float("-inf")

    def open_port(self) -> Deferred[IListeningPort | None]:
        opening: Deferred[IListeningPort | None] = self.host.listen_datagrams(self)
        return opening

    def stopService(self) -> Deferred[Any] | None:
        super().stopService()
        if self._visiting is not None:
            self._visiting.cancel()
        return None

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if self._lane is not None:
            self._join(leg, origin, self._lane)
        elif len(self._waiting) >= MOST_WAITING or self.host.reactor.seconds() < self._pause_until:
            leg.close()
        else:
            self._waiting.append((leg, origin))
            self.need_lane(origin)

    def need_lane(self, origin: Origin) -> None:
        """Opens a lane for a user, if none is being opened."""
        if self._visiting is None and self.host.reactor.seconds() >= self._pause_until:
            self._visiting = Deferred.fromCoroutine(self._visit(origin))
            self._visiting.addBoth(self._visited)

    async def _visit(self, origin: Origin) -> None:
        """Opens a lane and has it until it is lost, or nobody uses it."""
        try:
            lane = await self.host.open_lane(self.secret, self._most_bytes)
        except RelaykitError as error:
            self.not_visited(origin, error)
            return
        finally:
            self._pause_until = self.host.reactor.seconds() + RETRY_S
        self._lane = lane
        try:
            waiting, self._waiting = self._waiting, []
            for leg, each in waiting:
                self._join(leg, each, lane)
            await self.used(lane)
        finally:
            self._lane = None
            lane.close()

    def used(self, lane: IDatagramLane) -> Deferred[LoopingCall]:
        """Fires once a lane is lost, or no user has a flow on it."""

        def look(is_lost: bool = False) -> None:
            if looking.running and (is_lost or not lane.users):
                looking.stop()

        looking = LoopingCall(look)
        looking.clock = self.host.reactor
        used = looking.start(LANE_IDLE_S, now=False)
        # It may be lost already: then that is told in this very call.
        lane.when_lost().addCallback(lambda _: look(is_lost=True))
        return used

    def _visited(self, result: Failure | None) -> None:
        """There is no lane, or none any more."""
        self._visiting = None
        waiting, self._waiting = self._waiting, []
        for leg, _ in waiting:
            leg.close()
        if result is not None and not result.check(CancelledError):
            self.log.failure("[{visitor}] a defect during a visit", result, visitor=self.host.name)

    def _join(self, leg: IDatagramLeg, origin: Origin, lane: IDatagramLane) -> None:
        """Joins a user with a place of their own on the lane."""
        try:
            place = lane.open(origin.source)
        except ValueError:
            leg.close()
        else:
            self.host.forward_datagrams(leg, place, origin)
