"""What types share whose users send datagrams, by the relay and by direct paths, whichever there is.

A user has a leg at each end that outlives the way it goes: a :class:`RoamingLeg`.  Datagrams go by the
direct path as long as there is one, and by the relay else.  What the relay still brings then counts for
:data:`LATE_S` only, so that it cannot speak in the name of who goes past it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RelaykitError
from relaykit.interfaces import IDatagramLeg, IDatagramReceiver, ISharedPath
from relaykit.sansio.control.liveness import Due, Liveness
from relaykit.sansio.nat.user_names import is_name, user_named
from relaykit.timer import Deadlines, Timer
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IForwardingHost, IStreamPath
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address, Origin

__all__ = [
    "LATE_S",
    "MOST_ROAMING",
    "PING_S",
    "REJOIN_S",
    "SILENT_S",
    "PathWatch",
    "RelayOnly",
    "RoamingLeg",
    "RoamingUsers",
    "Way",
]

LATE_S: Final = 2.0
"""Seconds for datagrams that were on their way through the relay when their user went over to the path."""

REJOIN_S: Final = 20.0
"""Seconds for a user whose way is gone to come by another one, and find the same socket to the local service:
the visitor needs some to notice, and a round trip for a lane through the relay."""

MOST_ROAMING: Final = 16_384
"""Users of one backend who may come by several ways; each has a socket.  More are let go."""

PING_S: Final = 2.0
"""Seconds between two questions over a path that carries datagrams: those have no answers that would tell."""

SILENT_S: Final = 5.0
"""Seconds without a word of the peer after which its path is given up, and users go by the relay again."""


class Way(enum.IntEnum):
    """How a user may go, the best first."""

    DIRECT = 0
    RELAY = 1


@implementer(IDatagramLeg)
class RoamingLeg:
    """A user's leg, over any of the legs that it is given, each of another way; owns those.

    It outlives them: without any, what is sent is dropped.

    :param on_stranded: is told that something is to be sent, or that the last way is gone, and there is none.
    :param on_closed: is told that it was closed.
    """

    peer: Address | None
    host: Address | None

    def __init__(
        self,
        user: Address | None,
        clock: IReactorTime,
        on_stranded: Callable[[RoamingLeg], object],
        on_closed: Callable[[RoamingLeg], object],
    ) -> None:
        self.peer, self.host = user, None
        self._clock = clock
        self._on_stranded = on_stranded
        self._on_closed = on_closed
        self._ways: dict[Way, _Going] = {}
        self._best: IDatagramLeg | None = None
        self._receiver: IDatagramReceiver | None = None
        self._dropped = 0
        self._paused = self._closed = False

    @property
    def dropped(self) -> int:
        dropped: int = self._dropped + sum(each.leg.dropped for each in self._ways.values())
        return dropped

    def use(self, way: Way, leg: IDatagramLeg) -> None:
        """Goes by this leg, too; the one that it had for this way is closed."""
        if self._closed:
            leg.close()
            return
        before = self._ways.get(way)
        going = self._ways[way] = _Going(self, way, leg)
        if before is not None:
            self._leave(before)
            before.leg.close()
        if way is Way.RELAY and Way.DIRECT in self._ways:
            going.until = self._clock.seconds()
        elif way is Way.DIRECT and before is None and Way.RELAY in self._ways:
            self._ways[Way.RELAY].until = self._clock.seconds() + LATE_S
        self._choose()
        if self._receiver is not None:
            leg.attach(going)
            if self._paused:
                leg.pause()

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._receiver = receiver
        self._paused = False
        for going in tuple(self._ways.values()):
            going.leg.attach(going)

    def send(self, data: Buffer) -> bool:
        if self._best is None and not self._closed:
            self._on_stranded(self)
        if self._best is None:
            self._dropped += 1
            return False
        return bool(self._best.send(data))

    def pause(self) -> None:
        self._paused = True
        for going in self._ways.values():
            going.leg.pause()

    def resume(self) -> None:
        self._paused = False
        for going in tuple(self._ways.values()):
            going.leg.resume()

    def close(self) -> None:
        self.lose(Ended.FINISHED)

    def lose(self, reason: Ended) -> None:
        """Ends it and all that it goes by."""
        if self._closed:
            return
        self._closed = True
        ways, self._ways, self._best = self._ways, {}, None
        for going in ways.values():
            self._leave(going)
            going.leg.close()
        self._on_closed(self)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            # Never within a call of its own: whoever closes it does not expect to be told.
            self._clock.callLater(0, receiver.leg_lost, reason)

    # --- for what it goes by

    def arrived(self, going: _Going, data: Buffer) -> None:
        """A datagram came by one of its ways."""
        if self._receiver is None or (going.until is not None and self._clock.seconds() > going.until):
            self._dropped += 1
        else:
            self._receiver.datagram_received(data)

    def gone(self, going: _Going) -> None:
        """One of its ways is gone."""
        if self._ways.get(going.way) is going:
            del self._ways[going.way]
            self._leave(going)
            if going.way is Way.DIRECT and Way.RELAY in self._ways:
                self._ways[Way.RELAY].until = None
            self._choose()
            if self._best is None and not self._closed:
                self._on_stranded(self)

    # --- inside

    def _choose(self) -> None:
        self._best = self._ways[min(self._ways)].leg if self._ways else None

    def _leave(self, going: _Going) -> None:
        self._dropped += going.leg.dropped
        going.is_left = True


@implementer(IDatagramReceiver)
@define(eq=False)
class _Going:
    """One of a user's ways, and its leg.  ``until``: what arrives later counts no more."""

    _user: RoamingLeg
    way: Way
    leg: IDatagramLeg
    until: float | None = None
    is_left: bool = field(default=False, init=False)

    def datagram_received(self, data: Buffer) -> None:
        if not self.is_left:
            self._user.arrived(self, data)

    def leg_lost(self, reason: Ended) -> None:
        self._user.gone(self)


