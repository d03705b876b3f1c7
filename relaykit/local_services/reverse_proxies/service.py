"""The service that a reverse proxy asks: its connections, of which some wait for anybody's next request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.errors import ConnectionFailed, TransportSecurityError
from relaykit.local_services.http_targets import HttpTarget
from relaykit.local_services.unserved import log_unreached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.python.failure import Failure

    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.local_services.certificates import ServiceTrust
    from relaykit.local_services.http_targets import TargetLeg
    from relaykit.values import Address, Origin

__all__ = ["WebService"]


class WebService:
    """A service that speaks HTTP at a port.

    :param name: how the log calls the reverse proxy.
    :param trust: what the service must prove; None where it speaks no TLS.
    """

    log = Logger()

    def __init__(self, name: str, address: Address, trust: ServiceTrust | None = None) -> None:
        self.name = name
        self._address = address
        self._trust = trust
        self._kept: KeptLegs[TargetLeg] | None = None

    def problems(self) -> Iterable[str]:
        """Why it could not be verified."""
        return () if self._trust is None else self._trust.problems()

    def target(self, origin: Origin, host: ILocalHost) -> HttpTarget:
        """The service, as one user has it."""
        if self._kept is None:
            self._kept = KeptLegs(host.reactor)
        return HttpTarget(host, partial(self._dial, origin, host), self._kept)

    def _dial(self, origin: Origin, host: ILocalHost) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect(host)).addErrback(self._not_reached, origin)

    async def _connect(self, host: ILocalHost) -> IStreamLeg:
        leg: IStreamLeg = await host.dial(self._address.host, self._address.port)
        if self._trust is None:
            return leg
        try:
            context = self._trust.context(host)
        except ConnectionFailed:
            leg.abort()
            raise
        try:
            secured: IStreamLeg = await host.secured_to(leg, context)
        except TransportSecurityError as error:
            raise ConnectionFailed(str(error), problem=error.problem) from error
        return secured

    def _not_reached(self, failure: Failure, origin: Origin) -> Failure:
        if failure.check(ConnectionFailed):
            log_unreached(failure, self.log, self.name, origin)
        return failure
