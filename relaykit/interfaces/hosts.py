"""What the host gives to the halves of a proxy type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

from relaykit.interfaces.legs import IStreamLeg
from relaykit.sansio.parsers.recognizing import Rank
from relaykit.values import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint

    from relaykit.interfaces.forwarding import IFlow
    from relaykit.interfaces.legs import (
        IDatagramAcceptor,
        IDatagramLane,
        IDatagramLeg,
        ILegAcceptor,
        ILegReceiver,
        IListeningPort,
        IStreamPath,
    )
    from relaykit.interfaces.observers import ILegObserver
    from relaykit.interfaces.rendezvous import IDatagramStreams
    from relaykit.sansio.contract import Recognizer
    from relaykit.sansio.lanes.codec import LaneCodec
    from relaykit.sansio.wire.messages import Message
    from relaykit.values import Exchange, Origin, Secret

__all__ = [
    "IClientHost",
    "IForwardingHost",
    "IHost",
    "IInitiator",
    "IMessagePeer",
    "IPortHolder",
    "IPorts",
    "IRegisteredProxy",
    "IServerHost",
    "ISignalPeer",
    "IVisit",
    "IVisitorHost",
    "IWorkLeg",
]


class ISignalPeer(Interface):
    """The other half of a proxy or a visitor, for type-specific control messages."""

    identity = Attribute("The :class:`relaykit.values.ClientIdentity` of the client in question.")
    takes_signals = Attribute("Whether both ends speak relaykit's extension ``signal``.")

    def signal(body: Mapping[str, Any]) -> None:
        """Sends a signal (JSON values only).  Not answered, not confirmed, in order.

        :raises RefusedError: NOT_AVAILABLE, when :attr:`takes_signals` is false.
        """


class IMessagePeer(Interface):
    """Whom the messages of an :class:`relaykit.interfaces.IMessagingProxyType` come from and go to."""

    identity = Attribute(
        "The :class:`relaykit.values.ClientIdentity` of the client: which of the server's, or this one."
    )

    def send_message(message: Message) -> None:
        """Sends a message of the type's own.  Not answered, not confirmed, in order; lost without a session.

        frp's programs end the session at a message that frp does not have.  Relaykit's skip those of
        ``FREE_NUMBERS`` that they do not know, as whoever ``takes_signals`` does.

        :raises LocalProtocolError: it is too long, or the wire of this session does not have it.
        """


class IPortHolder(Interface):
    """Who has a port: rules and quotas go by it."""

    name = Attribute("Its name on the server: under this one it gets back the port that it had.")
    identity = Attribute("The :class:`relaykit.values.ClientIdentity` of its client.")


class IRegisteredProxy(ISignalPeer, IMessagePeer, IPortHolder):
    """The server's view of one proxy; signals and messages go to its client."""

    name = Attribute("Its name on the server, user prefix included.")
    type = Attribute("The proxy type's name.")
    common = Attribute("What travelled of its :class:`relaykit.options.ProxyCommon`.")
    options = Attribute("A checked instance of the type's ``proxy_options``.")

    flows = Attribute("The :class:`IFlow` of each user, from ``serve`` or ``open_work_leg`` on.")

    def serve(user: IStreamLeg, origin: Origin, is_lane: bool = False) -> IFlow:
        """Gives a user what the proxy offers: a work connection, forwarding, accounting.

        Owns the leg, and logs what goes wrong.  Whoever does not want to end the user can drop the answer.
        ``is_lane`` says that it is one of many users, from :meth:`IVisit.accept_lane`.
        """

    def serve_datagrams(user: IDatagramLeg, origin: Origin, most_bytes: int = MOST_DATAGRAM_BYTES) -> IFlow:
        """The same for a source of datagrams, over one of the proxy's lanes.

        A lane is a work connection that many users share; the backend gives it to
        :meth:`IClientHost.serve_lane`.  ``most_bytes`` is the largest datagram for a client that speaks frp's
        format; others take all sizes.
        """

    def lane_codec() -> LaneCodec:
        """One end of a new lane in the format of the proxy's client, for who carries datagrams itself."""

    def work_leg_for(origin: Origin) -> IWorkLeg | Deferred[IWorkLeg]:
        """An :class:`IWorkLeg` that has served somebody else and was kept, or else what
        :meth:`open_work_leg` answers.

        One that was kept delivers already: attach to it at once.
        """

    def open_work_leg(origin: Origin) -> Deferred[IWorkLeg]:
        """An :class:`IWorkLeg` to the proxy's backend, transforms included, for who speaks over it.

        Its bytes are counted like those of a user who is served, and it may be ended like one.
        Cancelling ends the wait.  Fails with :class:`relaykit.errors.NoWorkConnection`, of which
        :class:`relaykit.errors.NoWorkConnectionInTime` is one, or
        :class:`relaykit.errors.SessionLost`.
        """

    def endpoint(origin: Origin) -> IStreamClientEndpoint:
        """An endpoint that connects Twisted protocols to the proxy's backend by :meth:`open_work_leg`."""

    def hand(message: Message) -> Deferred[None]:
        """Hands the proxy's client a message on a work connection, without transforms, and ends that.

        This is how a message finds the backend of its proxy; frp does it so.  Fires once it was sent.
        Cancelling ends the wait.  Fails as :meth:`open_work_leg` does.
        """


