"""Clients that a part of this process lets in, which come by another protocol than frp's.

They log in, register proxies and open work connections as every client does, and the rest of the server
cannot tell them apart; only their connections are pipes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

from relaykit.dataplane.pipes import PipeLeg
from relaykit.server.acceptor import Link

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.control.session import SessionSettings
    from relaykit.values import Origin

__all__ = ["InsideClients", "InsidePath"]


@define(eq=False)
class InsidePath:
    """The way of one such client to the server.

    :ivar settings: what both ends of its session need, the token included.
    :ivar clock: the server's.
    """

    settings: SessionSettings = field(repr=False)
    clock: IReactorTime
    _poller: Poller
    _origin: Origin
    _link: Link
    _on_opened: Callable[[IStreamLeg, Origin, Link], None]

    def open_leg(self) -> IStreamLeg:
        """A new logical connection to the server; this is the client's end, which is paused."""
        near, far = PipeLeg.pair(self._poller, self._origin.source, self._origin.destination)
        self._on_opened(far, self._origin, self._link)
        return near


@define(eq=False)
class InsideClients:
    """Makes the ways by which they come.

    ``on_opened(leg, origin, link)`` gets each logical connection, ``settings(link)`` are those of the next
    session.
    """

    _on_opened: Callable[[IStreamLeg, Origin, Link], None]
    _settings: Callable[[Link], SessionSettings]
    _poller: Poller
    _clock: IReactorTime

    def path(
        self,
        origin: Origin,
        close: Callable[[], None],
        ping: Callable[[], Deferred[None]],
        *,
        is_vouched: bool,
    ) -> InsidePath:
        """The way of a new client, which comes from there.

        :param close: drops the client.
        :param ping: has it say something; fires when it does.
        :param is_vouched: whether it is known who the client is, so that its login proves nothing.
        """
        link = Link(True, True, close, ping=ping, is_inside=True, is_vouched=is_vouched)
        return InsidePath(self._settings(link), self._clock, self._poller, origin, link, self._on_opened)
