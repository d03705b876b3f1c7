"""What entrances get of the server: a port, and the way of their clients to it.

Those clients log in, register proxies and open work connections as every client does, and the rest of the
server cannot tell them apart; only their connections are pipes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import field, frozen
from zope.interface import implementer

from relaykit.dataplane.pipes import PipeLeg
from relaykit.interfaces import IEntranceHost, IInsidePath
from relaykit.server.acceptor import Link

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol, IReactorTime

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import ILegAcceptor, IListeningPort, IStreamLeg
    from relaykit.sansio.control.session import SessionSettings
    from relaykit.values import Origin

__all__ = ["EntranceHost", "InsidePath"]


@implementer(IInsidePath)
@frozen(eq=False)
class InsidePath:
    """The way of one such client."""

    settings: SessionSettings = field(repr=False)
    _turns: Poller
    _origin: Origin
    _link: Link
    _on_opened: Callable[[IStreamLeg, Origin, Link], None]

    def open_leg(self) -> IStreamLeg:
        near, far = PipeLeg.pair(self._turns, self._origin.source, self._origin.destination)
        self._on_opened(far, self._origin, self._link)
        return near


@implementer(IEntranceHost)
@frozen(eq=False, kw_only=True)
class EntranceHost:
    """What all entrances of a server get.

    ``on_opened(leg, origin, link)`` gets each logical connection, ``settings(link)`` are those of the next
    session on a link.
    """

    reactor: IReactorTime
    turns: Poller
    _listen: Callable[[int, ILegAcceptor], IListeningPort]
    _connect: Callable[[IStreamLeg, IProtocol], None]
    _is_known: Callable[[str], bool]
    _on_opened: Callable[[IStreamLeg, Origin, Link], None]
    _settings: Callable[[Link], SessionSettings]

    def listen(self, port: int, acceptor: ILegAcceptor) -> IListeningPort:
        return self._listen(port, acceptor)

    def connect(self, leg: IStreamLeg, protocol: IProtocol) -> None:
        self._connect(leg, protocol)

    def is_known(self, source: str) -> bool:
        return self._is_known(source)

    def path(
        self,
        origin: Origin,
        close: Callable[[], None],
        ping: Callable[[], Deferred[None]],
        *,
        is_vouched: bool,
    ) -> InsidePath:
        link = Link(True, True, close, ping=ping, is_inside=True, is_vouched=is_vouched)
        return InsidePath(self._settings(link), self.turns, origin, link, self._on_opened)