class IWorkLeg(IStreamLeg):
    """A work connection that a proxy type speaks over itself."""

    proxy = Attribute("The :class:`IRegisteredProxy` that it leads to: of a group, the member.")
    is_reused = Attribute(
        "Whether it has served somebody before, so that its other end may have ended it in the meantime."
    )

    def keep() -> None:
        """Gives it back, for somebody else: nothing may be under way on it.

        It waits for a minute for :meth:`IRegisteredProxy.work_leg_for`, unless enough do already, or its
        backend has not taken yet what was sent; whatever arrives on it meanwhile ends it.
        """

    def take_back(receiver: ILegReceiver) -> bool:
        """Takes it again for who had it last, with the producer that it had; false if somebody else has had
        it since, or if it is gone.
        """

    def failed(why: str) -> bool:
        """Tells that it ended before its backend answered, and whether another one is worth a try.

        That is so in a group while other members are well; the group leaves this one out for a while.
        """

    def join(user: IStreamLeg) -> IFlow:
        """Forwards a user over it from now on; owns both legs."""


class IInitiator(Interface):
    """A visitor that asks to be let in: for one flow, or for a rendezvous with the proxy's client."""

    identity = Attribute("The :class:`relaykit.values.ClientIdentity` of the visiting client.")

    def proves(secret: Secret) -> bool:
        """Whether the visitor has shown that it knows the secret; constant time."""


class IVisit(IInitiator):
    """A visitor's request for one flow."""

    origin = Attribute("Where the visiting client's connection came from.")

    def accept(secret: Secret) -> IStreamLeg:
        """Tells the visitor yes and answers its leg, transforms (keyed by the secret) included."""

    def accept_lane(secret: Secret, proxy: IRegisteredProxy) -> IStreamLeg:
        """The same for a visit that is a lane; its leg has the format of the proxy's client."""


class IHost(Interface):
    """What every half of every proxy type may use."""

    reactor = Attribute("An :class:`twisted.internet.interfaces.IReactorTime`.")


class IServerHost(IHost):
    """The relay server, as an ingress sees it."""

    data_plane = Attribute("The :class:`IDataPlane`.")
    ports = Attribute("The :class:`IPorts` that policy is applied to.")
    rendezvous = Attribute("The :class:`IRendezvous` of this server.")

    def release_if_dead(holder: IPortHolder) -> Deferred[bool]:
        """Has the client of a proxy show that it is there, which takes seconds; whether it did not.

        Then it has lost all that it held.  For a proxy that asks for what another one has: ports do this by
        themselves.
        """

    def pass_through(has: Callable[[str], bool]) -> None:
        """Says for good whose TLS is not to be ended here, because a proxy gets it unopened.

        ``has(host)`` tells it of a host's key (``relaykit.sansio.hostnames.host_key``), as long as such a
        proxy is there.
        """

    def passes_through(host: str) -> bool:
        """Whether somebody has said so of this host: who ends TLS leaves its users alone."""


