"""What the log says of users whom a local service does not serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeadlinePassed

from relaykit.errors import ConnectionFailed, RemoteProtocolError, TransportSecurityError
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.logger import Logger
    from twisted.python.failure import Failure

    from relaykit.interfaces import IStreamLeg
    from relaykit.values import Origin

__all__ = ["log_unreached", "log_unserved"]

_OF_THE_USER = (CancelledError, DeadlinePassed, RemoteProtocolError, TransportSecurityError)


def log_unserved(failure: Failure, log: Logger, service: str, leg: IStreamLeg, origin: Origin) -> None:
    """Tells why a user, whose leg is closed already, is not served; as little as can be where it is to blame.

    What should not happen is told as a failure, and drops the leg.
    """
    if failure.check(*_OF_THE_USER):
        log.debug(
            "{service}: {origin} is not served: {reason}",
            service=service,
            origin=origin,
            reason=failure.getErrorMessage() or "the user left",
        )
    elif failure.check(ConnectionFailed):
        log_unreached(failure, log, service, origin)
    else:
        log.failure("a defect while {service} served a user", failure, service=service)
        leg.abort()


def log_unreached(failure: Failure, log: Logger, service: str, origin: Origin) -> None:
    """Tells that what a local service leads to could not be had."""
    log.error(
        "{service}: {origin} is not served: {reason}",
        service=service,
        origin=origin,
        reason=failure.getErrorMessage(),
        stranger=host_of(origin.source),
        ended=Ended.UNREACHABLE.value,
        problem="local-service",
    )
