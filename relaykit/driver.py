"""Runs a protocol core over a leg: the only caller of cores that live on a stream of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import ILegReceiver
from relaykit.values import Ended

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer, Core

__all__ = ["CoreDriver"]

UNCONFIRMED_S = 60.0
"""Seconds for the peer's machine to take and confirm what a core sends: a second net below its pings."""

EventT = TypeVar("EventT")


@implementer(ILegReceiver)
class CoreDriver(Generic[EventT]):
    """Feeds a core from a leg and the leg from the core, tells its events, and wakes it in time.

    Owns the leg from :meth:`start` on.  Whoever calls a command of the core calls :meth:`step`
    afterwards; within ``on_event`` that is not needed.  Time is ``clock.seconds()``.
    """

    log = Logger()

    def __init__(
        self,
        core: Core[EventT],
        leg: IStreamLeg,
        clock: IReactorTime,
        on_event: Callable[[EventT], None],
    ) -> None:
        self._core = core
        self._leg = leg
        self._clock = clock
        self._on_event = on_event
        self._timer: IDelayedCall | None = None
        self._stepping = False
        self._lost: Ended | None = None
        self._why: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []

    @property
    def now(self) -> float:
        """The time that the core is told."""
        return self._clock.seconds()

    def start(self) -> None:
        """Begins: what the core has to send goes out, what arrives goes in."""
        self._leg.give_up_unconfirmed(UNCONFIRMED_S)
        self.step()
        if self._lost is None:
            self._leg.attach(self)

    def when_lost(self) -> Deferred[Ended]:
        """Fires once the leg is gone, with why; at once if it is."""
        waiting: Deferred[Ended] = Deferred()
        if self._lost is not None:
            waiting.callback(self._lost)
        else:
            self._waiting.append(waiting)
        return waiting

    def step(self) -> None:
        """Tells the core's events, sends its output and re-arms its timer."""
        if self._stepping:
            return
        self._stepping = True
        try:
            while events := self._core.events():
                for event in events:
                    self._on_event(event)
        except Exception:
            self.log.failure("a defect while acting on an event; the connection is dropped")
            self.abort(Ended.INTERNAL_ERROR)
        finally:
            self._stepping = False
        if self._lost is None:
            pieces = self._core.to_send(self.now)
            if pieces:
                self._leg.write_sequence(pieces)
            self._rearm()

    def close(self, why: Ended) -> None:
        """Sends what the core has to send, then ends the connection for this reason."""
        if self._lost is None:
            self._why = self._why or why
            pieces = self._core.to_send(self.now)
            if pieces:
                self._leg.write_sequence(pieces)
            self._leg.close()

    def abort(self, why: Ended) -> None:
        """Drops the connection for this reason."""
        if self._lost is None:
            self._why = self._why or why
            self._leg.abort()

    def data_received(self, data: Buffer) -> None:
        try:
            self._core.receive(data, self.now)
        except RemoteProtocolError as error:
            self._peer_erred(error)
            return
        self.step()

    def end_received(self) -> None:
        try:
            self._core.end_received(self.now)
        except RemoteProtocolError as error:
            self._peer_erred(error)
            return
        self.step()
        self.close(Ended.FINISHED)

    def leg_lost(self, reason: Ended) -> None:
        self._lost = self._why or reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._lost)
        # It mostly belongs to whoever has this driver: a circle, which would be left to the garbage.
        self._on_event = _told_nobody

    def _peer_erred(self, error: RemoteProtocolError) -> None:
        self.log.warn("{peer} broke the rules: {reason}", peer=self._leg.peer, reason=str(error))
        self.step()
        self.close(Ended.PROTOCOL_ERROR)

    def _rearm(self) -> None:
        when = self._core.next_wakeup()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer = self._clock.callLater(max(0.0, when - self.now), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._core.wake(self.now)
        self.step()


def _told_nobody(event: object) -> None:
    """Takes what a core says once its leg is gone, and whoever waited for that has been told."""
