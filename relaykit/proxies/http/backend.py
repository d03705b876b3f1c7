"""The client half of ``http``: tells whoever wants to know what users ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from zope.interface import implementer

from relaykit.interfaces import ILegObserver
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.sansio.http.watching import ExchangeWatch

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Origin

__all__ = ["HttpBackend"]


class HttpBackend(LocalServiceBackend):
    """Forwards every work connection to the local service, and looks at the requests where that is wanted."""

    async def work_assigned(self, leg: IStreamLeg, origin: Origin) -> None:
        if self.host.is_observed:
            leg = self.host.observed(leg, _Exchanges(self.host))
        await super().work_assigned(leg, origin)


@implementer(ILegObserver)
@frozen(eq=False)
class _Exchanges:
    """Tells of the exchanges of one work connection."""

    _host: IClientHost
    _watch: ExchangeWatch = field(factory=ExchangeWatch, init=False)

    def bytes_read(self, data: Buffer) -> None:
        self._watch.asked(data, self._host.reactor.seconds())
        self._tell()

    def bytes_written(self, data: Buffer) -> None:
        self._watch.answered(data, self._host.reactor.seconds())
        self._tell()

    def leg_lost(self) -> None:
        self._watch.ended(self._host.reactor.seconds())
        self._tell()

    def _tell(self) -> None:
        for exchange in self._watch.exchanges():
            self._host.tell(exchange)