class IForwardingHost(IHost, ISignalPeer, IMessagePeer):
    """The client, as whoever joins a user with a service sees it; signals and messages go to the server."""

    direct_paths = Attribute("The :class:`IDirectPaths` of this backend or visitor.")
    name = Attribute("What the configuration calls it, without user prefix.")
    proxy_name = Attribute("What the server calls the proxy, own or visited: its name, user prefix included.")
    holes = Attribute("The :class:`IHoles` of this client.")
    flows = Attribute("The :class:`IFlow` of each user who is served, with the user's origin.")
    way = Attribute(
        "How users get to the other end, for people, such as ``2 direct paths``: the type sets it where "
        "there is more than one way; else it is empty."
    )

    def datagram_streams(protocol: str) -> IDatagramStreams:
        """What makes streams of datagrams as frp's clients do: ``quic`` or ``kcp``.

        Nobody proves anything there: whoever can send in the peer's name is taken for the peer.

        :raises UnsuitablePathError: it needs a library that is not installed; the text names it.
        """

    def transformed(leg: IStreamLeg, secret: Secret) -> IStreamLeg:
        """A leg whose bytes are encrypted, compressed or both, as the configuration says; owns the leg.

        The other end's configuration must say the same, and have the same secret.
        """

    def forward(near: IStreamLeg, far: IStreamLeg, origin: Origin) -> IFlow:
        """Moves bytes between two legs, of which ``near`` is the one that the user is at.

        Owns both legs.  The flow is metered, the log tells its end, and whoever has the right to may
        end it before.
        """

    def forward_datagrams(near: IDatagramLeg, far: IDatagramLeg, origin: Origin) -> IFlow:
        """The same for datagrams: until one leg is lost, or none has come for a while."""

    def connect(leg: IStreamLeg, protocol: IProtocol) -> None:
        """Lets a Twisted protocol speak with a user over a leg, which it owns."""


class IClientHost(IForwardingHost):
    """The client, as a backend sees it."""

    common = Attribute("Its :class:`relaykit.options.ProxyCommon`.")
    is_observed = Attribute(
        "Whether somebody wants to know of :class:`relaykit.values.Exchange`: only then is it worth looking."
    )

    def observed(leg: IStreamLeg, observer: ILegObserver) -> IStreamLeg:
        """A leg that shows all that passes it to an observer; owns the leg.

        Its bytes pass through this process, where the kernel might have moved them.
        """

    def tell(exchange: Exchange) -> None:
        """Tells those who want to know of a user's exchange."""

    def connect_local(origin: Origin) -> Deferred[IStreamLeg]:
        """A leg to the local service; if the configuration says so, a header of the PROXY protocol that says
        who the user is has been written to it.

        Fails with :class:`relaykit.errors.ConnectionFailed`, which has been logged with the
        proxy's name and for whom it was.
        """

    def open_local_datagrams(origin: Origin) -> Deferred[IDatagramLeg]:
        """A datagram leg to the local service: ``local`` is a ``udp:`` endpoint string then.

        Fails as :meth:`connect_local` does.
        """

    def serve_lane(
        leg: IStreamLeg,
        origin: Origin,
        most_bytes: int = MOST_DATAGRAM_BYTES,
        alone: bool = False,
        path: IStreamPath | None = None,
        admit: Callable[[IDatagramLeg, Origin], tuple[IDatagramLeg, Origin] | None] | None = None,
    ) -> Deferred[None]:
        """Serves the users of a lane: joins each with a datagram leg to the local service.

        ``origin`` is that of the work connection.  On a visitor's lane its source is the visiting client, and
        where the datagrams come from is each user's ``visitor_user``.  Owns the leg, and fires when the lane
        has ended.  With ``alone`` a lane in frp's format takes the place of the one before: for a proxy that
        frp has one of at a time.

        ``path`` is the direct path that the leg is of, whose other end has made its end of the lane by
        :meth:`IVisitorHost.open_direct_lane`.

        ``admit`` is asked about each new user, with its leg, which it owns, and where it comes from by the
        lane.  It answers what is to be joined with the local service, and from where; None for nothing.
        """


