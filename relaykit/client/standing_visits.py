"""Visits that stand: a local service in the place of a visitor's users, connected as long as that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed
from relaykit.escaping import masked_endpoint
from relaykit.interfaces import ISessionFollower
from relaykit.values import Origin

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from relaykit.client.hosts import HostedClient, VisitorHost
    from relaykit.interfaces import ILegAcceptor, IStreamLeg

__all__ = ["AFTER_END_S", "AFTER_FAILURE_S", "LONGEST_AFTER_FAILURE_S", "StandingVisit"]

AFTER_END_S: Final = 10.0
"""Seconds until a standing visit that has ended is made again; frp's figure."""

AFTER_FAILURE_S: Final = 60.0
"""Seconds until the next attempt after one that came to nothing, and twice as many after each more; frp's."""

LONGEST_AFTER_FAILURE_S: Final = 300.0
"""The most of these seconds; frp's."""


@implementer(ISessionFollower)
class StandingVisit(Service):
    """Connects the local service of a visitor to what that visits, as long as it runs.

    It is made with a session of the client, and at once where a new one has begun: what came to nothing
    before may have been because of the last one.

    :param acceptor: the visitor, which takes the service as it takes a user.
    """

    log = Logger()

    def __init__(self, client: HostedClient, host: VisitorHost, acceptor: ILegAcceptor) -> None:
        self._client = client
        self._host = host
        self._acceptor = acceptor
        self._origin = Origin()
        """Of the present attempt, which it is known by."""
        self._dialing: Deferred[IStreamLeg] | None = None
        self._leg: IStreamLeg | None = None
        self._retry: IDelayedCall | None = None
        self._is_online = self._is_served = False
        self._failures = 0
        host.standing = self

    def stopService(self) -> None:
        """Ends it."""
        super().stopService()
        self.session_ended()
        if self._dialing is not None:
            self._dialing.cancel()
        if self._leg is not None:
            self._leg.abort()

    def session_started(self) -> None:
        self._is_online = True
        if self._retry is not None:
            self._retry.cancel()
        if self._leg is None and self._dialing is None:
            self._begin()

    def session_ended(self) -> None:
        self._is_online = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = self._host.next_try = None

    def served(self, origin: Origin) -> None:
        """The visitor has connected somebody to what it visits."""
        if origin is self._origin:
            self._is_served, self._failures = True, 0
            self._host.reason, self._host.since = "", self._client.clock.seconds()

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._retry = self._host.next_try = None
        self._origin, self._is_served = Origin(), False
        dialing = self._dialing = self._client.dial(self._host.common.local, self._origin)
        dialing.addCallbacks(self._dialed, self._not_dialed).addErrback(self._defect)

    def _dialed(self, leg: IStreamLeg) -> None:
        self._dialing, self._leg = None, leg
        leg.when_gone(self._gone)
        self._acceptor.leg_accepted(leg, self._origin)

    def _not_dialed(self, failure: Failure) -> None:
        self._dialing = None
        failure.trap(ConnectionFailed, CancelledError)
        if failure.check(CancelledError):
            return
        self._host.reason = failure.getErrorMessage()
        self.log.error(
            "[{visitor}] connect to local service [{endpoint}] error: {reason}",
            visitor=self._host.name,
            endpoint=masked_endpoint(self._host.common.local),
            reason=self._host.reason,
            problem="local-service",
        )
        self._over()

    def _gone(self) -> None:
        self._leg = None
        if not self._is_served:
            self._host.reason = self._host.reason or self._host.last.error
        self._over()

    def _over(self) -> None:
        """It has ended, or came to nothing."""
        clock = self._client.clock
        self._failures += not self._is_served
        self._host.since = clock.seconds()
        if not (self.running and self._is_online):
            return
        wait_s = AFTER_END_S
        if self._failures:
            wait_s = min(AFTER_FAILURE_S * 2 ** (self._failures - 1), LONGEST_AFTER_FAILURE_S)
        self._retry = clock.callLater(wait_s, self._begin)
        self._host.next_try = clock.seconds() + wait_s
        self.log.info(
            "[{visitor}] is not connected; it connects again in {seconds:g} s",
            visitor=self._host.name,
            seconds=wait_s,
        )

    def _defect(self, failure: Failure) -> None:
        # The visitor may be somebody else's.
        self.log.failure("[{visitor}] a defect while it was connected", failure, visitor=self._host.name)
        if self._leg is not None:
            self._leg.abort()
