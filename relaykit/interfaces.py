"""Every interface: what a plugin author provides, what the host gives, and the data plane.

Words are those of ``docs/glossary``.  A *leg* is one end of a forwarded flow; *near* is the leg
where the flow began, *far* the one it is forwarded to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.sansio.contract import Buffer, PrefixParser
    from relaykit.values import Ended, Origin, Secret, Traffic

__all__ = [
    "IBackend",
    "ICaller",
    "IClientHost",
    "IDataPlane",
    "IExposure",
    "IForwarder",
    "IHost",
    "IIngress",
    "IKernelLeg",
    "ILegAcceptor",
    "ILegReceiver",
    "IListeningPort",
    "IMeasuredPath",
    "IMeasuringForwarder",
    "IMeetingPoint",
    "IMeetings",
    "IMuxedLeg",
    "IOneLineProxyType",
    "IPiecesReceiver",
    "IPorts",
    "IProxyType",
    "IProxyTypeReference",
    "IRegisteredProxy",
    "IRendezvous",
    "ISecureLeg",
    "IServerHost",
    "ISessionFollower",
    "ISignalPeer",
    "ISignalReceiver",
    "IStreamLeg",
    "IStreamPath",
    "ITurns",
    "IVisit",
    "IVisitable",
    "IVisitableProxyType",
    "IVisitor",
    "IVisitorHost",
]


# --- the data plane -------------------------------------------------------------------------


class ITurns(Interface):
    """Collects what is to be done once for all that happens in one turn of the reactor."""

    def at_turn_end(call: Callable[[], None]) -> None:
        """Calls ``call`` once this turn's input has been dealt with; asked again, still once.

        Outside of a turn it is called soon, never within this call.
        """


class ILegReceiver(Interface):
    """Who gets what arrives on a leg."""

    def data_received(data: Buffer) -> None:
        """Bytes arrived; ``data`` is lent for the duration of the call."""

    def end_received() -> None:
        """The peer will send no more; this side may go on writing."""

    def leg_lost(reason: Ended) -> None:
        """The leg is gone, both directions; called once, last, also after close and abort.

        What had arrived before is delivered first, so a paused leg tells it once it is resumed.
        """


class IPiecesReceiver(ILegReceiver):
    """A receiver that can make use of several pieces at once, as by one system call for all of them."""

    def pieces_received(pieces: Sequence[Buffer]) -> None:
        """The same as so many calls of ``data_received``; at least two pieces, all of them lent."""


class IStreamLeg(IPushProducer, IConsumer):
    """A byte stream: a socket, a TLS session, a stream of a mux link, a transformed leg.

    A leg is made paused and delivers nothing until it was attached to a receiver.  It is a
    Twisted push producer (``pauseProducing`` stops delivery, ``resumeProducing`` goes on) and a
    consumer (``registerProducer(producer, True)`` names who to pause while its output is full).
    Until a receiver is attached, loss of the peer is remembered and told then.
    """

    peer = Attribute("The :class:`relaykit.values.Address` of the other end, or None.")
    host = Attribute("The :class:`relaykit.values.Address` of this end, or None.")

    def attach(receiver: ILegReceiver) -> None:
        """Names the receiver (again, to hand the leg on) and resumes delivery.

        Bytes that were peeked at or not taken are delivered first, within this call.
        """

    def write(data: Buffer) -> None:
        """Sends bytes after those written before.  Keeps ``bytes`` by reference, copies views.

        Does nothing once the leg is closed, ended or lost.
        """

    def write_sequence(pieces: Sequence[Buffer]) -> None:
        """The same for several pieces, with fewer system calls."""

    def peek(parser: PrefixParser) -> Deferred[Any]:
        """Answers what the parser makes of the first bytes; all of them stay unread.

        The leg must have no receiver.  Fails with what the parser raises, or with
        :class:`relaykit.errors.ConnectionFailed` when the leg ends or is lost before.
        Cancelling stops reading and leaves what was read unread.
        """

    def take(parser: PrefixParser) -> Deferred[Any]:
        """Like :meth:`peek`, but the bytes that the answer consists of are consumed."""

    def unread(data: bytes) -> None:
        """Puts bytes back in front of what will be delivered next, and pauses the leg."""

    def favor_latency() -> None:
        """Lets output wait with its writer rather than below, as far as that can be chosen.

        For who has urgent output, too: what the kernel has taken cannot be overtaken any more.
        """

    unconfirmed = Attribute(
        "Bytes on their way to the peer's machine, which has not confirmed them; None where nobody knows, "
        "as on a stream of a mux link."
    )

    def give_up_unconfirmed(after_s: float) -> None:
        """Loses the leg once bytes have not been confirmed, or none were taken, for so long.

        For a peer that must always read.  Where the system cannot do that nothing happens.
        """

    def finish_writing() -> None:
        """Ends this side's direction after what was written (half-close)."""

    def close() -> None:
        """Sends what was written, then ends both directions; nothing is delivered any more.

        Bounded in time: what cannot be sent within the linger time is dropped.
        """

    def abort() -> None:
        """Drops the leg at once, with a reset where the transport has one."""


