"""Legs and paths: what carries bytes, and who gets them.

A *leg* is one end of a forwarded flow; *near* is the leg where the flow began, *far* the one it is
forwarded to.  The other words are those of ``docs/glossary``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.sansio.contract import Buffer, PrefixParser
    from relaykit.values import Address, Ended, Origin

__all__ = [
    "IAccompaniedLeg",
    "IBatchedDatagramAcceptor",
    "IBatchedDatagramLeg",
    "IBatchedDatagramReceiver",
    "IConnection",
    "IDatagramAcceptor",
    "IDatagramLane",
    "IDatagramLeg",
    "IDatagramPath",
    "IDatagramReceiver",
    "IEnd",
    "IKernelLeg",
    "ILegAcceptor",
    "ILegReceiver",
    "IListeningPort",
    "ILossReceiver",
    "IMeasuredPath",
    "IMoveReceiver",
    "IMuxedLeg",
    "IPiecesReceiver",
    "IProbedDatagramLeg",
    "ISecureLeg",
    "ISecureSession",
    "ISharedPath",
    "ISizedDatagramLeg",
    "IStreamLeg",
    "IStreamPath",
    "ITlsTerms",
    "ITurns",
]


class ITurns(Interface):
    """Collects what is to be done once for all that happens in one turn of the reactor."""

    def at_turn_end(call: Callable[[], None]) -> None:
        """Calls ``call`` once this turn's input has been dealt with; asked again, still once.

        Outside of a turn it is called soon, never within this call.
        """

    def in_next_turn(call: Callable[[], None]) -> None:
        """Calls ``call`` once others had their turn; asked again, still once.

        For what takes long, in portions of ``PORTION_S``: where many wait, they share one such portion.
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


class ILossReceiver(ILegReceiver):
    """A receiver that wants to know at once when a leg that it has paused is lost."""

    def loss_noted(reason: Ended) -> None:
        """The peer is gone for another reason than that both directions ended.

        The leg holds what came before: resumed, it delivers that and tells its loss.
        """


class IConnection(Interface):
    """The connection of the system below a leg, with TLS and whatever else in between."""

    def favor_latency() -> None:
        """Lets output wait with its writer rather than below, as far as that can be chosen.

        For who has urgent output, too: what the kernel has taken cannot be overtaken any more.
        """

    unconfirmed = Attribute(
        "Bytes on their way to the peer's machine, which has not confirmed them; None where nobody knows."
    )

    def give_up_unconfirmed(after_s: float) -> None:
        """Loses the leg once bytes have not been confirmed, or none were taken, for so long.

        For a peer that must always read.  Where the system cannot do that nothing happens.
        """


class IEnd(Interface):
    """One end of something that has two."""

    peer = Attribute(
        "The :class:`relaykit.values.Address` of the other end, or None; behind a trusted load balancer that "
        "of whom it speaks for."
    )
    host = Attribute("The :class:`relaykit.values.Address` of this end, or None; likewise.")


class IStreamLeg(IEnd, IPushProducer, IConsumer):
    """A byte stream: a socket, a TLS session, a stream of a mux link, a transformed leg.

    A leg is made paused and delivers nothing until it was attached to a receiver.  It is a
    Twisted on_writable producer (``pauseProducing`` stops delivery, ``resumeProducing`` goes on) and a
    consumer (``registerProducer(producer, True)`` names who to pause while its output is full).
    Until a receiver is attached, loss of the peer is remembered and told then.
    """

    connection = Attribute("The :class:`IConnection` that carries this leg and no other, or None.")
    turns = Attribute("The :class:`ITurns` by which it tells what may not be told within a call.")

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

    def finish_writing() -> None:
        """Ends this side's direction after what was written (half-close)."""

    def close() -> None:
        """Sends what was written, then ends both directions; nothing is delivered any more.

        Bounded in time: what cannot be sent within the linger time is dropped.
        """

    def break_off() -> None:
        """Like :meth:`close`, for a leg whose counterpart is lost: nobody is left to talk to its peer.

        The peer is told by a reset, once it has ended its direction, had
        ``LOST_LINGER_S`` to read the rest, or taken nothing for so long.  After
        ``close`` it hastens what that began.
        """

    def abort() -> None:
        """Drops the leg at once, with a reset where the transport has one."""

    def when_gone(call: Callable[[], None]) -> None:
        """Calls ``call`` once the leg is gone with what it stood on, whoever its receiver is then."""


