"""The local service ``tls2raw``: ends TLS and hands the plain stream on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, TransportSecurityError
from relaykit.interfaces import ILocalService
from relaykit.local_services.certificates import ServiceCertificate
from relaykit.local_services.targets import parse_target
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from relaykit.interfaces import ILocalHost, ISecureLeg, IStreamLeg
    from relaykit.values import Address, Origin

__all__ = ["TlsToRaw", "local_service"]


@implementer(ILocalService)
@frozen
class TlsToRaw:
    """Shows users a certificate, and lets them speak with a service that knows no TLS."""

    target: Address
    certificate: ServiceCertificate

    log = Logger()

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        context = self.certificate.context(host)
        securing = host.secured(leg, context)
        served = securing.addCallback(lambda secured: Deferred.fromCoroutine(self._hand_on(secured, host)))
        served.addErrback(self._failed, leg, origin)

    async def _hand_on(self, secured: ISecureLeg, host: ILocalHost) -> None:
        dialing = host.dial(self.target.host, self.target.port)
        secured.when_gone(dialing.cancel)
        try:
            far = await dialing
            host.announce(far)
        except ConnectionFailed:
            secured.close()
            raise
        host.forward(secured, far)

    def _failed(self, failure: Failure, leg: IStreamLeg, origin: Origin) -> None:
        """A user is not served."""
        if failure.check(CancelledError, TransportSecurityError):
            level, problem = self.log.debug, ""
        elif failure.check(ConnectionFailed):
            level, problem = self.log.error, "local-service"
        else:
            self.log.failure("a defect while TLS was ended for a user", failure)
            leg.abort()
            return
        level(
            "tls2raw: {origin} is not served: {reason}",
            origin=origin,
            reason=failure.getErrorMessage() or "the user left",
            stranger=host_of(origin.source),
            ended=Ended.UNREACHABLE.value,
            problem=problem,
        )


def local_service(localAddr: str, crtPath: str = "", keyPath: str = "") -> TlsToRaw:
    """Hands on to ``localAddr``, host:port, with the certificate in these files (PEM), or one made."""
    return TlsToRaw(parse_target(localAddr), ServiceCertificate(crtPath, keyPath))
