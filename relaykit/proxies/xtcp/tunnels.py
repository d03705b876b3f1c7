"""A direct path and those who use it, at either end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.errors import HolePunchingError
from relaykit.interfaces import ILegAcceptor

if TYPE_CHECKING:
    from relaykit.interfaces import (
        IDatagramLeg,
        IDatagramStreams,
        IFlow,
        IForwardingHost,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.values import Origin, Secret

__all__ = ["STREAMS_S", "NoGuests", "Tunnel", "frp_streams", "open_path"]

STREAMS_S = 12.0
"""Seconds until both ends speak over a hole: a second net below what makes the streams."""


def frp_streams(host: IForwardingHost, protocol: str) -> IDatagramStreams:
    """What makes streams of a hole; whatever is not ``kcp`` means QUIC, as frp has it.

    :raises RelaykitError: they are not available here; the text says what to do.
    """
    streams: IDatagramStreams = host.datagram_streams("kcp" if protocol == "kcp" else "quic")
    return streams


def open_path(
    host: IForwardingHost,
    streams: IDatagramStreams,
    datagrams: IDatagramLeg,
    role: PeerRole,
    secret: Secret,
    acceptor: ILegAcceptor,
) -> Deferred[IStreamPath]:
    """As :meth:`relaykit.interfaces.IDatagramStreams.open_path`, in time; owns the leg."""

    def not_in_time(_: object, seconds: float) -> IStreamPath:
        raise HolePunchingError(f"there is a hole, and nothing comes through it within {seconds:g} s")

    opening: Deferred[IStreamPath] = streams.open_path(datagrams, role, secret, acceptor)
    return opening.addTimeout(STREAMS_S, host.reactor, not_in_time)


@define(eq=False)
class Tunnel:
    """A path of streams and its users.  Once it is retired it lasts as long as the last of them.

    :ivar path: None until it is there; owned from then on.
    """

    path: IStreamPath | None = None
    _users: int = field(default=0, init=False)
    _retired: bool = field(default=False, init=False)

    def carries(self, flow: IFlow) -> None:
        """A user has a flow on it."""
        self._users += 1
        flow.when_ended().addBoth(self._user_left)

    def retire(self) -> Deferred[Any]:
        """Nobody else will use it; fires once it is closed, which waits for those who do."""
        lost: Deferred[Any] = succeed(None) if self.path is None else self.path.when_lost()
        self._retired = True
        self._close_if_over()
        return lost

    def _user_left(self, result: object) -> None:
        self._users -= 1
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._retired and not self._users and self.path is not None:
            self.path.close()


@implementer(ILegAcceptor)
class NoGuests:
    """Takes no streams: the other end of the path has nothing to ask for."""

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        leg.abort()