class IKernelLeg(IStreamLeg, IConnection):
    """A leg whose bytes the kernel itself can move: plain TCP, unix sockets."""

    output_queued = Attribute("Bytes that were written and wait for the kernel.")

    def fileno() -> int:
        """The descriptor of the socket; the leg stays its owner."""

    def read_with(read: Callable[[], int] | None) -> None:
        """Lets ``read`` take the input in place of this leg, or (None) no longer.

        It is called when there is something to read and the leg may deliver; it answers how many
        bytes it moved, 0 for the end, and raises OSError as ``recv`` would.
        """

    def await_writable(on_writable: Callable[[], None]) -> None:
        """Calls ``on_writable`` once, when what was written is sent and the socket takes more."""

    def output_failed(error: OSError) -> None:
        """Is told by whoever wrote to the descriptor that it failed, as if this leg had written."""


class IMuxedLeg(IStreamLeg):
    """A stream that shares its link with others."""

    def accept() -> None:
        """It is known what the peer opened it for; until then it is one of a few hundred that may wait."""

    def expedite() -> None:
        """Lets this stream's output overtake queued output of other streams (control traffic)."""


class ISecureSession(Interface):
    """A session of TLS with the peer, whatever it protects."""

    peer_certificate = Attribute("The peer's certificate in DER, or None.")
    tls_version = Attribute("Such as ``TLSv1.3``.")
    is_verified = Attribute("Whether the peer proved who it is, as this end demanded, by its certificate.")
    broken_by = Attribute("Why TLS ended in disorder, in words; empty as long as it has not.")

    def export_keying_material(label: bytes, length: int) -> bytes:
        """A secret that only the two ends of this TLS session know.  Source: RFC 9266, RFC 8446 7.5.

        Empty where it is not known that the peer itself is the other end, and no proxy in between.
        """


class ISecureLeg(IStreamLeg, ISecureSession):
    """A leg over TLS."""


class ITlsTerms(Interface):
    """What one end shows and demands in TLS, for a carrier whose library does TLS itself."""

    shown = Attribute(
        "The certificate that is shown, with its key: ``certificate``, a chain, and ``key`` in PEM, and "
        "``der``; or None."
    )
    asked_name = Attribute("The name that the peer is asked for (SNI), in bytes; empty for none.")
    verifies = Attribute("Whether the peer must prove who it is.")
    of_authorities = Attribute("Whether a client must show a certificate of an authority.")

    def verify(chain: Sequence[bytes]) -> None:
        """Checks the certificates that the peer showed, in DER, its own first.

        :raises TransportSecurityError: it is not the expected one.
        """


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

    def connection_of(leg: IStreamLeg) -> IEnd:
        """What a leg of this path lives on: the leg below that all share, the path, or the leg itself."""

    def close() -> None:
        """Closes the path and, where they share a link, all its streams."""


class ISharedPath(IStreamPath):
    """A path whose streams share one connection, which either end may open streams on."""

    def accept_legs(acceptor: ILegAcceptor, at_once: bool = True) -> None:
        """Names who takes the legs that the peer opens, each an :class:`IMuxedLeg`; before :meth:`start`.

        Where they are not accepted ``at_once``, that is done by :meth:`IMuxedLeg.accept`.
        """

    def restrict(most_streams: int, streams: int, size: int) -> None:
        """Lets the peer have ``most_streams`` at once, open ``streams`` and send ``size`` bytes in all.

        More of the first are refused.  With more of the others the path is lost.
        """

    def lift() -> None:
        """Lets the peer have and send what every peer may."""

    def start() -> None:
        """Begins to read and write."""

    def ping() -> Deferred[None]:
        """Has the peer say something; fires with the next bytes that it sends, and never without any."""

    def round_trip() -> Deferred[None]:
        """Fires when the peer has answered what it was asked after this call: it was there; else never."""


class IMeasuredPath(IStreamPath):
    """A path that can tell how far away the peer is."""

    round_trip_s = Attribute("The round trip that was measured last, in seconds; None before the first.")

    def measure_round_trip() -> None:
        """Asks for a new measurement; it is there once the peer has answered."""


class IDatagramReceiver(Interface):
    """Who gets the datagrams that arrive on a leg."""

    def datagram_received(data: Buffer) -> None:
        """A datagram arrived, maybe an empty one; ``data`` is lent for the duration of the call."""

    def leg_lost(reason: Ended) -> None:
        """The leg is gone; called once, last, also after close."""


class IMoveReceiver(IDatagramReceiver):
    """A receiver that wants to know where its peer is."""

    def peer_moved(peer: Address) -> None:
        """The peer is reached at this :class:`relaykit.values.Address` from now on; the leg sends there."""