class IKernelLeg(IStreamLeg):
    """A leg whose bytes the kernel itself can move: plain TCP, unix sockets."""

    output_queued = Attribute("Bytes that were written and wait for the kernel.")

    def fileno() -> int:
        """The descriptor of the socket; the leg stays its owner."""

    def divert(pull: Callable[[], int] | None) -> None:
        """Lets ``pull`` take the input in place of this leg, or (None) no longer.

        It is called when there is something to read and the leg may deliver; it answers how many
        bytes it moved, 0 for the end, and raises OSError as ``recv`` would.
        """

    def await_writable(push: Callable[[], None]) -> None:
        """Calls ``push`` once, when what was written is sent and the socket takes more."""

    def output_failed(error: OSError) -> None:
        """Is told by whoever wrote to the descriptor that it failed, as if this leg had written."""


class IMuxedLeg(IStreamLeg):
    """A stream that shares its link with others."""

    def expedite() -> None:
        """Lets this stream's output overtake queued output of other streams (control traffic)."""


class ISecureLeg(IStreamLeg):
    """A leg over TLS."""

    peer_certificate = Attribute("The peer's certificate in DER, or None.")
    tls_version = Attribute("Such as ``TLSv1.3``.")

    def export_keying_material(label: bytes, length: int) -> bytes:
        """A secret that only the two ends of this TLS session know.  Source: RFC 9266, RFC 8446 7.5."""


class ILegAcceptor(Interface):
    """Who takes legs that others opened."""

    def leg_accepted(leg: IStreamLeg, origin: Origin) -> None:
        """A new leg; it is paused, and the acceptor owns it."""


class IStreamPath(Interface):
    """Many streams between two peers: a mux link, a QUIC connection, or one connection a stream."""

    def open_leg(urgent: bool) -> Deferred[IStreamLeg]:
        """Opens a stream to the peer.  Urgent streams overtake the others where they share a link.

        Fails with :class:`relaykit.errors.ConnectionFailed`.
        """

    def when_lost() -> Deferred[Ended]:
        """Fires once what all streams share is gone; never, where they share nothing."""

    def close() -> None:
        """Closes the path and, where they share a link, all its streams."""


class IMeasuredPath(IStreamPath):
    """A path that can tell how far away the peer is."""

    round_trip_s = Attribute("The round trip that was measured last, in seconds; None before the first.")

    def measure_round_trip() -> None:
        """Asks for a new measurement; it is there once the peer has answered."""


class IListeningPort(Interface):
    """A port that is open."""

    address = Attribute("The :class:`relaykit.values.Address` that is listened on.")

    def close() -> None:
        """Closes the port at once; accepted legs live on."""


class IForwarder(Interface):
    """Moves bytes between two legs."""

    def can_forward(near: IStreamLeg, far: IStreamLeg) -> bool:
        """Whether this forwarder can serve these two legs."""

    def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Deferred[Traffic]:
        """Owns both legs from now on and moves bytes until both are gone.

        Bytes not yet delivered go first.  With ``half_close`` the end of one direction passes
        through and the other goes on; without, the end of one direction ends the flow after what
        was received has been written.  A lost leg is an ending, not a failure: the Deferred fires
        with the traffic after both legs are gone.  Memory is bounded in each direction.
        Cancelling aborts both legs.
        """


class IMeasuringForwarder(IForwarder):
    """A forwarder that can say what its flows have moved while they last."""

    def moving() -> tuple[int, int]:
        """Bytes that the present flows have moved so far: near to far, and far to near."""


class IDataPlane(Interface):
    """The only way to move bytes."""

    def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Deferred[Traffic]:
        """Moves bytes between two legs by the first forwarder that can; see :class:`IForwarder`."""


# --- what a plugin author provides -------------------------------------------------------------


class IProxyTypeReference(IPlugin):
    """The object in a dropin file: names a proxy type without importing it."""

    name = Attribute("The proxy type's name, as in a configuration file.")
    module = Attribute("Dotted name of the module that has ``proxy_type``.")
    commands = Attribute("The commands of its :class:`IOneLineProxyType`; empty if it has none.")

    def load() -> IProxyType:
        """Imports the module and answers its ``proxy_type``.

        :raises BrokenProxyType: with the reason.
        """