class RoamingUsers:
    """The users of a backend: each keeps its leg to the local service, by whatever way it comes."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._users: dict[Address, RoamingLeg] = {}
        self._stranded: Deadlines[RoamingLeg] = Deadlines(clock, lambda leg: leg.lose(Ended.TIMEOUT))

    def __len__(self) -> int:
        return len(self._users)

    def admit(self, way: Way, leg: IDatagramLeg, origin: Origin) -> tuple[IDatagramLeg, Origin] | None:
        """As :meth:`relaykit.interfaces.IClientHost.serve_lane` asks it."""
        name = origin.source
        if name is None or not is_name(name):
            return leg, origin
        user = self._users.get(name)
        if user is not None:
            self._stranded.drop(user)
            user.use(way, leg)
            return None
        if len(self._users) >= MOST_ROAMING:
            leg.close()
            return None
        user = self._users[name] = RoamingLeg(name, self._clock, self._strand, self._forget)
        user.use(way, leg)
        return user, evolve(origin, source=user_named(name))

    def _strand(self, user: RoamingLeg) -> None:
        if user not in self._stranded:
            self._stranded.set(user, REJOIN_S)

    def _forget(self, user: RoamingLeg) -> None:
        self._stranded.drop(user)
        if user.peer is not None:
            self._users.pop(user.peer, None)


class PathWatch:
    """Asks over a path now and then, and says once that its peer is silent."""

    def __init__(self, path: IStreamPath, clock: IReactorTime, on_silent: Callable[[], object]) -> None:
        self._path = path
        self._clock = clock
        self._on_silent = on_silent
        self._liveness = Liveness(PING_S, SILENT_S, clock.seconds())
        self._timer = Timer(clock, self._look)
        if ISharedPath.providedBy(path):
            self._look()

    def stop(self) -> None:
        """Asks no more, and says nothing."""
        self._timer.stop()

    def _look(self) -> None:
        now = self._clock.seconds()
        while (due := self._liveness.due(now)) is not None:
            if due is Due.SILENCE:
                self._timer.set(None)
                self._on_silent()
                return
            self._path.ping().addCallback(self._heard)  # type: ignore[attr-defined]  # it is shared
        self._timer.set(self._liveness.next_wakeup())

    def _heard(self, _: object) -> None:
        self._liveness.heard(self._clock.seconds())
        # An answer moves the deadline; a timer that is later costs nothing.
        self._timer.set(self._liveness.next_wakeup())


class RelayOnly:
    """Says once what keeps a proxy or a visitor from direct paths, or from good ones."""

    log = Logger()

    def __init__(self, host: IForwardingHost) -> None:
        self._host = host
        self._said: set[str] = set()

    def look(self) -> bool:
        """Whether the relay carries all, because the server of this session brings nobody together."""
        host = self._host
        try:
            host.datagram_streams("quic")
        except RelaykitError as error:
            self._say(f"direct paths can only be made of TCP: {error}", "no-quic")
        if host.takes_signals:
            return False
        why = "the server knows of no rendezvous, as frp's does not"
        host.way = f"by the relay: {why}"
        self._say(f"the relay carries all datagrams: {why}", "no-rendezvous")
        return True

    def _say(self, why: str, problem: str) -> None:
        if why not in self._said:
            self._said.add(why)
            self.log.warn("[{name}] {reason}", name=self._host.name, reason=why, problem=problem)
