"""Moving bytes between two legs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from relaykit.interfaces.legs import IStreamLeg
    from relaykit.values import Traffic

__all__ = ["IDataPlane", "IForwarder", "IMeasuringForwarder"]


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
