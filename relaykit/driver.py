"""Runs protocol cores: the only caller of what every core has.

:class:`CoreDriver` is what all drivers are made of, and enough for a core without a wire of its own.
:class:`LegDriver` runs a core over a leg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ILossReceiver, IPiecesReceiver
from relaykit.timer import Portion, Timer
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IConnection, IStreamLeg
    from relaykit.sansio.contract import Buffer, Core, StreamCore

__all__ = ["MOST_UNREAD_BYTES", "CoreDriver", "LegDriver"]

UNCONFIRMED_S = 60.0
"""Seconds for the peer's machine to take and confirm what a core sends: a second net below its pings."""

MOST_UNREAD_BYTES: Final = 1024 * 1024
"""Bytes that a core may go on to send while its leg is full, and nothing of its peer is read: thousands of
requests for work connections.  A peer that has not read so many is given up."""

EventT = TypeVar("EventT")
InputT = TypeVarTuple("InputT")


class CoreDriver(Generic[EventT]):
    """Tells a core's events, sends its output, and wakes it in time: after every input.

    Whoever calls a command of the core calls :meth:`step` afterwards; within ``on_event`` that is not
    needed.  Time is ``seconds()``, by default that of the clock, which waits.

    An exception of the core or of ``on_event`` is a defect.  It is logged, and goes no further: the
    events that follow are told, because one core may serve many.  A driver that owns something releases
    it in ``_failed``.
    """

    log = Logger()

    def __init__(
        self,
        core: Core[EventT],
        clock: IReactorTime,
        on_event: Callable[[EventT], object],
        seconds: Callable[[], float] | None = None,
    ) -> None:
        self._core = core
        self._seconds: Callable[[], float] = seconds or clock.seconds
        self._on_event: Callable[[EventT], object] = on_event
        self._timer = Timer(clock, self._wake, seconds)
        self._stepping = False
        self._stopped = False

    @property
    def now(self) -> float:
        """The time that the core is told."""
        return self._seconds()

    def step(self) -> None:
        """Does what the core wants, until it wants nothing more."""
        if self._stepping or self._stopped:
            return
        self._stepping = True
        try:
            while self._tell() or self._send():
                pass
            due = self._core.next_wakeup()
        except Exception:
            due = None
            self._failed()
        finally:
            self._stepping = False
        if not self._stopped:
            self._timer.set(due)

    def tell(self, on_event: Callable[[EventT], object]) -> None:
        """Names another who is told the events from now on."""
        self._on_event = on_event

    def stop(self) -> None:
        """Leaves the core alone from now on: no event is told, and no timer is left.

        Within ``on_event``, what the core has to send already still goes out.
        """
        self._stopped = True
        self._timer.stop()
        # It mostly belongs to whoever has this driver: a reference cycle.
        self._on_event = _ignore

    # --- for drivers that know of a wire

    def _send(self) -> bool:
        """Sends what the core wants sent; whether there was anything."""
        return False

    def _failed(self) -> None:
        """Logs the exception that is being handled, and releases what this driver owns."""
        self.log.failure("a defect in {core}, or in acting on its events", core=type(self._core).__name__)

    def _peer_erred(self, error: RemoteProtocolError) -> None:
        """Acts on what the core says of the peer: that it broke the rules."""
        self._failed()

    def _feed(self, put: Callable[[*InputT, float], object], *what: *InputT) -> None:
        """Gives the core an input, and steps."""
        if self._stopped:
            return
        try:
            put(*what, self.now)
        except RemoteProtocolError as error:
            self._peer_erred(error)
        except Exception:
            self._failed()
        else:
            self.step()

    # --- inside

    def _tell(self) -> bool:
        events = self._core.events()
        for event in events:
            try:
                self._on_event(event)
            except Exception:
                self._failed()
        return bool(events)

    def _wake(self) -> None:
        self._feed(self._core.wake)


