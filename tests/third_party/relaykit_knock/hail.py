"""A carrier from a foreign package: TCP that begins with a word of its own, and what frp sends within it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.sansio.parsers.recognizing import Opening, Rank
from relaykit.values import CarrierCapabilities
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IIncomingConnection, IStreamLeg

HAIL = b"HAIL\n"


class HailWord:
    """Recognizes the word, to be taken."""

    limit = len(HAIL)

    def feed(self, data: bytes) -> tuple[None, int] | None:
        """Answers once all of it is there; the bind port has looked at it already."""
        return (None, len(HAIL)) if len(data) >= len(HAIL) else None


@implementer(ILegDialer)
class HailDialer:
    """Says the word, then begins TLS as configured."""

    def __init__(self, host: IDialHost) -> None:
        self._host = host

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        leg: IStreamLeg = await self._host.dial()
        leg.write(HAIL)
        within: IStreamLeg = await self._host.secure(leg)
        return within


class HailAcceptor(Service):
    """Takes the word away; what is within is for whoever recognizes it."""

    def __init__(self, host: IAcceptHost) -> None:
        self._host = host
        self._opening = Opening(HAIL)

    def startService(self) -> None:
        super().startService()
        self._host.recognize(self._opening, self._on_hailed, Rank.FIXED)

    def stopService(self) -> None:
        self._host.ignore(self._opening)
        super().stopService()

    async def _on_hailed(self, connection: IIncomingConnection) -> IStreamLeg:
        await connection.leg.take(HailWord())
        leg: IStreamLeg = connection.leg
        return leg


@implementer(ICarrier)
class HailCarrier:
    """Both halves."""

    name = "hail"
    summary = "TCP with a word before it."
    capabilities = CarrierCapabilities()
    table = "hail"
    dial_options = None
    accept_options = None

    def make_dialer(self, options: Any, host: IDialHost) -> HailDialer:
        return HailDialer(host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> HailAcceptor:
        return HailAcceptor(host)


carrier = HailCarrier()
