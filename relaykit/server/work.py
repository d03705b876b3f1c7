"""The work connections of one session: waiting ones, users who wait, and bringing them together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
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


FRESH_S = 2.0
"""Seconds that a work connection may have been idle to be taken for alive without a check: the network
that it came through has hardly changed, and checking costs a round trip."""

CONFIRMED_WITHIN_S = 3.0
"""Seconds for the client's machine to confirm that it got the assignment of an idle work connection; a loss
or two are made good by then.  The user's bytes wait so long, thus none can reach a service twice."""

FIRST_LOOK_S = 0.002
"""Seconds until the first look whether the client's machine has confirmed; doubled with each look."""

LOOK_EVERY_S = 0.05
"""Seconds between two looks at most."""


@frozen(eq=False)
class Offer:
    """A work connection, the version of the wire that it began with, and when it came."""

    leg: IStreamLeg
    framing: Framing
    since: float


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


@implementer(ILegReceiver)
class _Check:
    """Waits until the client's machine confirms an assignment, or anything comes from the client.

    ``confirmed()`` is called once, or ``broken(silently)``: then the assignment has not reached the
    client, of which nothing was heard at all if it broke silently.
    """

    def __init__(
        self,
        leg: IStreamLeg,
        clock: IReactorTime,
        confirmed: Callable[[], None],
        broken: Callable[[bool], None],
    ) -> None:
        self._leg = leg
        self._clock = clock
        self._confirmed = confirmed
        self._broken = broken
        self._over = False
        self._pause_s = FIRST_LOOK_S
        self._deadline = clock.seconds() + CONFIRMED_WITHIN_S
        self._timer: IDelayedCall | None = clock.callLater(self._pause_s, self._look)
        leg.attach(self)

    def data_received(self, data: Buffer) -> None:
        self._leg.unread(bytes(data))
        self._end(self._confirmed)

    def end_received(self) -> None:
        # The client has ended this connection, for a reason that another would not do away with.
        self._end_soon(self._confirmed)

    def leg_lost(self, reason: Ended) -> None:
        if reason is Ended.FINISHED:
            self._end_soon(self._confirmed)
        else:
            self._end(self._broken, False)

    def _look(self) -> None:
        self._timer = None
        if not self._leg.unconfirmed:
            self._leg.pauseProducing()
            self._end(self._confirmed)
        elif self._clock.seconds() >= self._deadline:
            self._end(self._broken, True)
            self._leg.abort()
        else:
            self._pause_s = min(2 * self._pause_s, LOOK_EVERY_S)
            self._timer = self._clock.callLater(self._pause_s, self._look)

    def _end_soon(self, tell: Callable[[], None]) -> None:
        """Tells when the leg has told all, so that whoever gets it next is told, too."""
        if not self._over and self._timer is not None:
            self._timer.cancel()
            self._timer = self._clock.callLater(0, self._end, tell)

    def _end(self, tell: Callable[..., None], *what: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        tell(*what)


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

    log = Logger()

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
        offer = Offer(leg, framing, self._clock.seconds())
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
        leg, now = offer.leg, self._clock.seconds()
        leg.pauseProducing()
        leg.write(assign_work(offer.framing, user.proxy.name, user.origin))
        if now - offer.since <= FRESH_S or leg.unconfirmed is None:
            self._serve(user, leg)
        else:
            _Check(leg, self._clock, partial(self._serve, user, leg), partial(self._broken, event))

    def _serve(self, user: User, leg: IStreamLeg) -> None:
        if user.answer.called:
            # Who wanted it has given up meanwhile.
            leg.close()
            return
        transport = user.proxy.common.transport
        key = self._key if transport.use_encryption else None
        user.answer.callback(transformed(leg, key, transport.use_compression, self._entropy))

    def _broken(self, event: Assigned[User, Offer], silently: bool) -> None:
        """A work connection died while it was idle, and has served nobody: the user gets another one.

        Where it died silently others will have, too, and the user must not wait for each of them.
        """
        now = self._clock.seconds()
        self.log.info(
            "[{run}] [{proxy}] a work connection died while it was idle; {origin} gets another",
            run=event.user.proxy.identity.run_id,
            proxy=event.user.proxy.name,
            origin=event.user.origin,
        )
        for offer in self._pool.idle_legs if silently else ():
            if now - offer.since > FRESH_S:
                self._pool.lost(offer)
                offer.leg.abort()
        self._pool.retry(event, now)
        self._settle()

    def _leave_unserved(self, event: Unserved[User]) -> None:
        if event.why is WhyUnserved.SESSION_ENDED:
            event.user.answer.errback(SessionLost("the client's session ended"))
        else:
            event.user.answer.errback(NoWorkConnection(_UNSERVED[event.why]))

    def _discard(self, event: Discarded[Offer]) -> None:
        if event.surplus:
            event.leg.leg.write(refuse_work(event.leg.framing, self._texts.work(POOL_FULL)))
        event.leg.leg.close()
