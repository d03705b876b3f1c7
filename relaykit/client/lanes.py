"""The service's end of a lane: its users, each joined with a datagram leg to the local service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from attrs import evolve
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.client.announcing import UserNotAnnounced
from relaykit.errors import ConnectionFailed, OutOfDescriptors
from relaykit.interfaces import IDatagramAcceptor

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from relaykit.interfaces import IClientHost, IDatagramLane, IDatagramLeg
    from relaykit.values import Ended, Origin

__all__ = ["AdmitUser", "LaneService"]

AdmitUser: TypeAlias = "Callable[[IDatagramLeg, Origin], tuple[IDatagramLeg, Origin] | None]"
"""What is asked about each new user: see :meth:`relaykit.interfaces.IClientHost.serve_lane`."""

UNREACHABLE_FOR_S = 10.0
"""Seconds after the local service could not be reached in which no new user has it tried again, so that not
every datagram is a line in the log; they are dropped."""


@implementer(IDatagramAcceptor)
class LaneService:
    """Serves the users of one lane, which it owns.

    :param origin: of the lane's work connection.  If it has a source, that is the visiting client, and the
        users are those that it says it has.
    :param admit: is asked about each new user.
    """

    log = Logger()

    def __init__(
        self, host: IClientHost, lane: IDatagramLane, origin: Origin, admit: AdmitUser | None = None
    ) -> None:
        self._admit = admit
        self._host = host
        self._lane = lane
        self._origin = origin
        self._unreachable_until = 0.0

    def start(self) -> Deferred[Ended]:
        """Serves users until the lane is gone; fires then."""
        lost: Deferred[Ended] = self._lane.when_lost()
        self._lane.start(self)
        return lost

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        if self._admit is not None:
            admitted = self._admit(leg, origin)
            if admitted is None:
                return
            leg, origin = admitted
        if self._host.reactor.seconds() < self._unreachable_until:
            leg.close()
            return
        if self._origin.source is not None:
            origin = evolve(self._origin, visitor_user=origin.source)
        opening: Deferred[IDatagramLeg] = self._host.open_local_datagrams(origin)
        opening.addCallback(self._opened, leg, origin)
        opening.addErrback(self._failed, leg)

    def _opened(self, local: IDatagramLeg, leg: IDatagramLeg, origin: Origin) -> None:
        self._host.forward_datagrams(leg, local, origin)

    def _failed(self, failure: Failure, leg: IDatagramLeg) -> None:
        leg.close()
        if failure.check(OutOfDescriptors):
            self._lane.let_go_oldest()
        elif failure.check(UserNotAnnounced) and self._origin.source is None:
            # That is about this user; where the visiting client is announced, it is about all of them.
            pass
        elif failure.check(ConnectionFailed):
            self._unreachable_until = self._host.reactor.seconds() + UNREACHABLE_FOR_S
        else:
            name = self._host.name
            self.log.failure("[{proxy}] a defect while datagrams were forwarded", failure, proxy=name)
