"""Ways to the server: one muxed link for all streams of a session, or one connection a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.carriers.muxing import MuxLink, Role
from relaykit.interfaces import IStreamPath
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IStreamLeg, ITurns

__all__ = ["DirectPath", "Route"]


@implementer(IStreamPath)
@frozen(eq=False)
class DirectPath:
    """Makes a connection for each stream; the streams share nothing."""

    _connect: Callable[[], Deferred[IStreamLeg]]

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        return self._connect()

    def when_lost(self) -> Deferred[Ended]:
        return Deferred()

    def close(self) -> None:
        """Nothing is shared, so nothing is closed."""


@frozen(eq=False)
class Route:
    """How this client reaches its server.

    ``connect()`` makes one connection, TLS included.  ``muxed`` says whether all streams of a
    session go through one connection.
    """

    _connect: Callable[[], Deferred[IStreamLeg]]
    muxed: bool
    _turns: ITurns
    _clock: IReactorTime
    _keepalive_s: float | None

    async def open_path(self) -> IStreamPath:
        """A new path.

        :raises ConnectionFailed: the server cannot be reached.
        :raises TransportSecurityError: TLS failed, or the server is not the expected one.
        """
        if not self.muxed:
            return DirectPath(self._connect)
        link = MuxLink(await self._connect(), Role.CLIENT, self._turns, self._clock, self._keepalive_s)
        link.start()
        return link
