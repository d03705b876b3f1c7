"""The work connections of one session: waiting ones, users who wait, and bringing them together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.transforms import transformed
from relaykit.errors import LocalProtocolError, NoWorkConnection, NoWorkConnectionInTime, SessionLost
from relaykit.interfaces import ILegReceiver
from relaykit.sansio.control.pool import Asked, Assigned, Discarded, Unserved, WhyUnserved, WorkPool
from relaykit.sansio.control.server_opening import assign_work, refuse_work
from relaykit.sansio.control.texts import POOL_FULL, PeerTexts
from relaykit.timer import Timer
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IConnection, IStreamLeg
    from relaykit.sansio.contract import Buffer
    from relaykit.sansio.wire.framing import Framing
    from relaykit.server.flows import FlowOwner, WorkSeeker
    from relaykit.values import Secret

__all__ = ["IdleConnection", "WorkConnections"]


FRESH_S = 2.0
"""Seconds that a work connection may have been idle to be taken for alive without a check: the network
that it came through has hardly changed, and checking costs a round trip."""

CONFIRMED_WITHIN_S = 3.0
"""Seconds for the client's machine to confirm that it got the assignment of an idle work connection; a loss
or two are made good by then.  The user's bytes wait so long, thus none can reach a service twice."""

FIRST_LOOK_S = 0.002
"""Seconds until the first look whether the client's machine has confirmed; doubled with each look.

The kernel tells nobody when bytes were confirmed, so it must be asked: with a round trip of 20 ms four times,
a few microseconds each.  It costs a user the round trip, and up to as much again until the next look, when
the connection was idle for longer than :data:`FRESH_S`: the price of a pool whose connections may be dead."""

LOOK_EVERY_S = 0.05
"""Seconds between two looks at most."""


@frozen(eq=False)
class IdleConnection:
    """A work connection that waits for a user: the version of the wire that it began with, when it came."""

    leg: IStreamLeg
    framing: Framing
    since: float


@implementer(ILegReceiver)
@frozen(eq=False)
class _IdleWatch:
    """Watches a work connection while it waits for a user."""

    _idle: IdleConnection
    _on_lost: Callable[[IdleConnection], None]

    def data_received(self, data: Buffer) -> None:
        """Nothing may come before a user does: the client broke the rules."""
        self._idle.leg.abort()

    def end_received(self) -> None:
        self._on_lost(self._idle)
        self._idle.leg.close()

    def leg_lost(self, reason: Ended) -> None:
        self._on_lost(self._idle)


