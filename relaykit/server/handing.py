"""Messages of proxy types that a proxy's client is handed on a work connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.defer import Deferred

from relaykit.values import Origin

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.wire.messages import Message
    from relaykit.server.flows import FlowOwner

__all__ = ["Handover"]


@define(eq=False)
class Handover:
    """One message on its way: it waits for a work connection like a user, and is not counted as one."""

    proxy: FlowOwner
    message: Message
    done: Deferred[None] = field(init=False)
    """Fires once the message was sent; fails where there is no work connection.  Cancelling ends the wait."""
    origin = Origin()
    has_alternative = False
    is_probe = False

    @done.default
    def _make_done(self) -> Deferred[None]:
        return Deferred(lambda _done: self.proxy.session.cancel_work(self))

    def start(self) -> None:
        """Asks for a work connection."""
        self.proxy.session.want_work(self)

    @property
    def is_waiting(self) -> bool:
        return not self.done.called

    def on_work_leg(self, leg: IStreamLeg) -> None:
        leg.close()
        self.done.callback(None)

    def on_unserved(self, error: Exception) -> None:
        self.done.errback(error)