class IProxyType(Interface):
    """A kind of proxy: makes its server half, its client half and, for some, its visitor.

    ``options`` are instances of the type's own options classes, already checked.
    """

    name = Attribute("``type`` in a configuration file and on the wire.")
    summary = Attribute("One line for people.")
    proxy_options = Attribute("Options class of its own keys in ``[[proxies]]``.")
    ingress_options = Attribute("Options class of the server's table ``[proxyTypes.NAME]``.")

    def make_ingress(options: Any, host: IServerHost) -> IIngress:
        """The server half; once per server.  Constructing has no effects, starting has."""

    def make_backend(options: Any, host: IClientHost) -> IBackend:
        """The client half; once per configured proxy."""


class IVisitableProxyType(IProxyType):
    """A proxy type that is reached through visitors."""

    visitor_options = Attribute("Options class of its own keys in ``[[visitors]]``.")

    def make_visitor(options: Any, host: IVisitorHost) -> IVisitor:
        """The visitor half; once per configured visitor."""


class IOneLineProxyType(IProxyType):
    """A proxy type that has commands of its own: one line of a terminal runs a proxy or a visitor of it."""

    one_lines = Attribute("The :class:`relaykit.options.OneLine` of each command.")


class IIngress(IService):
    """The server half of a proxy type: the entrance that its proxies share."""

    async def expose(proxy: IRegisteredProxy) -> IExposure:
        """Opens the proxy to users.

        :raises ProxyRefusedError: it cannot be; the text goes to the client.
        """


class IExposure(Interface):
    """One proxy, open to users."""

    address = Attribute("What the client is told that users dial; empty if nothing is public.")

    async def withdraw() -> None:
        """Closes it to new users, before its name and ports are free again."""


class IVisitable(IExposure):
    """An exposure that visitors reach."""

    async def visited(visit: IVisit) -> None:
        """A visitor asks for one flow.

        :raises VisitRefusedError: it may not have it; the text goes to the visitor.
        """


class IBackend(IService):
    """The client half of one proxy: what takes its work connections."""

    async def work_assigned(leg: IStreamLeg, origin: Origin) -> None:
        """A user came; the backend owns the leg.  Returns when the flow has ended."""


class IVisitor(IService):
    """The client half of one visitor."""

    def user_accepted(leg: IStreamLeg, origin: Origin) -> None:
        """A local user's leg, from the visitor's port or handed over by other code."""


class ISessionFollower(Interface):
    """Optional, on a visitor: has something that lasts as long as a session does.

    Users may come while there is none.  A backend needs no such thing: its proxy is registered again.
    """

    def session_started() -> None:
        """There is a session with the server, which knows nothing of the one before."""

    def session_ended() -> None:
        """There is none any more."""


class ISignalReceiver(Interface):
    """Optional, on an exposure, a backend or a visitor: takes type-specific control messages."""

    async def signal_received(sender: ISignalPeer, body: Mapping[str, Any]) -> None:
        """A signal arrived.  ``body`` is what the peer sent: check it.

        :raises RemoteProtocolError: it makes no sense; the log says so, and nothing else happens.
        """


# --- what the host gives ---------------------------------------------------------------------


class ISignalPeer(Interface):
    """The other half of a proxy or a visitor, for type-specific control messages."""

    identity = Attribute("The :class:`relaykit.values.ClientIdentity` of the client in question.")
    takes_signals = Attribute("Whether both ends speak relaykit's extension ``signal``.")

    def signal(body: Mapping[str, Any]) -> None:
        """Sends a signal (JSON values only).  Not answered, not confirmed, in order.

        :raises RefusedError: NOT_AVAILABLE, when :attr:`takes_signals` is false.
        """


class IRegisteredProxy(ISignalPeer):
    """The server's view of one proxy."""

    name = Attribute("Its name on the server, user prefix included.")
    type = Attribute("The proxy type's name.")
    common = Attribute("What travelled of its :class:`relaykit.options.ProxyCommon`.")
    options = Attribute("A checked instance of the type's ``proxy_options``.")

    def open_work_leg(origin: Origin) -> Deferred[IStreamLeg]:
        """A leg to the proxy's backend, transforms included.

        Fails with :class:`relaykit.errors.NoWorkConnection` or
        :class:`relaykit.errors.SessionLost`.
        """

    def serve(user: IStreamLeg, origin: Origin) -> Deferred[Traffic]:
        """Gives a user what the proxy offers: work leg, forwarding, accounting.  Never fails
        because of a peer; owns the leg.
        """


class ICaller(ISignalPeer):
    """A visitor that asks to be let in: for one flow, or for a meeting with the proxy's client."""

    def proves(secret: Secret) -> bool:
        """Whether the visitor has shown that it knows the secret; constant time."""