class IDatagramLeg(Interface):
    """Datagrams to and from one peer: a UDP socket, one source on a port, frames in a stream.

    Datagrams of up to 65,507 bytes pass whole or not at all, in any order, empty ones included.  None is
    ever queued without bound: what cannot be sent or delivered soon is dropped and counted, as on the way.
    A leg delivers nothing until it was attached to a receiver; a few datagrams are held until then.
    """

    peer = Attribute(
        "The :class:`relaykit.values.Address` of the other end, or None; that of a direct path may change."
    )
    host = Attribute("The :class:`relaykit.values.Address` of this end, or None.")
    dropped = Attribute("Datagrams that were dropped here up to now, both ways.")

    def attach(receiver: IDatagramReceiver) -> None:
        """Names the receiver (again, to hand the leg on) and resumes delivery; held ones come first."""

    def send(data: Buffer) -> bool:
        """Sends a datagram; whether it was taken.  Never raises because of the peer or the network."""

    def pause() -> None:
        """Delivers nothing for the time being; what arrives meanwhile is mostly dropped."""

    def resume() -> None:
        """Delivers again."""

    def close() -> None:
        """Ends the leg; what was taken is still sent, nothing is delivered any more."""


class IProbedDatagramLeg(IDatagramLeg):
    """A leg whose owner finds out itself how large the datagrams may be that the way carries.

    Source: RFC 8899, RFC 9000 14.
    """

    def forbid_fragments() -> bool:
        """From now on datagrams are not cut, here or on the way; whether that can be had."""


class IBatchedDatagramReceiver(IDatagramReceiver):
    """A receiver that can make use of several datagrams at once."""

    def datagrams_received(datagrams: Sequence[bytes]) -> None:
        """The same as so many calls of ``datagram_received``; they are the receiver's."""


class IBatchedDatagramLeg(IDatagramLeg):
    """A leg that can send several datagrams by one system call, where they have one size."""

    def send_many(datagrams: Sequence[bytes]) -> int:
        """The same as so many calls of ``send``; how many were taken.  They may have any sizes.

        What follows one that was not taken may have been taken nevertheless.
        """


class ISizedDatagramLeg(IDatagramLeg):
    """A leg that takes no datagram of more bytes than it says, such as one whose datagrams are not cut."""

    most_bytes = Attribute(
        "The largest datagram that is taken at the moment; 0 for none.  It grows and shrinks with the way."
    )


class IAccompaniedLeg(IStreamLeg):
    """A stream that datagrams may go beside, which belong to it and are as secret as what it carries.

    They may be lost, and overtake each other and the stream.
    """

    beside = Attribute("The :class:`ISizedDatagramLeg` of them, always the same one; None: there are none.")


class IDatagramPath(IStreamPath):
    """A path that carries datagrams, too, beside its streams and as secret as those.

    Source: RFC 9221.
    """

    def datagrams() -> ISizedDatagramLeg:
        """The leg whose datagrams the peer gets, always the same one; closing it closes nothing else.

        They may be lost, and overtake each other and what streams carry.
        """


class IDatagramAcceptor(Interface):
    """Who takes the legs of a datagram port: one for each source that sends to it."""

    def leg_accepted(leg: IDatagramLeg, origin: Origin) -> None:
        """A new source, whose first datagram the leg holds; the acceptor owns it."""


class IBatchedDatagramAcceptor(IDatagramAcceptor):
    """An acceptor whose receivers are all :class:`IBatchedDatagramReceiver`.

    A port may then receive several datagrams of one source by one system call, where they have one size.
    """


class IDatagramLane(Interface):
    """Datagrams of many users over one stream leg, which it owns; each user has a datagram leg on it.

    A lane has two ends.  The users' end opens the legs, and takes the lane for dead after a minute of
    silence.  The service's end accepts a leg for each user that datagrams come from, and sends keep-alives.
    In relaykit's format each end tells the other of a leg that is over, so that it ends there, too.  What is
    sent while the stream has no room, or cannot be sent at all, is dropped and counted by the leg.
    """

    users = Attribute("How many users have a leg at the moment.")
    dropped = Attribute("Datagrams that were dropped up to now because they belonged to nobody.")

    def start(acceptor: IDatagramAcceptor | None = None) -> None:
        """Begins to deliver: as the service's end, whose legs the acceptor gets, or else as the users'."""

    def open(user: Address | None) -> IDatagramLeg:
        """A leg whose datagrams come from this user and go to it; one that the user had is let go.

        :raises ValueError: the user has no address, or one that is none of the Internet protocol.
        """

    def let_go_oldest() -> None:
        """Ends the leg of the user who has been silent for the longest time: there is no room for all."""

    def when_lost() -> Deferred[Ended]:
        """Fires once the lane is gone, with why; all its legs are then."""

    def close() -> None:
        """Ends the lane and all its legs; what was taken is still sent."""


class IListeningPort(Interface):
    """A port that is open."""

    address = Attribute("The :class:`relaykit.values.Address` that is listened on.")

    def close() -> None:
        """Closes the port at once; accepted legs live on, but those of a datagram port are lost with it."""
