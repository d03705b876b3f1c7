"""Moving bytes between two legs, and the handle of what moves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint

    from relaykit.interfaces.legs import (
        IDatagramLane,
        IDatagramLeg,
        ILegAcceptor,
        ISecureLeg,
        IStreamLeg,
        IStreamPath,
    )
    from relaykit.interfaces.observers import ILegObserver
    from relaykit.sansio.lanes.codec import DatagramTooLarge, LaneCodec
    from relaykit.sansio.pacing import Budget
    from relaykit.values import Ended, Traffic

__all__ = ["IDataPlane", "IFlow", "IForwarder"]


class IFlow(Interface):
    """The handle of what is forwarded between two legs, from when they are joined until both are gone."""

    def moved() -> tuple[int, int]:
        """Bytes of payload up to now: near to far, and far to near."""

    def when_ended() -> Deferred[Traffic]:
        """Fires once both legs are gone; at once if they are.

        A lost leg is an ending, not a failure: only a defect fails it.
        """

    def end(why: Ended) -> None:
        """Drops both legs at once; their ends are told by a reset, and the traffic names ``why``.

        Harmless once the flow has ended.
        """


class IForwarder(Interface):
    """Moves bytes between two legs."""

    def can_forward(near: IStreamLeg, far: IStreamLeg) -> bool:
        """Whether this forwarder can serve these two legs."""

    def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
        """Owns both legs from now on and moves bytes until both are gone.

        Bytes not yet delivered go first.  With ``half_close`` the end of one direction passes
        through and the other goes on; without, the end of one direction ends the flow after what
        was received has been written.  Memory is bounded in each direction.
        """

    def close() -> None:
        """Gives back what it holds of the system, as its flows end; there will be no more of them."""


class IDataPlane(Interface):
    """The only way to move bytes."""

    flows: Collection[IFlow] = Attribute("The :class:`IFlow` of each pair of legs that is forwarded.")

    def forward(near: IStreamLeg, far: IStreamLeg, half_close: bool) -> IFlow:
        """Moves bytes between two legs by the first forwarder that can; see :class:`IForwarder`."""

    def forward_datagrams(near: IDatagramLeg, far: IDatagramLeg) -> IFlow:
        """Owns both legs from now on and moves datagrams until one is lost, or none has come for a minute."""

    def paced(leg: IStreamLeg, budgets: Sequence[Budget]) -> IStreamLeg:
        """A leg whose bytes of both directions wait for their turns with all these budgets; owns the leg.

        Without budgets it is the leg itself.  Every leg of a budget is of the same data plane.
        """

    def observed(leg: IStreamLeg, observer: ILegObserver) -> IStreamLeg:
        """A leg that shows all that passes it to an observer; owns the leg."""

    def policed(leg: IDatagramLeg, budgets: Sequence[Budget]) -> IDatagramLeg:
        """The same for datagrams, of which those beyond the budgets are dropped and counted."""

    def connect(leg: IStreamLeg, protocol: IProtocol) -> None:
        """Lets a Twisted protocol speak over a leg, which it owns."""

    def endpoint(open_leg: Callable[[], Deferred[Any]]) -> IStreamClientEndpoint:
        """An endpoint whose connections are legs, such as ``lambda: proxy.open_work_leg(origin)`` opens.

        Connecting fails with what opening fails with.
        """

    def protocol_acceptor(factory: IProtocolFactory) -> ILegAcceptor:
        """Who serves the legs of a port by protocols of a factory, such as a ``twisted.web.server.Site``.

        They speak with where a connection came from.  The factory is the caller's to start and stop.
        """

    def tls_context(certificate: bytes, key: bytes, protocols: Sequence[bytes] = ()) -> Any:
        """What :meth:`secured` shows to peers: a certificate with its chain, and its key, in PEM.

        Of a peer that says what it would speak (ALPN), the first of ``protocols`` that it named is spoken.

        :raises TransportSecurityError: they cannot be used; the text says why.
        """

    def secured(leg: IStreamLeg, context: Any) -> Deferred[ISecureLeg]:
        """Does TLS as the server over a leg without receiver, and owns it; answers the leg within.

        Bytes that were peeked at belong to it.  Fails with
        :class:`relaykit.errors.TransportSecurityError`, after ten seconds at the latest; the leg is closed.
        Cancelling aborts the leg.
        """

    def lane_over(
        leg: IStreamLeg, codec: LaneCodec, on_too_large: Callable[[DatagramTooLarge], None]
    ) -> IDatagramLane:
        """A lane on a stream leg, which it owns; the peer must make one of its end, in the same format.

        Where the format says so and the leg is an :class:`IAccompaniedLeg`, datagrams that have room there go
        beside it.

        :param on_too_large: is told of each datagram that the format has no room for; it is dropped.
        """

    def path_lane_over(
        leg: IStreamLeg, path: IStreamPath, on_too_large: Callable[[DatagramTooLarge], None]
    ) -> IDatagramLane:
        """The same on a leg of a direct path, in relaykit's own format.

        Datagrams go beside the leg as far as the path carries them so.
        """
