"""Direct paths between two clients: where they meet, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.interfaces.hosts import IInitiator, IRegisteredProxy, ISignalPeer
    from relaykit.interfaces.legs import IDatagramLeg, ILegAcceptor, IStreamPath
    from relaykit.sansio.nat.checks import PeerRole
    from relaykit.sansio.nathole.messages import NatHoleResp
    from relaykit.values import Address, Ended, Secret

__all__ = [
    "IDatagramStreams",
    "IDirectPath",
    "IDirectPaths",
    "IHoleSocket",
    "IHoles",
    "IRendezvous",
    "IRendezvousPoint",
]


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
    """The direct paths of one backend or of one visitor, which hands on the signals that it gets.

    Who is at the other end of a path is known as well as the relay server is honest: it brought the two
    together, and made the key that the path was found with.  :meth:`IDirectPath.open_streams` makes sure.
    """

    def prepare(role: PeerRole) -> None:
        """Begins to load what streams of a path need at this end: users will want one.

        What is known of the network is found out from when a host's ``direct_paths`` are first used.
        """

    def call(
        secret: Secret, for_datagrams: bool = False, on_overdue: Callable[[], None] | None = None
    ) -> Deferred[IDirectPath]:
        """For a visitor: a path to the client of the proxy, which the visitor owns.

        ``secret`` is what its exposure may ask for.  The path is for streams, so it is made of UDP only where
        both ends have QUIC; with ``for_datagrams`` it may be so anyway.  Fails with
        :class:`relaykit.errors.RendezvousRefusedError`, with
        :class:`relaykit.errors.RendezvousFailedError`, or with :class:`relaykit.errors.RefusedError` where
        the server takes no signals.  Cancelling ends the rendezvous at both ends.

        ``on_overdue`` is called once if after ``relaykit.nat.direct_paths.OVERDUE_S`` there is neither a
        path nor an error: whoever waits is to be served in another way.  A path may still come.
        """

    def answer(on_path: Callable[[IDirectPath], None], for_datagrams: bool = False) -> None:
        """For a backend: takes part in rendezvous from now on; ``on_path`` gets each path, and owns it.

        ``for_datagrams`` as for :meth:`call`.
        """

    def signal_received(body: Mapping[str, Any]) -> bool:
        """Takes a signal, and answers whether it was about a rendezvous.

        :raises RemoteProtocolError: it makes no sense.
        """

    def close() -> None:
        """Ends the rendezvous that are under way, and takes part in no others; paths live on."""


class IDirectPath(Interface):
    """A way to one peer that does not lead through the relay server.

    It is used once: by :meth:`open_streams`, or where it is made of UDP by :meth:`datagrams`.
    """

    protocol = Attribute("The :class:`relaykit.values.PathProtocol`.")
    role = Attribute(
        "Which end this is, a :class:`relaykit.sansio.nat.checks.PeerRole`: the visitor initiates."
    )
    peer = Attribute(
        "The :class:`relaykit.values.Address` where the peer is reached; a path of UDP follows its peer."
    )
    host = Attribute("The :class:`relaykit.values.Address` that is bound here.")

    def open_streams(secret: Secret, acceptor: ILegAcceptor) -> Deferred[IStreamPath]:
        """Makes a path of streams, both ends of which may open legs; ``acceptor`` gets the peer's.

        Both ends call this.  The path is encrypted, and each end shows inside that it knows ``secret``, which
        must not be empty: see :mod:`relaykit.sansio.nat.path_proof` for what this protects from, and
        :mod:`relaykit.sansio.nat.path_keys` for a secret that the server does not know.  TCP: TLS 1.3 and
        yamux.  UDP: QUIC.  The streams own the path.

        Fails with :class:`relaykit.errors.PeerUnprovenError`, with
        :class:`relaykit.errors.ConnectionFailed` where the peer goes away or takes too long, or with
        :class:`relaykit.errors.UnsuitablePathError` where the path is made of UDP and QUIC is missing, or is
        in use.  Cancelling closes the path.
        """

    def datagrams() -> IDatagramLeg:
        """The leg whose datagrams the peer gets; it owns the path.  They are neither encrypted nor signed.

        :raises UnsuitablePathError: the path is made of TCP.
        """

    def when_lost() -> Deferred[Ended]:
        """Fires once the path is lost or closed, with why; at once if it is.  Cancelling changes nothing."""

    def close() -> None:
        """Closes the path and all that it carries; the peer of a UDP path is not told, but will notice."""


class IDatagramStreams(Interface):
    """A protocol that makes streams of datagrams, such as QUIC or KCP."""

    def prepare(role: PeerRole) -> None:
        """Begins to load what :meth:`open_path` needs at this end, so that the first path waits for less."""

    def open_path(
        datagrams: IDatagramLeg, role: PeerRole, secret: Secret, acceptor: ILegAcceptor
    ) -> Deferred[IStreamPath]:
        """As :meth:`IDirectPath.open_streams`; owns the leg.

        It shows each end that the other knows ``secret``.
        """


class IHoles(Interface):
    """Hole punching as frp's clients do it, each attempt from a socket of its own."""

    def prepare(protocol: str, role: PeerRole) -> None:
        """Begins to load what streams by this protocol need at this end: users will want a hole.

        What cannot be had is told where streams are asked for.
        """

    def open_socket(offers_interfaces: bool) -> Deferred[IHoleSocket]:
        """A new socket, which the STUN server of the configuration was asked about; the caller owns it.

        ``offers_interfaces`` says whether the peer is told the addresses of this machine's interfaces, too.
        Fails with :class:`relaykit.errors.HolePunchingError`, after some seconds at the latest.
        """


class IHoleSocket(Interface):
    """A socket that a hole may be punched from, and what the peer must be told of it."""

    mapped: Sequence[Address] = Attribute("Where the STUN server saw it, in the order of the answers.")
    interfaces: Sequence[Address] = Attribute("Where it is in this machine's own networks; maybe none.")

    def punch(told: NatHoleResp, secret: Secret) -> Deferred[IDatagramLeg]:
        """Punches as the server has told, and answers the leg to the peer; once, and owns the socket.

        Who is at the other end has shown that it knows ``secret``, but nobody signs what it sends later.
        Fails with :class:`relaykit.errors.HolePunchingError`.  Cancelling closes the socket.
        """

    def close() -> None:
        """Gives it up; harmless once it is used or closed."""
