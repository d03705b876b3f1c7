"""The service that a reverse proxy asks: its connections, of which some wait for anybody's next request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from relaykit.dataplane.kept_legs import KeptLegs
from relaykit.errors import ConnectionFailed
from relaykit.local_services.http_targets import HttpTarget
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.local_services.http_targets import TargetLeg
    from relaykit.values import Address, Origin

__all__ = ["WebService"]


class WebService:
    """A service that speaks HTTP at a port.

    :param name: how the log calls the reverse proxy.
    """

    log = Logger()

    def __init__(self, name: str, address: Address) -> None:
        self._name = name
        self._address = address
        self._kept: KeptLegs[TargetLeg] | None = None

    def target(self, origin: Origin, host: ILocalHost) -> HttpTarget:
        """The service, as one user has it."""
        if self._kept is None:
            self._kept = KeptLegs(host.reactor)
        return HttpTarget(host, partial(self._dial, origin, host), self._kept)

    def _dial(self, origin: Origin, host: ILocalHost) -> Deferred[IStreamLeg]:
        dialing: Deferred[Any] = host.dial(self._address.host, self._address.port)
        return dialing.addErrback(self._not_reached, origin)

    def _not_reached(self, failure: Failure, origin: Origin) -> Failure:
        if failure.check(ConnectionFailed):
            self.log.error(
                "{name}: {origin} is not served: {reason}",
                name=self._name,
                origin=origin,
                reason=failure.getErrorMessage(),
                stranger=host_of(origin.source),
                ended=Ended.UNREACHABLE.value,
                problem="local-service",
            )
        return failure
