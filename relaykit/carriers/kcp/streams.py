"""KCP with yamux over a direct path, as frp's ``xtcp`` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, MuxRole
from relaykit.dataplane.kcp import KcpLeg
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IDatagramStreams
from relaykit.sansio.kcp.options import FRP_TUNNEL
from relaykit.sansio.kcp.session import KcpSession
from relaykit.sansio.nat.checks import PeerRole

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import IDatagramLeg, ILegAcceptor, IStreamPath, ITurns
    from relaykit.values import Ended, Secret

__all__ = ["KcpStreams"]

CONVERSATION: Final = 1
"""What both ends call their session.  Source: frp, pkg/util/net/kcp.go (NewKCPConnFromUDP)."""

KEEPALIVE_S: Final = 10.0
"""Seconds between yamux pings, which keep the path known to NATs.  Source: frp, client/visitor/xtcp.go."""

FIRST_WORD_S: Final = 10.0
"""Seconds for the peer to say something: it may come to this later than this end does."""

_ROLES = {PeerRole.INITIATOR: MuxRole.CLIENT, PeerRole.RESPONDER: MuxRole.SERVER}


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
