"""The life of a relay server: when it opens its ports, is ready, drains and stops.

:data:`TRANSITIONS` is all of it: what each step leads to in each state, and what the server does about it.
A step that is not in the table does not happen in that state, or comes too late and is ignored.  Ports,
sessions and flows are the driver's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from relaykit.errors import LocalProtocolError

__all__ = [
    "ACTIONS",
    "ACTORS",
    "CLOSE_S",
    "DRAIN_S",
    "TRANSITIONS",
    "Actor",
    "ServerAction",
    "ServerLife",
    "ServerState",
    "ServerStep",
]

DRAIN_S = 7.0
"""Seconds that running flows get to end when the server stops; then they are cut.  With the seconds to close
it is less than the ten after which container runtimes kill a program."""

CLOSE_S = 2.0
"""Seconds that sessions, links and the server halves of proxy types get to close when the server stops."""


class ServerState(enum.Enum):
    """Where a server stands."""

    STOPPED = "stopped"
    """It was not started, or it has been stopped."""
    OPEN = "open"
    """Its ports are open; the rest of the start is due."""
    STARTING = "starting"
    """The server halves of the configured proxy types are starting."""
    READY = "ready"
    """Clients log in."""
    FAILED = "failed"
    """Its start failed, and nothing is open."""
    DRAINING = "draining"
    """It is being stopped: nobody comes in, the flows that run may end."""
    CLOSING = "closing"
    """It is being stopped: everything ends."""


class ServerStep(enum.Enum):
    """What can happen to a server."""

    OPEN = "open"
    START = "start"
    STARTED = "started"
    FAIL = "fail"
    STOP = "stop"
    DRAINED = "no flow is left"
    CLOSED = "closed"
    TIMER = "time is up"


class Actor(enum.Enum):
    """Who makes a step."""

    PROGRAM = "program"
    SERVER = "server"
    TIME = "time"


class ServerAction(enum.Enum):
    """What the driver is told to do."""

    OPEN = "open the ports"
    START = "start the configured server halves"
    """Tell :meth:`ServerLife.started` or :meth:`ServerLife.failed`."""
    TELL = "tell who waits for the start"
    DRAIN = "drain"
    """Let nobody in, and tell :meth:`ServerLife.drained` when no flow is left."""
    END_FLOWS = "end the flows"
    CLOSE = "close"
    """End what there is, and tell :meth:`ServerLife.closed`."""
    FINISH = "finish"
    """Leave what does not close: tell who waits for the end."""


_TABLE: Mapping[tuple[ServerState, ServerStep], tuple[ServerState, tuple[ServerAction, ...]]] = {
    (ServerState.STOPPED, ServerStep.OPEN): (ServerState.OPEN, (ServerAction.OPEN,)),
    (ServerState.STOPPED, ServerStep.STOP): (ServerState.STOPPED, (ServerAction.FINISH,)),
    #
    (ServerState.OPEN, ServerStep.START): (ServerState.STARTING, (ServerAction.START,)),
    (ServerState.OPEN, ServerStep.FAIL): (ServerState.FAILED, (ServerAction.TELL,)),
    (ServerState.OPEN, ServerStep.STOP): (ServerState.CLOSING, (ServerAction.CLOSE,)),
    #
    (ServerState.STARTING, ServerStep.STARTED): (ServerState.READY, (ServerAction.TELL,)),
    (ServerState.STARTING, ServerStep.FAIL): (ServerState.FAILED, (ServerAction.TELL,)),
    (ServerState.STARTING, ServerStep.STOP): (ServerState.CLOSING, (ServerAction.CLOSE,)),
    #
    (ServerState.READY, ServerStep.STOP): (ServerState.DRAINING, (ServerAction.DRAIN,)),
    #
    (ServerState.FAILED, ServerStep.STOP): (ServerState.STOPPED, (ServerAction.FINISH,)),
    #
    (ServerState.DRAINING, ServerStep.DRAINED): (ServerState.CLOSING, (ServerAction.CLOSE,)),
    (ServerState.DRAINING, ServerStep.TIMER): (
        ServerState.CLOSING,
        (ServerAction.END_FLOWS, ServerAction.CLOSE),
    ),
    #
    (ServerState.CLOSING, ServerStep.CLOSED): (ServerState.STOPPED, (ServerAction.FINISH,)),
    (ServerState.CLOSING, ServerStep.TIMER): (ServerState.STOPPED, (ServerAction.FINISH,)),
}

TRANSITIONS: Mapping[tuple[ServerState, ServerStep], ServerState] = {
    cell: following for cell, (following, _) in _TABLE.items()
}
"""Which step leads where."""

ACTIONS: Mapping[tuple[ServerState, ServerStep], tuple[ServerAction, ...]] = {
    cell: actions for cell, (_, actions) in _TABLE.items()
}
"""What is done about it, in this order."""

ACTORS: Mapping[ServerStep, Actor] = {
    ServerStep.OPEN: Actor.PROGRAM,
    ServerStep.START: Actor.PROGRAM,
    ServerStep.STARTED: Actor.SERVER,
    ServerStep.FAIL: Actor.SERVER,
    ServerStep.STOP: Actor.PROGRAM,
    ServerStep.DRAINED: Actor.SERVER,
    ServerStep.CLOSED: Actor.SERVER,
    ServerStep.TIMER: Actor.TIME,
}
"""Whose step it is."""

_LIMITS_S: Mapping[ServerState, float] = {ServerState.DRAINING: DRAIN_S, ServerState.CLOSING: CLOSE_S}
"""Seconds from entering a state to its timer."""


class ServerLife:
    """A server from its start to its end, as often as it is started.

    Tell it what happens, take :meth:`events` after every call and do what they say, in their order.
    ``now`` is in seconds of a monotonic clock.

    :ivar state: where the server stands.
    :ivar since: when it got there; None before the first start.
    :ivar failure: why its last start failed; None if it did not.
    """

    def __init__(self) -> None:
        self.state = ServerState.STOPPED
        self.since: float | None = None
        self.failure: Exception | None = None
        self._at: float | None = None
        self._events: list[ServerAction] = []

    def open(self, now: float) -> None:
        """The program lets it open its ports; that was done before or is in vain: nothing happens.

        :raises LocalProtocolError: it has not come to its end yet.
        """
        if self.state in (ServerState.DRAINING, ServerState.CLOSING):
            raise LocalProtocolError(f"a server that is {self.state.value} cannot be started")
        if self.state is ServerState.STOPPED:
            self.failure = None
        self._step(ServerStep.OPEN, now)

    def start(self, now: float) -> None:
        """The program starts what it has opened."""
        self._step(ServerStep.START, now)

    def started(self, now: float) -> None:
        """Everything that must run before clients come does."""
        self._step(ServerStep.STARTED, now)

    def failed(self, why: Exception, now: float) -> None:
        """It cannot start."""
        self.failure = why
        self._step(ServerStep.FAIL, now)

    def stop(self, now: float) -> None:
        """The program stops it."""
        self._step(ServerStep.STOP, now)

    def drained(self, now: float) -> None:
        """No flow is left."""
        self._step(ServerStep.DRAINED, now)

    def closed(self, now: float) -> None:
        """Nothing is left."""
        self._step(ServerStep.CLOSED, now)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` must be called at the latest; None for never."""
        return self._at

    def wake(self, now: float) -> None:
        """Lets time-outs happen; early and repeated calls are harmless."""
        if self._at is not None and now >= self._at:
            self._step(ServerStep.TIMER, now)

    def events(self) -> list[ServerAction]:
        """Takes what is to be done since the last call."""
        events, self._events = self._events, []
        return events

    def _step(self, step: ServerStep, now: float) -> None:
        found = _TABLE.get((self.state, step))
        if found is None:
            return
        self.state, actions = found
        self.since = now
        self._events += actions
        limit_s = _LIMITS_S.get(self.state)
        self._at = None if limit_s is None else now + limit_s
