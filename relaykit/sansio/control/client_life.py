"""The life of a client: when it dials, waits, stands by for a twin, drains and stops.

:data:`TRANSITIONS` is all of it: what each step leads to in each state, and what the client does about
it.  A step that is not in the table does not happen in that state, or comes too late and is ignored.
Dialing, sessions and flows are the driver's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from relaykit.errors import LocalProtocolError

if TYPE_CHECKING:
    from relaykit.sansio.control.backoff import Backoff

__all__ = [
    "ABORT_S",
    "ACTIONS",
    "ACTORS",
    "CLOSE_S",
    "DRAIN_S",
    "STAND_BY_S",
    "TRANSITIONS",
    "ClientLife",
    "LifeAction",
    "LifeActor",
    "LifeState",
    "LifeStep",
]

STAND_BY_S = 60.0
"""Seconds between two questions whether another client with the same identity is gone: it may stay for
long, and who stands by has nothing to gain from asking more often."""

DRAIN_S = 6.0
"""Seconds that running flows get to end when the client stops; then they are cut.  With :data:`CLOSE_S`
and :data:`ABORT_S` it is less than the 10 s after which Docker kills."""

CLOSE_S = 2.0
"""Seconds that the end of a session gets to be sent when the client stops: to a peer that is there it takes
a round trip, and one that is not must not delay the end of the program."""


ABORT_S = 1.0
"""Seconds that what was dropped at the end gets to be gone.  That takes a turn of the reactor: what is still
there then has a defect, and is left."""


class LifeState(enum.Enum):
    """Where a client stands."""

    STOPPED = "stopped"
    """It was not started, or it has been stopped."""
    CONNECTING = "connecting"
    """A login is under way."""
    WAITING = "waiting"
    """It connects again when the time has come."""
    CONNECTED = "connected"
    """There is a session."""
    RENEWING = "renewing"
    """There is a session, and a login is under way whose session takes its place."""
    STANDING_BY = "standing by"
    """Another client with the same identity took its place, and may keep it."""
    ASKING = "asking"
    """A login is under way that takes nothing from another client that is alive."""
    GAVE_UP = "gave up"
    """Its first login failed, which the configuration makes the end."""
    DRAINING = "draining"
    """It is being stopped: no new users come, the flows that run may end."""
    CLOSING = "closing"
    """It is being stopped: the session ends."""
    ABORTING = "aborting"
    """It is being stopped, and what had not ended was dropped."""


class LifeStep(enum.Enum):
    """What can happen to a client."""

    START = "start"
    LOGGED_IN = "logged in"
    LOGIN_FAILED = "login failed"
    FIRST_LOGIN_FAILED = "first login failed for good"
    SESSION_ENDED = "session ended"
    REPLACED = "replaced by a twin"
    NETWORK_CHANGED = "network changed"
    RENEW = "another login is wanted"
    TIMER = "time is up"
    STOP = "stop"
    DRAINED = "no flow is left"
    CLOSED = "session closed"


class LifeActor(enum.Enum):
    """Who makes a step."""

    PROGRAM = "program"
    SERVER = "server"
    NETWORK = "network"
    TIME = "time"


class LifeAction(enum.Enum):
    """What the driver is told to do."""

    DIAL = "dial"
    """Begin a login; what becomes of it is told by :meth:`ClientLife.logged_in` or ``login_failed``."""
    ASK = "ask"
    """The same, taking nothing from another client with the same identity that is alive."""
    RENEW = "log in anew"
    """The same, beside the session that there is: once the login has succeeded that one is given up for it,
    and where it fails nothing is."""
    CANCEL = "cancel the login"
    SERVE = "serve"
    """Register the proxies in the session that there is, and start the visitors."""
    PROBE = "probe the session"
    GIVE_UP = "give up"
    """Tell whoever waits for the first login that there will be none."""
    WITHDRAW = "withdraw the proxies"
    DRAIN = "drain"
    """Close ports, and tell :meth:`ClientLife.drained` when no flow is left."""
    END_FLOWS = "end the flows"
    CLOSE = "close the session"
    """End it if there is one, and tell :meth:`ClientLife.closed` when that and all flows are gone."""
    ABORT = "abort the session"
    RELEASE = "release what it had"
    FINISH = "finish"
    """It is over: tell whoever waits for the end, and that a first login will not come."""


_State, _Step, _Do = LifeState, LifeStep, LifeAction

_TABLE: Mapping[tuple[LifeState, LifeStep], tuple[LifeState, tuple[LifeAction, ...]]] = {
    (_State.STOPPED, _Step.START): (_State.CONNECTING, (_Do.DIAL,)),
    (_State.STOPPED, _Step.STOP): (_State.STOPPED, (_Do.FINISH,)),
    #
    (_State.CONNECTING, _Step.LOGGED_IN): (_State.CONNECTED, (_Do.SERVE,)),
    (_State.CONNECTING, _Step.LOGIN_FAILED): (_State.WAITING, ()),
    (_State.CONNECTING, _Step.FIRST_LOGIN_FAILED): (_State.GAVE_UP, (_Do.GIVE_UP,)),
    (_State.CONNECTING, _Step.NETWORK_CHANGED): (_State.CONNECTING, (_Do.CANCEL, _Do.DIAL)),
    (_State.CONNECTING, _Step.RENEW): (_State.CONNECTING, (_Do.CANCEL, _Do.DIAL)),
    (_State.CONNECTING, _Step.STOP): (_State.DRAINING, (_Do.CANCEL, _Do.DRAIN)),
    #
    (_State.WAITING, _Step.TIMER): (_State.CONNECTING, (_Do.DIAL,)),
    (_State.WAITING, _Step.NETWORK_CHANGED): (_State.CONNECTING, (_Do.DIAL,)),
    (_State.WAITING, _Step.RENEW): (_State.CONNECTING, (_Do.DIAL,)),
    (_State.WAITING, _Step.STOP): (_State.DRAINING, (_Do.DRAIN,)),
    #
    (_State.CONNECTED, _Step.SESSION_ENDED): (_State.WAITING, ()),
    (_State.CONNECTED, _Step.REPLACED): (_State.STANDING_BY, ()),
    (_State.CONNECTED, _Step.NETWORK_CHANGED): (_State.CONNECTED, (_Do.PROBE,)),
    (_State.CONNECTED, _Step.RENEW): (_State.RENEWING, (_Do.RENEW,)),
    (_State.CONNECTED, _Step.STOP): (_State.DRAINING, (_Do.WITHDRAW, _Do.DRAIN)),
    #
    (_State.RENEWING, _Step.LOGGED_IN): (_State.CONNECTED, (_Do.SERVE,)),
    (_State.RENEWING, _Step.LOGIN_FAILED): (_State.CONNECTED, ()),
    (_State.RENEWING, _Step.SESSION_ENDED): (_State.CONNECTING, ()),
    (_State.RENEWING, _Step.REPLACED): (_State.CONNECTING, ()),
    (_State.RENEWING, _Step.NETWORK_CHANGED): (_State.RENEWING, (_Do.PROBE,)),
    (_State.RENEWING, _Step.STOP): (_State.DRAINING, (_Do.CANCEL, _Do.WITHDRAW, _Do.DRAIN)),
    #
    (_State.STANDING_BY, _Step.TIMER): (_State.ASKING, (_Do.ASK,)),
    (_State.STANDING_BY, _Step.NETWORK_CHANGED): (_State.ASKING, (_Do.ASK,)),
    (_State.STANDING_BY, _Step.RENEW): (_State.ASKING, (_Do.ASK,)),
    (_State.STANDING_BY, _Step.STOP): (_State.DRAINING, (_Do.DRAIN,)),
    #
    (_State.ASKING, _Step.LOGGED_IN): (_State.CONNECTED, (_Do.SERVE,)),
    (_State.ASKING, _Step.LOGIN_FAILED): (_State.STANDING_BY, ()),
    (_State.ASKING, _Step.NETWORK_CHANGED): (_State.ASKING, (_Do.CANCEL, _Do.ASK)),
    (_State.ASKING, _Step.RENEW): (_State.ASKING, (_Do.CANCEL, _Do.ASK)),
    (_State.ASKING, _Step.STOP): (_State.DRAINING, (_Do.CANCEL, _Do.DRAIN)),
    #
    (_State.GAVE_UP, _Step.STOP): (_State.DRAINING, (_Do.DRAIN,)),
    #
    (_State.DRAINING, _Step.DRAINED): (_State.CLOSING, (_Do.CLOSE,)),
    (_State.DRAINING, _Step.TIMER): (_State.CLOSING, (_Do.END_FLOWS, _Do.CLOSE)),
    #
    (_State.CLOSING, _Step.CLOSED): (_State.STOPPED, (_Do.RELEASE, _Do.FINISH)),
    (_State.CLOSING, _Step.TIMER): (_State.ABORTING, (_Do.END_FLOWS, _Do.ABORT)),
    #
    (_State.ABORTING, _Step.CLOSED): (_State.STOPPED, (_Do.RELEASE, _Do.FINISH)),
    (_State.ABORTING, _Step.TIMER): (_State.STOPPED, (_Do.RELEASE, _Do.FINISH)),
}

TRANSITIONS: Mapping[tuple[LifeState, LifeStep], LifeState] = {
    cell: following for cell, (following, _) in _TABLE.items()
}
"""Which step leads where."""

ACTIONS: Mapping[tuple[LifeState, LifeStep], tuple[LifeAction, ...]] = {
    cell: actions for cell, (_, actions) in _TABLE.items()
}
"""What is done about it, in this order."""

ACTORS: Mapping[LifeStep, LifeActor] = {
    LifeStep.START: LifeActor.PROGRAM,
    LifeStep.LOGGED_IN: LifeActor.SERVER,
    LifeStep.LOGIN_FAILED: LifeActor.NETWORK,
    LifeStep.FIRST_LOGIN_FAILED: LifeActor.NETWORK,
    LifeStep.SESSION_ENDED: LifeActor.NETWORK,
    LifeStep.REPLACED: LifeActor.SERVER,
    LifeStep.NETWORK_CHANGED: LifeActor.NETWORK,
    LifeStep.RENEW: LifeActor.PROGRAM,
    LifeStep.TIMER: LifeActor.TIME,
    LifeStep.STOP: LifeActor.PROGRAM,
    LifeStep.DRAINED: LifeActor.PROGRAM,
    LifeStep.CLOSED: LifeActor.PROGRAM,
}
"""Whose step it is."""

_LIMITS_S: Mapping[LifeState, float] = {
    LifeState.STANDING_BY: STAND_BY_S,
    LifeState.DRAINING: DRAIN_S,
    LifeState.CLOSING: CLOSE_S,
    LifeState.ABORTING: ABORT_S,
}
"""Seconds from entering a state to its timer; how long it waits is for ``backoff`` to say."""


class ClientLife:
    """A client from its start to its end, as often as it is started.

    Tell it what happens, take :meth:`events` after every call and do what they say, in their order.
    ``now`` is in seconds of a monotonic clock.

    :ivar state: where the client stands.
    :ivar run_id: what the server called it last; empty once another client has its place.
    :ivar first_run_id: what the server called it at the first login of all; None before that.
    :ivar failure: why it gave up; None if it did not.
    :ivar since: when it became connected, or not connected; None before the first start.
    """

    def __init__(self, backoff: Backoff) -> None:
        self.state = LifeState.STOPPED
        self.run_id = ""
        self.first_run_id: str | None = None
        self.failure: Exception | None = None
        self.since: float | None = None
        self._backoff = backoff
        self._at: float | None = None
        self._events: list[LifeAction] = []

    @property
    def next_try(self) -> float | None:
        """When it dials again; None while it does, is connected or will not."""
        return self._at if self.state in (LifeState.WAITING, LifeState.STANDING_BY) else None

    @property
    def cut_at(self) -> float | None:
        """When the flows that are still there are cut; None while it is not being stopped."""
        return self._at if self.state is LifeState.DRAINING else None

    def start(self, now: float) -> None:
        """The program starts it.

        :raises LocalProtocolError: it runs, or has not come to its end yet.
        """
        if self.state is not LifeState.STOPPED:
            raise LocalProtocolError(f"a client that is {self.state.value} cannot be started")
        self.failure = None
        self.since = now
        self._backoff.forget()
        self._step(LifeStep.START, now)

    def logged_in(self, run_id: str, now: float) -> None:
        """The login that was begun last succeeded."""
        self._backoff.established(now)
        self.run_id = run_id
        self.first_run_id = self.first_run_id or run_id
        self.since = now
        self._step(LifeStep.LOGGED_IN, now)

    def login_failed(self, why: Exception, now: float) -> None:
        """The login that was begun last failed."""
        if self.state in (LifeState.ASKING, LifeState.RENEWING):
            self._step(LifeStep.LOGIN_FAILED, now)
            return
        delay_s = self._backoff.failed()
        if delay_s is None:
            self.failure = why
            self._step(LifeStep.FIRST_LOGIN_FAILED, now)
        else:
            self._step(LifeStep.LOGIN_FAILED, now, delay_s)

    def session_ended(self, now: float, *, replaced: bool = False) -> None:
        """The session is gone; ``replaced`` if another client with the same identity was let in for it.

        While another login is under way that is the same client.
        """
        self.since = now
        if replaced:
            if self.state is not LifeState.RENEWING:
                self.run_id = ""
            self._step(LifeStep.REPLACED, now)
        else:
            self._step(LifeStep.SESSION_ENDED, now, self._backoff.ended(now))

    def network_changed(self, now: float) -> None:
        """The way to the server may be another one: there is a new reason to expect success."""
        self._backoff.forget()
        self._step(LifeStep.NETWORK_CHANGED, now)

    def renew(self, now: float) -> None:
        """The program wants another session than the one that there is; without one, a login at once."""
        self._backoff.forget()
        self._step(LifeStep.RENEW, now)

    def stop(self, now: float) -> None:
        """The program stops it."""
        self._step(LifeStep.STOP, now)

    def drained(self, now: float) -> None:
        """No flow is left."""
        self._step(LifeStep.DRAINED, now)

    def closed(self, now: float) -> None:
        """Neither the session nor a flow is left."""
        self._step(LifeStep.CLOSED, now)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return self._at

    def wake(self, now: float) -> None:
        """Lets time-outs happen; early and repeated calls are harmless."""
        if self._at is not None and now >= self._at:
            self._step(LifeStep.TIMER, now)

    def events(self) -> list[LifeAction]:
        """Takes what is to be done since the last call."""
        events, self._events = self._events, []
        return events

    def _step(self, step: LifeStep, now: float, delay_s: float | None = None) -> None:
        found = _TABLE.get((self.state, step))
        if found is None:
            return
        self.state, actions = found
        self._events += actions
        limit_s = delay_s if self.state is LifeState.WAITING else _LIMITS_S.get(self.state)
        self._at = None if limit_s is None else now + limit_s
