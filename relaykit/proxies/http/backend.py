"""The client half of ``http``: tells whoever wants to know what users ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from zope.interface import implementer

from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ILegObserver
from relaykit.proxies.tcp import LocalServiceBackend
from relaykit.sansio.http.watching import ExchangeWatch
from relaykit.values import Origin, Reach

if TYPE_CHECKING:
    from relaykit.interfaces import IClientHost, IStreamLeg
    from relaykit.proxies.http.options import HttpOptions
    from relaykit.sansio.contract import Buffer

__all__ = ["HttpBackend"]


_QUESTION = b"HEAD / HTTP/1.1\r\nHost: %b\r\nUser-Agent: relaykit\r\nConnection: close\r\n\r\n"

_STATUS = b"HTTP/1."


class _StatusLine:
    """Takes the beginning of an answer, whatever it is; a :class:`relaykit.sansio.contract.PrefixParser`."""

    limit = len(_STATUS)

    def feed(self, data: bytes) -> tuple[None, int] | None:
        """Looks at all bytes so far.

        :raises RemoteProtocolError: it is none of HTTP/1.
        """
        if not _STATUS.startswith(data[: self.limit]):
            raise RemoteProtocolError("its answer is not what HTTP allows")
        return (None, self.limit) if len(data) >= self.limit else None


class HttpBackend(LocalServiceBackend):
    """Forwards every work connection to the local service, and looks at the requests where that is wanted."""

    def __init__(self, host: IClientHost, options: HttpOptions) -> None:
        super().__init__(host)
        names = (options.host_header_rewrite, *options.custom_domains, "localhost")
        self._name = next(filter(None, names))

    async def probe(self) -> Reach:
        local = await self.host.connect_local(Origin())
        local.write(_QUESTION % self._name.encode())
        try:
            await local.take(_StatusLine())
        except RemoteProtocolError as error:
            raise ConnectionFailed(f"the local service has taken a request, and {error}") from error
        finally:
            local.abort()
        return Reach.ANSWER

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
