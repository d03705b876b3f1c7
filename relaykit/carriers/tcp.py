"""The carrier of frp and the default: TCP, with TLS on it unless that is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.sansio.parsers.first_bytes import OPENINGS, CustomTlsByte, Spoken
from relaykit.sansio.parsers.recognizing import Rank
from relaykit.values import CarrierCapabilities

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDialHost, IIncomingConnection, IStreamLeg

__all__ = ["carrier"]


@implementer(ILegDialer)
@frozen
class TcpDialer:
    """Makes connections of TCP and TLS."""

    _host: IDialHost

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        leg: IStreamLeg = await self._host.secure(await self._host.dial())
        return leg


class TlsRecognition(Service):
    """Finds TLS in what the bind port accepted, and what is within it."""

    def __init__(self, host: IAcceptHost) -> None:
        self._host = host

    def startService(self) -> None:
        super().startService()
        self._host.recognize(OPENINGS[Spoken.TLS], self._on_tls, Rank.LAYER)

    def stopService(self) -> None:
        self._host.ignore(OPENINGS[Spoken.TLS])
        super().stopService()

    async def _on_tls(self, connection: IIncomingConnection) -> IStreamLeg:
        await connection.leg.take(CustomTlsByte())
        leg: IStreamLeg = await self._host.secure(connection.leg)
        return leg


@implementer(ICarrier)
class TcpCarrier:
    """Both halves; what has no TLS on the bind port is a connection as it is, and needs no acceptor."""

    name = "tcp"
    summary = "TCP, with or without TLS."
    capabilities = CarrierCapabilities(race=10)
    table = "tcp"
    dial_options = None
    accept_options = None

    def lacks(self) -> str:
        return ""

    def make_dialer(self, options: Any, host: IDialHost) -> TcpDialer:
        return TcpDialer(host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> TlsRecognition:
        return TlsRecognition(host)


carrier = TcpCarrier()