class IVisit(ICaller):
    """A visitor's request for one flow."""

    origin = Attribute("Where the visiting client's connection came from.")

    def accept(secret: Secret) -> IStreamLeg:
        """Tells the visitor yes and answers its leg, transforms (keyed by the secret) included."""


class IRendezvous(Interface):
    """Where clients of a server meet that want a direct path to each other."""

    def open(proxy: IRegisteredProxy, admit: Callable[[ICaller], None]) -> IMeetingPoint:
        """A place where visitors may call the client of this proxy.

        ``admit`` applies the type's own rules to each caller and raises
        :class:`relaykit.errors.RefusedError`; the text goes to the visitor.
        """


class IMeetingPoint(Interface):
    """Where visitors meet the client of one proxy.  Its exposure hands on the signals that it gets."""

    def signal_received(sender: ISignalPeer, body: Mapping[str, Any]) -> bool:
        """Takes a signal, and answers whether it was about a meeting.

        :raises RemoteProtocolError: it makes no sense.
        """

    def close() -> None:
        """Ends the meetings that are under way: the proxy is not there any more."""


class IMeetings(Interface):
    """The meetings of one backend or of one visitor, which hands on the signals that it gets.

    What comes of a meeting is a :class:`relaykit.nat.paths.PunchedPath`, or where UDP is blocked a
    :class:`relaykit.nat.stream_punch.PunchedStream`; either is whose meeting it was.  The peer is
    whoever the relay server brought: whoever trusts it less lets it prove who it is.
    """

    def call(secret: Secret) -> Deferred[Any]:
        """For a visitor: calls the client of the proxy, and punches.  Fires with the path.

        ``secret`` is what its exposure may ask for.  Fails with
        :class:`relaykit.errors.MeetingRefusedError`, with :class:`relaykit.errors.MeetingFailed`, or with
        :class:`relaykit.errors.RefusedError` where the server takes no signals.  Cancelling ends the
        meeting at both ends.
        """

    def answer(taker: Callable[[Any], None]) -> None:
        """For a backend: takes part in meetings from now on; ``taker`` gets each path."""

    def signal_received(body: Mapping[str, Any]) -> bool:
        """Takes a signal, and answers whether it was about a meeting.

        :raises RemoteProtocolError: it makes no sense.
        """

    def close() -> None:
        """Ends the meetings that are under way, and takes part in no others."""


class IHost(Interface):
    """What every half of every proxy type may use."""

    reactor = Attribute("An :class:`twisted.internet.interfaces.IReactorTime`.")
    data_plane = Attribute("The :class:`IDataPlane`.")


class IServerHost(IHost):
    """The relay server, as an ingress sees it."""

    ports = Attribute("The :class:`IPorts` that policy is applied to.")
    public_name = Attribute("The name that users know this server by, or empty.")
    rendezvous = Attribute("The :class:`IRendezvous` of this server.")


class IClientHost(IHost, ISignalPeer):
    """The client, as a backend sees it."""

    name = Attribute("The proxy's name in the configuration, without user prefix.")
    common = Attribute("Its :class:`relaykit.options.ProxyCommon`.")
    half_close = Attribute("Whether the server passes half-close through.")
    meetings = Attribute("The :class:`IMeetings` of this backend.")

    def connect_local(origin: Origin) -> Deferred[IStreamLeg]:
        """A leg to the local service.

        Fails with :class:`relaykit.errors.ConnectionFailed`, which has been logged with the
        proxy's name and for whom it was.
        """


class IVisitorHost(IHost, ISignalPeer):
    """The client, as a visitor sees it."""

    name = Attribute("The visitor's name in the configuration.")
    common = Attribute("Its :class:`relaykit.options.VisitorCommon`.")
    half_close = Attribute("Whether the server passes half-close through.")
    meetings = Attribute("The :class:`IMeetings` of this visitor.")

    def listen(acceptor: ILegAcceptor) -> Deferred[IListeningPort | None]:
        """Opens the visitor's port, retrying while it is taken; None when it has none."""

    def open_visit(origin: Origin) -> Deferred[IStreamLeg]:
        """A leg through the server to the proxy's backend, transforms included.

        Fails with :class:`relaykit.errors.VisitRefusedError`,
        :class:`relaykit.errors.ConnectionFailed` or :class:`relaykit.errors.SessionLost`.
        """


class IPorts(Interface):
    """The only way to open a port; rules and quotas are applied."""

    def listen_stream(
        port: int, acceptor: ILegAcceptor, holder: IRegisteredProxy
    ) -> Deferred[IListeningPort]:
        """Opens a TCP port for a proxy; 0 picks one, the one that the same name had if it is free.

        Fails with :class:`relaykit.errors.ProxyRefusedError`.
        """
