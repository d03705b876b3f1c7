"""Users of a reverse proxy, each with the one service that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen
from zope.interface import implementer

from relaykit.interfaces import ILocalService
from relaykit.local_services.http_targets import HttpTargets
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.local_services.http_targets import HttpTarget
    from relaykit.local_services.reverse_proxies.service import WebService
    from relaykit.sansio.http.answers import Answer
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http.rewriting import Rules
    from relaykit.values import Origin

__all__ = ["RESPONSE_S", "PlainUsers", "ServiceSites"]

RESPONSE_S: Final = 3600.0
"""Seconds that a service has to begin an answer.  frp sets no limit: reports and long polls of an hour pass,
and nobody waits for ever.  Behind a proxy of type ``http`` the server's own limit comes first."""


class ServiceSites(HttpTargets):
    """The one service, as one user sees it."""

    timeouts = evolve(DEFAULT_TIMEOUTS, response_s=RESPONSE_S)

    def __init__(self, leg: IStreamLeg, host: ILocalHost, target: HttpTarget, rules: Rules) -> None:
        super().__init__(leg, host)
        self.rules = rules
        self._target = target

    def find(self, head: RequestHead) -> HttpTarget | Answer:
        return self._target


@implementer(ILocalService)
@frozen(eq=False)
class PlainUsers:
    """Serves users who speak HTTP/1.1 without TLS."""

    service: WebService
    rules: Rules = field(repr=False)

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        ServiceSites(leg, host, self.service.target(origin, host), self.rules).serve(origin)
