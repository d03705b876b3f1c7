"""The work connections of one session: waiting ones, users who wait, and bringing them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from relaykit.dataplane.transforms import transformed
from relaykit.errors import NoWorkConnection, SessionLost
from relaykit.interfaces import ILegReceiver
from relaykit.sansio.control.opening import assign_work, refuse_work
from relaykit.sansio.control.pool import Asked, Assigned, Discarded, Unserved, WhyUnserved, WorkPool
from relaykit.sansio.control.texts import POOL_FULL, PeerTexts
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.wire.framing import Framing
    from relaykit.server.registry import RegisteredProxy
    from relaykit.values import Origin

__all__ = ["Offer", "User", "WorkConnections"]


@frozen(eq=False)
class Offer:
    """A work connection and the version of the wire that it began with."""

    leg: IStreamLeg
    framing: Framing


@implementer(ILegReceiver)
@frozen(eq=False)
class _Idle:
    """Watches a work connection while it waits for a user."""

    _offer: Offer
    _lost: Callable[[Offer], None]

    def data_received(self, data: Buffer) -> None:
        """Nothing may come before a user does: the client broke the rules."""
        self._offer.leg.abort()

    def end_received(self) -> None:
        self._lost(self._offer)
        self._offer.leg.close()

    def leg_lost(self, reason: Ended) -> None:
        self._lost(self._offer)


@define(eq=False)
class User:
    """Somebody who waits for a work connection."""

    proxy: RegisteredProxy
    origin: Origin
    answer: Deferred[IStreamLeg] = field(init=False)


_UNSERVED = {
    WhyUnserved.TIMEOUT: "the client offered no work connection in time",
    WhyUnserved.CROWDED: "too many users wait for this client already",
    WhyUnserved.DEFECTIVE: "the client's work connections broke one after the other",
}


class WorkConnections:
    """Drives the pool of one session.

    ``request(count)`` asks the client for work connections; ``key`` is what encrypted proxies use.
    """

    def __init__(
        self,
        pool: WorkPool[User, Offer],
        request: Callable[[int], None],
        clock: IReactorTime,
        key: bytes,
        entropy: Callable[[int], bytes],
        texts: PeerTexts,
    ) -> None:
        self._pool = pool
        self._request = request
        self._clock = clock
        self._key = key
        self._entropy = entropy
        self._texts = texts
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Asks for as many as the client wants to keep ready."""
        self._settle()

    def close(self) -> None:
        """Lets waiting users go and closes idle connections; what serves a user lives on."""
        self._pool.close()
        self._settle()

    def open(self, proxy: RegisteredProxy, origin: Origin) -> Deferred[IStreamLeg]:
        """A work connection that serves this proxy and this user, transforms included.

        Fails with :class:`relaykit.errors.NoWorkConnection` or :class:`relaykit.errors.SessionLost`.
        """
        user = User(proxy, origin)
        user.answer = Deferred(lambda _answer: self._pool.cancel(user))
        self._pool.want(user, self._clock.seconds())
        self._settle()
        return user.answer

    def offered(self, leg: IStreamLeg, framing: Framing) -> None:
        """The client opened a work connection, of which the opening has been read."""
        offer = Offer(leg, framing)
        leg.attach(_Idle(offer, self._pool.lost))
        self._pool.offer(offer, self._clock.seconds())
        self._settle()

    def _settle(self) -> None:
        """Does what the pool decided, and wakes it in time."""
        for event in self._pool.events():
            if isinstance(event, Asked):
                self._request(event.count)
            elif isinstance(event, Assigned):
                self._assign(event)
            elif isinstance(event, Unserved):
                self._leave_unserved(event)
            elif isinstance(event, Discarded):
                self._discard(event)
        due = self._pool.next_wakeup()
        if self._timer is not None and self._timer.active():
            if due is not None and self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._pool.wake(self._clock.seconds())
        self._settle()

    def _assign(self, event: Assigned[User, Offer]) -> None:
        user, offer = event.user, event.leg
        offer.leg.pauseProducing()
        offer.leg.write(assign_work(offer.framing, user.proxy.name, user.origin))
        transport = user.proxy.common.transport
        key = self._key if transport.use_encryption else None
        user.answer.callback(transformed(offer.leg, key, transport.use_compression, self._entropy))

    def _leave_unserved(self, event: Unserved[User]) -> None:
        if event.why is WhyUnserved.SESSION_ENDED:
            event.user.answer.errback(SessionLost("the client's session ended"))
        else:
            event.user.answer.errback(NoWorkConnection(_UNSERVED[event.why]))

    def _discard(self, event: Discarded[Offer]) -> None:
        if event.surplus:
            event.leg.leg.write(refuse_work(event.leg.framing, self._texts.work(POOL_FULL)))
        event.leg.leg.close()
