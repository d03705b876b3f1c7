"""Entrances: where clients come in that speak another protocol than frp's, and what the server gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol

    from relaykit.interfaces.legs import ILegAcceptor, IListeningPort, IStreamLeg
    from relaykit.values import Origin

__all__ = ["IEntrance", "IEntranceHost", "IInsidePath"]


class IInsidePath(Interface):
    """The way to the server of a client that an entrance has let in; its connections are pipes."""

    settings = Attribute("The ``SessionSettings`` of both ends of its session.")

    def open_leg() -> IStreamLeg:
        """A new logical connection to the server: the client's end, on which nothing has been said."""


class IEntranceHost(Interface):
    """What the server gives to an entrance, for as long as it runs."""

    reactor = Attribute("Time: an IReactorTime.")
    turns = Attribute("When its turns end: an :class:`relaykit.interfaces.ITurns`.")

    def listen(port: int, acceptor: ILegAcceptor) -> IListeningPort:
        """Opens a TCP port on the address that clients dial.

        :raises ListenFailed: :class:`relaykit.dataplane.listening.ListenFailed`, it cannot be opened.
        """

    def connect(leg: IStreamLeg, protocol: IProtocol) -> None:
        """Has a Twisted protocol speak over a leg, which it owns."""

    def is_known(source: str) -> bool:
        """Whether a client is logged in from an address (IPv6: from its /64)."""

    def path(
        origin: Origin, close: Callable[[], None], ping: Callable[[], Deferred[None]], *, is_vouched: bool
    ) -> IInsidePath:
        """The way of a new client, which comes from there.

        ``close()`` drops the client, ``ping()`` has it say something and fires when it does.  Where it
        ``is_vouched`` for, its login need not prove anything.
        """


class IEntrance(Interface):
    """One such entrance."""

    def open(host: IEntranceHost) -> None:
        """Opens what may need privileges, and lets clients in from now on.

        :raises Exception: it cannot.
        """

    def adopt(config: Any) -> None:
        """Goes on with another :class:`relaykit.config.schema.ServerConfig`."""

    def close_port() -> None:
        """Lets nobody in any more; who is in stays.  Doing it again changes nothing."""

    def close() -> Deferred[None]:
        """Ends what is left; fires when nothing is."""
