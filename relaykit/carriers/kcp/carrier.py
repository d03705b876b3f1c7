"""KCP between client and server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.dataplane.kcp import KcpLeg, KcpPort
from relaykit.interfaces import ICarrier, ILegDialer
from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER
from relaykit.sansio.kcp.session import KcpSession
from relaykit.values import CarrierCapabilities

if TYPE_CHECKING:
    from relaykit.interfaces import IAcceptHost, IDatagramLeg, IDialHost, IListeningPort, IStreamLeg

__all__ = ["KcpAcceptor", "KcpDialer", "carrier"]

CONVERSATION_BYTES: Final = 4
"""Random ones, by which a client calls a session with its server."""


@implementer(ILegDialer)
@frozen
class KcpDialer:
    """Makes sessions with the server, and TLS within."""

    _host: IDialHost

    def connect(self) -> Deferred[IStreamLeg]:
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> IStreamLeg:
        host = self._host
        datagrams: IDatagramLeg = await host.dial_datagrams()
        conversation = int.from_bytes(host.entropy(CONVERSATION_BYTES), "little")
        session = KcpSession(conversation, FRP_CLIENT, host.reactor.seconds())
        leg: IStreamLeg = await host.secure(KcpLeg(datagrams, session, host.turns, host.reactor))
        return leg


class KcpAcceptor(Service):
    """Has a port open while it runs, if the file gives it one; what is within is looked at as on any port."""

    def __init__(self, port: int, host: IAcceptHost) -> None:
        self._port = port
        self._host = host
        self._listening: IListeningPort | None = None

    def startService(self) -> None:
        """Opens the port.

        :raises ListenFailed: it cannot be opened.
        """
        super().startService()
        if self._port:
            host = self._host
            clients = KcpPort(FRP_SERVER, host, host.turns, host.reactor)
            self._listening = host.listen_datagrams(self._port, clients)

    def stopService(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        super().stopService()


@implementer(ICarrier)
class KcpCarrier:
    """Both halves."""

    name = "kcp"
    summary = "KCP over UDP, with or without TLS: sends much again, and waits little, on lines that lose."
    capabilities = CarrierCapabilities(own_port=True)
    table = "kcp"
    dial_options = None
    accept_options = None

    def lacks(self) -> str:
        return ""

    def make_dialer(self, options: Any, host: IDialHost) -> KcpDialer:
        return KcpDialer(host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> KcpAcceptor:
        return KcpAcceptor(port, host)


carrier = KcpCarrier()