@implementer(ILossReceiver, IPiecesReceiver, IPushProducer)
class LegDriver(CoreDriver[EventT]):
    """Feeds a core from a leg, and the leg from the core.

    Owns the leg from :meth:`start` on.  A defect costs the connection.  The leg is not read while its output
    is full, nor while the core has input left, which gets its portion of each turn.

    :param reads_on: the leg is read while its output is full, too, however much that becomes.  That is for a
        core whose output does not depend on what its peer sends: one of the two ends must always read, or
        each waits for the other for ever.
    """

    _core: StreamCore[EventT]

    def __init__(
        self,
        core: StreamCore[EventT],
        leg: IStreamLeg,
        clock: IReactorTime,
        on_event: Callable[[EventT], object],
        reads_on: bool = False,
    ) -> None:
        super().__init__(core, clock, on_event)
        self._leg = leg
        self._reads_on = reads_on
        self._clock = clock
        self._lost: Ended | None = None
        self._why: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []
        self._full = False
        self._held = False
        self._unread_bytes = 0

    def start(self) -> None:
        """Begins: what the core has to send goes out, what arrives goes in."""
        if not self._reads_on:
            self._leg.registerProducer(self, True)
        connection: IConnection | None = self._leg.connection
        if connection is not None:
            connection.give_up_unconfirmed(UNCONFIRMED_S)
        self.step()
        if self._lost is None:
            self._leg.attach(self)

    def step(self) -> None:
        super().step()
        if self._has_input:
            # It may wait since the core was told something.
            self._leg.pauseProducing()
            self._leg.turns.in_next_turn(self._take_rest)

    def hold(self, held: bool) -> None:
        """Lets nothing more of the peer in, for who acts on the events has enough to do; or goes on."""
        if held != self._held:
            self._held = held
            self._leg.pauseProducing()
            self._leg.turns.in_next_turn(self._take_rest)

    def when_lost(self) -> Deferred[Ended]:
        """Fires once the leg is gone, with why; at once if it is."""
        waiting: Deferred[Ended] = Deferred()
        if self._lost is not None:
            waiting.callback(self._lost)
        else:
            self._waiting.append(waiting)
        return waiting

    def close(self, why: Ended) -> None:
        """Sends what the core has to send, then ends the connection for this reason."""
        if self._lost is None:
            self._why = self._why or why
            try:
                self._send()
            except Exception:
                self._failed()
            self._leg.close()

    def abort(self, why: Ended) -> None:
        """Drops the connection for this reason."""
        if self._lost is None:
            self._why = self._why or why
            self._leg.abort()

    def data_received(self, data: Buffer) -> None:
        self._feed(self._core.receive, data)

    def pieces_received(self, pieces: Sequence[Buffer]) -> None:
        self.data_received(b"".join(pieces))

    def pauseProducing(self) -> None:
        self._full = True
        self._leg.pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        self._unread_bytes = 0
        self._take_rest()

    def stopProducing(self) -> None:
        """Nothing to do: the loss of the leg is told as such."""

    def end_received(self) -> None:
        self._feed(self._core.end_received)
        self.close(Ended.FINISHED)

    def loss_noted(self, reason: Ended) -> None:
        if self._full or self._held:
            # Nobody will read any more, and nobody waits for what is done.
            self._held = False
            self.resumeProducing()

    def leg_lost(self, reason: Ended) -> None:
        self._lost = self._why or reason
        self.stop()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._lost)

    @property
    def _has_input(self) -> bool:
        return self._core.has_input and not self._stopped

    def _take_rest(self) -> None:
        """Has the core go on with the input that is left, as long as its portion of this turn lasts."""
        portion = Portion(self._clock)
        while self._has_input and not (self._full or self._held):
            # Once at least, however slow the machine is: this is what asks for the next portion.
            self._feed(self._core.receive, b"")
            if portion.is_over:
                break
        if not (self._full or self._held or self._stopped or self._has_input):
            self._leg.resumeProducing()

    def _send(self) -> bool:
        pieces = () if self._stopped else self._core.to_send(self.now)
        if pieces:
            if self._full:
                self._left_unread(sum(map(len, pieces)))
            self._leg.write_sequence(pieces)
        return bool(pieces)

    def _left_unread(self, size: int) -> None:
        """Counts what waits for a peer that does not read."""
        self._unread_bytes += size
        if self._unread_bytes > MOST_UNREAD_BYTES and self._why is None:
            self.log.warn(
                "{peer} reads nothing of what it is sent: it is given up",
                peer=self._leg.peer,
                stranger=host_of(self._leg.peer),
                problem="broke-the-rules",
            )
            self.abort(Ended.REFUSED)

    def _failed(self) -> None:
        super()._failed()
        self.stop()
        self.abort(Ended.INTERNAL_ERROR)

    def _peer_erred(self, error: RemoteProtocolError) -> None:
        self.log.warn(
            "{peer} broke the rules: {reason}",
            peer=self._leg.peer,
            reason=str(error),
            stranger=host_of(self._leg.peer),
            problem="broke-the-rules",
        )
        self.step()
        self.close(Ended.PROTOCOL_ERROR)


def _ignore(event: object) -> None:
    """Takes what a core says that nobody runs any more."""