class IVisitorHost(IForwardingHost):
    """The client, as a visitor sees it."""

    common = Attribute("Its :class:`relaykit.options.VisitorCommon`.")
    reason = Attribute("Why the last user was not served, for ``status``; the visitor may set it.")

    def sign(secret: Secret) -> tuple[str, int]:
        """What shows the server that this visitor knows the proxy's secret, and the Unix time of it."""

    def hand_over(visitor: str, leg: IStreamLeg, origin: Origin) -> None:
        """Gives a user to the visitor that the configuration calls so, which owns the leg from now on.

        :raises UnknownVisitorError: there is none, or it takes no streams; the leg is still the caller's.
        """

    def listen(acceptor: ILegAcceptor) -> Deferred[IListeningPort | None]:
        """Opens the visitor's port, retrying while it is taken; None when it has none."""

    def listen_datagrams(acceptor: IDatagramAcceptor) -> Deferred[IListeningPort | None]:
        """The same for a UDP port."""

    def open_visit(origin: Origin, secret: Secret) -> Deferred[IStreamLeg]:
        """A leg through the server to the proxy's backend, transforms (keyed by the secret) included.

        The secret is the one of the proxy, which the server is shown a proof of.  Where the user comes from
        goes with it, for the logs of the server and of the proxy's client, if those are relaykit's.
        Fails with :class:`relaykit.errors.VisitRefusedError`,
        :class:`relaykit.errors.ConnectionFailed` or :class:`relaykit.errors.SessionLost`.
        """

    def open_lane(secret: Secret, most_bytes: int) -> Deferred[IDatagramLane]:
        """The same for a lane to the backend, for any number of users; it has been started as their end.

        :param most_bytes: the largest datagram towards frp; relaykit's own format carries all sizes.
        """

    def open_direct_lane(path: IStreamPath) -> Deferred[IDatagramLane]:
        """A lane over a stream of a direct path, in relaykit's own format; started as the users' end.

        Where the path is an :class:`IDatagramPath`, datagrams that have room in one of its own go beside the
        stream; larger ones go by the stream.  A path has one lane at a time.
        Fails with :class:`relaykit.errors.ConnectionFailed`.
        """

    def endpoint(origin: Origin, secret: Secret) -> IStreamClientEndpoint:
        """An endpoint that connects Twisted protocols to the proxy's backend by :meth:`open_visit`."""


class IPorts(Interface):
    """The only way to open a port; rules and quotas are applied."""

    def listen_stream(port: int, acceptor: ILegAcceptor, holder: IPortHolder) -> Deferred[IListeningPort]:
        """Opens a TCP port for a proxy; 0 picks one, the one that the same name had if it is free.

        Fails with :class:`relaykit.errors.ProxyRefusedError`.
        """

    def listen_datagrams(
        port: int, acceptor: IDatagramAcceptor, holder: IPortHolder
    ) -> Deferred[IListeningPort]:
        """The same for a UDP port; a TCP port of this number is another one."""

    def share_stream(
        port: int,
        acceptor: ILegAcceptor,
        key: str,
        recognizer: Recognizer | None = None,
        takes_rest: bool = False,
        rank: Rank = Rank.SHARED,
    ) -> IListeningPort:
        """Opens a TCP port that belongs to no proxy, or takes part in one that is open, the bind port too.

        The acceptor gets the connections that are recognized; without a recognizer those that nobody does.
        With one and ``takes_rest`` it gets both, where nobody else has the rest: on the bind port the clients
        have it.
        Of two that recognize the same, the one with the lower ``rank`` has it, then the one that came first.
        A connection that nobody recognizes in time is closed.  An ingress that the server's file configures
        does this when it is made, so that the failure is the server's.

        :param key: the configuration key that names the port, for messages.
        :raises ListenFailed: :class:`relaykit.dataplane.listening.ListenFailed` with key, address and port.
        """