@implementer(ILegReceiver)
class _Check:
    """Waits until the client's machine confirms an assignment, or anything comes from the client.

    One of ``on_confirmed()``, ``on_broken(silently)`` and ``on_ended()`` is called once.  If it is broken,
    the assignment has not reached the client, of which nothing was heard at all if it broke silently.  If it
    has ended, the client has ended the connection in order, without a word.
    """

    def __init__(
        self,
        leg: IStreamLeg,
        connection: IConnection | None,
        clock: IReactorTime,
        on_confirmed: Callable[[], None],
        on_broken: Callable[[bool], None],
        on_ended: Callable[[], None],
    ) -> None:
        self._leg = leg
        self._connection = connection
        self._clock = clock
        self._on_confirmed = on_confirmed
        self._on_broken = on_broken
        self._on_ended = on_ended
        self._over = self._ending = False
        self._pause_s = FIRST_LOOK_S
        self._deadline = clock.seconds() + CONFIRMED_WITHIN_S
        self._timer: IDelayedCall | None = clock.callLater(self._first_look_s, self._look)
        leg.attach(self)

    @property
    def _first_look_s(self) -> float:
        return FIRST_LOOK_S

    def data_received(self, data: Buffer) -> None:
        self._leg.unread(bytes(data))
        self._end(self._on_confirmed)

    def end_received(self) -> None:
        self._end_soon(self._on_ended)

    def leg_lost(self, reason: Ended) -> None:
        if reason is Ended.FINISHED:
            self._end_soon(self._on_ended)
        else:
            self._end(self._on_broken, False)

    def _look(self) -> None:
        self._timer = None
        if self._is_confirmed():
            self._confirmed()
        elif self._clock.seconds() >= self._deadline:
            self._end(self._on_broken, self._connection is None or bool(self._connection.unconfirmed))
            self._leg.abort()
        else:
            self._pause_s = min(2 * self._pause_s, LOOK_EVERY_S)
            self._timer = self._clock.callLater(self._pause_s, self._look)

    def _is_confirmed(self) -> bool:
        return self._connection is None or not self._connection.unconfirmed

    def _confirmed(self) -> None:
        if not self._over and not self._ending:
            self._leg.pauseProducing()
            self._end(self._on_confirmed)

    def _end_soon(self, tell: Callable[[], None]) -> None:
        """Tells when the leg has told all, so that whoever gets it next is told, too."""
        if not self._over and self._timer is not None:
            self._ending = True
            self._timer.cancel()
            self._timer = self._clock.callLater(0, self._end, tell)

    def _end(self, tell: Callable[..., None], *what: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        tell(*what)


class _Answer(_Check):
    """Waits until the client itself answers what it was asked after the assignment: it was there then."""

    def __init__(self, answer: Deferred[None], *what: Any) -> None:
        super().__init__(*what)
        answer.addCallback(lambda _: self._confirmed())

    @property
    def _first_look_s(self) -> float:
        return CONFIRMED_WITHIN_S

    def _is_confirmed(self) -> bool:
        return False


_UNSERVED: Mapping[WhyUnserved, tuple[type[Exception], str]] = {
    WhyUnserved.SESSION_ENDED: (SessionLost, "the client's session ended"),
    WhyUnserved.TIMEOUT: (NoWorkConnectionInTime, "the client offered no work connection in time"),
    WhyUnserved.CROWDED: (NoWorkConnection, "too many users wait for this client already"),
    WhyUnserved.DEFECTIVE: (NoWorkConnection, "the client's work connections broke one after the other"),
}


class WorkConnections:
    """Drives the pool of one session.

    ``request(count)`` asks the client for work connections; ``token`` is what encrypted proxies use.
    ``round_trip()`` is that of :class:`relaykit.interfaces.ISharedPath`, if the client has such a path.
    """

    log = Logger()

    def __init__(
        self,
        pool: WorkPool[WorkSeeker, IdleConnection],
        request: Callable[[int], None],
        clock: IReactorTime,
        token: Secret,
        entropy: Callable[[int], bytes],
        texts: PeerTexts,
        round_trip: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self._round_trip = round_trip
        self._pool = pool
        self._extensions: Collection[str] = ()
        self._request = request
        self._clock = clock
        self._token = token
        self._entropy = entropy
        self._texts = texts
        self._timer = Timer(clock, self._wake)

    @property
    def idle(self) -> int:
        """How many wait for a user."""
        return self._pool.idle

    def start(self, extensions: Collection[str] = ()) -> None:
        """Asks for as many as the client, with which these extensions were agreed on, wants to keep ready."""
        self._extensions = extensions
        self._settle()

    def close(self) -> None:
        """Lets waiting users go and closes idle connections; what serves a user lives on."""
        self._pool.close()
        self._settle()

    def want(self, seeker: WorkSeeker) -> None:
        """Somebody needs a work connection, and is told when there is one, transforms included, or none."""
        self._pool.want(seeker, self._clock.seconds())
        self._settle()

    def cancel(self, seeker: WorkSeeker) -> None:
        """It needs none any more; nothing happens to who does not wait."""
        self._pool.cancel(seeker)
        self._settle()

    def opened(self, leg: IStreamLeg, framing: Framing) -> None:
        """The client opened a work connection, of which the opening has been read."""
        idle = IdleConnection(leg, framing, self._clock.seconds())
        leg.attach(_IdleWatch(idle, self._pool.lost))
        self._pool.add(idle, self._clock.seconds())
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
        self._timer.set(self._pool.next_wakeup())

    def _wake(self) -> None:
        self._pool.wake(self._clock.seconds())
        self._settle()

    def _assign(self, event: Assigned[WorkSeeker, IdleConnection]) -> None:
        seeker, idle = event.user, event.leg
        leg, now = idle.leg, self._clock.seconds()
        proxy = seeker.proxy
        leg.pauseProducing()
        try:
            assignment = assign_work(
                idle.framing, proxy.name, seeker.origin, self._extensions, seeker.is_probe
            )
            if seeker.message is not None:
                assignment += idle.framing.encode(seeker.message)
        except LocalProtocolError as error:
            # Another work connection would not take it either.
            leg.close()
            seeker.on_unserved(NoWorkConnection(f"the client cannot be told of the user: {error}"))
            return
        leg.write(assignment)
        connection: IConnection | None = leg.connection
        serve, broken = partial(self._serve, proxy, seeker, leg), partial(self._broken, proxy, event)
        if seeker.has_alternative:
            ended = partial(self._ended, proxy, event)
            if self._round_trip is not None:
                _Answer(self._round_trip(), leg, connection, self._clock, serve, broken, ended)
            else:
                _Check(leg, connection, self._clock, serve, broken, ended)
        elif now - idle.since <= FRESH_S or connection is None or connection.unconfirmed is None:
            self._serve(proxy, seeker, leg)
        else:
            # Where it has ended, another work connection would, too.
            _Check(leg, connection, self._clock, serve, broken, serve)

    def _serve(self, proxy: FlowOwner, seeker: WorkSeeker, leg: IStreamLeg) -> None:
        if not seeker.is_waiting or seeker.proxy is not proxy:
            # It was ended meanwhile, or waits for somebody else's work connection.
            leg.close()
            return
        seeker.on_work_leg(transformed(leg, seeker.proxy.common.transport, self._token, self._entropy))

    def _ended(self, proxy: FlowOwner, event: Assigned[WorkSeeker, IdleConnection]) -> None:
        """The client has ended a work connection as soon as it was assigned: mostly, there is no service."""
        seeker = event.user
        event.leg.leg.close()
        if seeker.is_waiting and seeker.proxy is proxy:
            seeker.on_unserved(NoWorkConnection("the client ended the work connection"))

    def _broken(self, proxy: FlowOwner, event: Assigned[WorkSeeker, IdleConnection], silently: bool) -> None:
        """A work connection died while it was idle, and has served nobody: the user gets another one.

        Where it died silently others will have, too, and the user must not wait for each of them.
        """
        now = self._clock.seconds()
        for idle in self._pool.idle_legs if silently else ():
            if now - idle.since > FRESH_S:
                self._pool.lost(idle)
                idle.leg.abort()
        if event.user.is_waiting and event.user.proxy is proxy:
            self.log.info(
                "[{run}] [{proxy}] a work connection died while it was idle; {origin} gets another",
                run=proxy.identity.run_id,
                proxy=proxy.name,
                origin=event.user.origin,
                stranger=host_of(event.user.origin.source),
            )
            self._pool.retry(event, now)
        self._settle()

    def _leave_unserved(self, event: Unserved[WorkSeeker]) -> None:
        if not event.user.is_waiting:
            # It was ended by what came of another one that was told before.
            return
        error, text = _UNSERVED[event.why]
        event.user.on_unserved(error(text))

    def _discard(self, event: Discarded[IdleConnection]) -> None:
        if event.surplus:
            event.leg.leg.write(refuse_work(event.leg.framing, self._texts.work(POOL_FULL)))
        event.leg.leg.close()
