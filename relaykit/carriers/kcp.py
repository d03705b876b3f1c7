"""KCP between client and server, and KCP with yamux over a direct path, as frp's ``xtcp`` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.kcp import KcpLeg, KcpPort
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import ICarrier, IDatagramStreams, ILegDialer
from relaykit.sansio.kcp.options import FRP_CLIENT, FRP_SERVER, FRP_TUNNEL
from relaykit.sansio.kcp.session import KcpSession
from relaykit.sansio.nat.checks import PeerRole
from relaykit.values import CarrierCapabilities

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import (
        IAcceptHost,
        IDatagramLeg,
        IDialHost,
        ILegAcceptor,
        IListeningPort,
        IStreamLeg,
        IStreamPath,
        ITurns,
    )
    from relaykit.values import Ended, Secret

__all__ = ["KcpAcceptor", "KcpDialer", "KcpStreams", "carrier"]

CONVERSATION: Final = 1
"""What both ends call their session.  Source: frp, pkg/util/net/kcp.go (NewKCPConnFromUDP)."""

KEEPALIVE_S: Final = 10.0
"""Seconds between yamux pings, which keep the path known to NATs.  Source: frp, client/visitor/xtcp.go."""

FIRST_WORD_S: Final = 10.0
"""Seconds for the peer to say something: it may come to this later than this end does."""

CONVERSATION_BYTES: Final = 4
"""Random ones, by which a client calls a session with its server."""

_ROLES = {PeerRole.INITIATOR: MuxRole.CLIENT, PeerRole.RESPONDER: MuxRole.SERVER}


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


@implementer(IDatagramStreams)
class KcpStreams:
    """Makes streams that frp's ends understand.

    Nothing is encrypted, and **neither end shows that it knows the secret**: frp has no such proof.  Who can
    send datagrams in the peer's name can say what he likes; a proxy's own ``useEncryption`` is what keeps
    others from reading.
    """

    def __init__(self, turns: ITurns, clock: IReactorTime) -> None:
        self._turns = turns
        self._clock = clock

    def prepare(self, role: PeerRole) -> None:
        """Nothing: it is here."""

    def open_path(
        self, datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        """A path as soon as the peer has said something; see the interface, but there is no proof."""
        session = KcpSession(CONVERSATION, FRP_TUNNEL, self._clock.seconds())
        leg = KcpLeg(datagrams, session, self._turns, self._clock)
        link = MuxLink(leg, _ROLES[role], self._turns, self._clock, KEEPALIVE_S)
        link.accept_legs(acceptor)
        link.start()
        heard = link.ping().addTimeout(FIRST_WORD_S, self._clock)
        link.when_lost().addCallback(_lost_before, heard)

        def failed(failure: Failure) -> Failure:
            leg.abort()
            if failure.check(TimeoutError):
                raise ConnectionFailed(
                    f"the other end of a direct path was silent for {FIRST_WORD_S:g} seconds"
                )
            return failure

        return heard.addCallbacks(lambda _: link, failed)


def _lost_before(reason: Ended, heard: Deferred[None]) -> None:
    """The link is lost: nobody will be heard any more."""
    if not heard.called:
        heard.errback(ConnectionFailed(f"the other end of a direct path is gone: {reason.value}"))
