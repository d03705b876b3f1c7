"""Direct paths between two clients: where they meet, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.interfaces.hosts import IInitiator, IRegisteredProxy, ISignalPeer
    from relaykit.values import Secret

__all__ = ["IDirectPaths", "IRendezvous", "IRendezvousPoint"]


class IRendezvous(Interface):
    """Where clients of a server meet that want a direct path to each other."""

    def open(proxy: IRegisteredProxy, admit: Callable[[IInitiator], None]) -> IRendezvousPoint:
        """Lets visitors call the client of this proxy.

        ``admit`` applies the type's own rules to each initiator and raises
        :class:`relaykit.errors.RefusedError`; the text goes to the visitor.
        """


class IRendezvousPoint(Interface):
    """Where visitors meet the client of one proxy.  Its exposure hands on the signals that it gets."""

    def signal_received(sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        """Takes a signal, and answers whether it was about a rendezvous.

        :raises RemoteProtocolError: it makes no sense.
        """

    def close() -> None:
        """Ends the rendezvous that are under way: the proxy is not there any more."""


class IDirectPaths(Interface):
    """The rendezvous of one backend or of one visitor, which hands on the signals that it gets.

    What comes of a rendezvous is a :class:`relaykit.nat.paths.PunchedPath`, or where UDP is blocked a
    :class:`relaykit.nat.tcp_attempt.PunchedStream`; either is whose rendezvous it was.  The peer is
    whoever the relay server brought: whoever trusts it less lets it prove who it is.
    """

    def call(secret: Secret) -> Deferred[Any]:
        """For a visitor: calls the client of the proxy, and punches.  Fires with the path.

        ``secret`` is what its exposure may ask for.  Fails with
        :class:`relaykit.errors.RendezvousRefusedError`, with
        :class:`relaykit.errors.RendezvousFailedError`, or with :class:`relaykit.errors.RefusedError` where
        the server takes no signals.  Cancelling ends the rendezvous at both ends.
        """

    def answer(on_path: Callable[[Any], None]) -> None:
        """For a backend: takes part in rendezvous from now on; ``on_path`` gets each path."""

    def signal_received(body: Mapping[str, Any]) -> bool:
        """Takes a signal, and answers whether it was about a rendezvous.

        :raises RemoteProtocolError: it makes no sense.
        """

    def close() -> None:
        """Ends the rendezvous that are under way, and takes part in no others."""
