"""The local service ``tls2raw``: ends TLS and hands the plain stream on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICheckedService
from relaykit.local_services.certificates import ServiceCertificate
from relaykit.local_services.targets import parse_target
from relaykit.local_services.unserved import log_unserved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaykit.interfaces import ILocalHost, ISecureLeg, IStreamLeg
    from relaykit.values import Address, Origin

__all__ = ["TlsToRaw", "local_service"]


@implementer(ICheckedService)
@frozen
class TlsToRaw:
    """Shows users a certificate, and lets them speak with a service that knows no TLS."""

    target: Address
    certificate: ServiceCertificate

    log = Logger()

    def problems(self) -> Iterable[str]:
        return self.certificate.problems()

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        context = self.certificate.context(host)
        securing = host.secured(leg, context)
        served = securing.addCallback(lambda secured: Deferred.fromCoroutine(self._hand_on(secured, host)))
        served.addErrback(log_unserved, self.log, "tls2raw", leg, origin)

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


def local_service(localAddr: str, crtPath: str = "", keyPath: str = "") -> TlsToRaw:
    """Hands on to ``localAddr``, host:port, with the certificate in these files (PEM), or one made."""
    return TlsToRaw(parse_target(localAddr), ServiceCertificate(crtPath, keyPath))
