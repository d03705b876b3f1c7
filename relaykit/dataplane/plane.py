"""The data plane: picks who moves the octets of two legs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.splicing import SpliceForwarder, can_splice
from relaykit.errors import LocalProtocolError
from relaykit.interfaces import IDataPlane

if TYPE_CHECKING:
    from relaykit.interfaces import IForwarder, IStreamLeg
    from relaykit.values import Traffic

__all__ = ["DataPlane", "make_data_plane"]


@implementer(IDataPlane)
class DataPlane:
    """Forwards by the first of its forwarders that can."""

    def __init__(self, forwarders: Sequence[IForwarder]) -> None:
        self._forwarders = tuple(forwarders)
        self._waiting: list[Deferred[None]] = []
        self.flows = 0
        """How many flows there are at the moment."""

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Deferred[Traffic]:
        for forwarder in self._forwarders:
            if forwarder.can_forward(near, far):
                self.flows += 1
                return forwarder.forward(near, far, half_close).addBoth(self._ended)
        raise LocalProtocolError("no forwarder can serve these two legs: CopyForwarder serves any")

    def when_idle(self) -> Deferred[None]:
        """Fires once there is no flow; at once if there is none.  Cancelling stops waiting."""
        if not self.flows:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def _ended(self, result: Traffic) -> Traffic:
        self.flows -= 1
        if not self.flows:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)
        return result


def make_data_plane() -> DataPlane:
    """The forwarders that this platform has, the fastest first."""
    forwarders: list[IForwarder] = [CopyForwarder()]
    if can_splice():
        forwarders.insert(0, SpliceForwarder())
    return DataPlane(forwarders)
