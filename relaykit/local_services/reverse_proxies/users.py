"""Users of a reverse proxy, each with the one service that there is: without TLS, and with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.tls import HANDSHAKE_TIMEOUT_S
from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ICheckedService
from relaykit.local_services.http_targets import HttpTargets
from relaykit.local_services.unserved import log_unserved
from relaykit.proxies.http.secure_sites import MISDIRECTED
from relaykit.proxies.http.users import HttpUser
from relaykit.sansio.hostnames import host_key
from relaykit.sansio.http.answers import refusal
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS
from relaykit.sansio.parsers.client_hello import ClientHelloParser
from relaykit.sansio.parsers.http_opening import HTTP_OPENING, HttpVersion, HttpVersionParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.local_services.certificates import ServiceCertificate
    from relaykit.local_services.http_targets import HttpTarget
    from relaykit.local_services.reverse_proxies.service import WebService
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules
    from relaykit.sansio.parsers.client_hello import ClientHello
    from relaykit.values import Origin

__all__ = ["RESPONSE_S", "Beginning", "PlainUsers", "SecureUsers", "ServiceSites"]

RESPONSE_S: Final = 3600.0
"""Seconds that a service has to begin an answer.  frp sets no limit: reports and long polls of an hour pass,
and nobody waits for ever.  Behind a proxy of type ``http`` the server's own limit comes first."""

_WITHOUT_TLS = refusal(400, "this is HTTP, and TLS is spoken here: ask for https://")


class ServiceSites(HttpTargets):
    """The one service, as one user sees it.

    :param asked_name: the host that the user asked for in TLS, as its key: it gets no other; empty for any.
    """

    timeouts = evolve(DEFAULT_TIMEOUTS, response_s=RESPONSE_S)

    def __init__(self, host: ILocalHost, target: HttpTarget, rules: Rules, asked_name: str = "") -> None:
        super().__init__(host)
        self.rules = rules
        self._target = target
        self._asked_name = asked_name

    def find(self, head: RequestHead) -> Any:
        if self._asked_name and host_key(head.host) != self._asked_name:
            return MISDIRECTED
        return self._target


@implementer(ICheckedService)
@frozen(eq=False)
class PlainUsers:
    """Serves users who speak HTTP/1.1 without TLS."""

    service: WebService
    rules: Rules = field(repr=False)

    def problems(self) -> Iterable[str]:
        return self.service.problems()

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        sites = ServiceSites(host, self.service.target(origin, host), self.rules)
        HttpUser(leg, origin, sites).start()


@implementer(ICheckedService)
@frozen(eq=False)
class SecureUsers:
    """Ends TLS, and serves users who speak HTTP/1.1 in it, or HTTP/2 where that is offered."""

    service: WebService
    rules: Rules = field(repr=False)
    certificate: ServiceCertificate
    offers_http2: bool

    log = Logger()

    def problems(self) -> Iterable[str]:
        return (*self.certificate.problems(), *self.service.problems())

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        context = self.certificate.context(host)
        served = Deferred.fromCoroutine(self._serve(leg, origin, host, context))
        served.addErrback(log_unserved, self.log, self.service.name, leg, origin)

    async def _serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost, context: object) -> None:
        try:
            hello = await leg.peek(Beginning()).addTimeout(HANDSHAKE_TIMEOUT_S, host.reactor)
        except Exception:
            leg.close()
            raise
        asked_name = host_key(hello.server_name) if hello is not None else ""
        sites = ServiceSites(host, self.service.target(origin, host), self.rules, asked_name)
        if hello is None:
            leg.write(_WITHOUT_TLS.write(b"Connection: close\r\n", sites.date()))
            leg.close()
            raise RemoteProtocolError("it speaks HTTP without TLS")
        secured = await host.secured(leg, context)
        if not self.offers_http2:
            HttpUser(secured, origin, sites, b"https").start()
            return
        try:
            version = await secured.peek(HttpVersionParser()).addTimeout(sites.timeouts.head_s, host.reactor)
        except Exception:
            secured.close()
            raise
        if version is HttpVersion.ONE:
            HttpUser(secured, origin, sites, b"https").start()
            return
        # What it needs costs megabytes, and few have users of HTTP/2.
        from relaykit.proxies.http.http2_users import Http2User

        Http2User(secured, origin, sites, b"https").start()


class Beginning:
    """Reads a ClientHello, or None where HTTP without TLS begins."""

    limit = ClientHelloParser.limit

    def feed(self, data: bytes) -> tuple[ClientHello | None, int] | None:
        """Looks at all bytes so far.

        :raises RemoteProtocolError: it is neither.
        """
        is_plain = HTTP_OPENING.recognizes(data)
        if is_plain is None:
            return None
        return (None, 0) if is_plain else ClientHelloParser().feed(data)
