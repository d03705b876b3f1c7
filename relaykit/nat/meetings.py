"""A client's half of meetings: between the signals of one backend or visitor, the core, and punching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import MeetingFailed, MeetingRefusedError, RefusalCode, RefusedError, RemoteProtocolError
from relaykit.interfaces import IMeetings
from relaykit.nat.punch import TraversalFailed
from relaykit.sansio.nat import meetings as core
from relaykit.sansio.nat.knocks import Role
from relaykit.sansio.nat.meeting_messages import EndReason, from_body, proof_of, to_body
from relaykit.sansio.nat.meetings import CallDeclined, Met, OfferReceived
from relaykit.sansio.nat.punching import FailureReason
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from relaykit.interfaces import ISignalPeer
    from relaykit.values import Secret

__all__ = ["ClientMeetings", "Punching", "Traverse"]


class Punching(Protocol):
    """What a meeting needs of a :class:`relaykit.nat.punch.Traversal`."""

    def start(self) -> Deferred[Any]:
        """Begins; fires with the path."""

    def offer_received(self, wire: object, seen_at: str = "") -> None:
        """The peer's offer is there."""


Traverse: TypeAlias = Callable[[Met, Callable[[dict[str, object]], None]], Punching]
"""Makes what punches, given what the server said and what sends an offer."""


@define
class _Meeting:
    """One that is under way.  ``result`` is the caller's."""

    result: Deferred[Any] | None = None
    punching: Punching | None = None
    path: Deferred[Any] | None = None


@implementer(IMeetings)
class ClientMeetings:
    """A thin driver of :class:`relaykit.sansio.nat.meetings.Meetings`, and the owner of what punches.

    :param peer: the server's half of the proxy type.
    """

    log = Logger()

    def __init__(
        self,
        peer: ISignalPeer,
        clock: IReactorTime,
        traverse: Traverse,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._peer = peer
        self._clock = clock
        self._traverse = traverse
        self._core = core.Meetings(entropy)
        self._timer = Timer(clock, self._wake)
        self._meetings: dict[str, _Meeting] = {}
        self._taker: Callable[[Any], None] | None = None

    def call(self, secret: Secret) -> Deferred[Any]:
        if not self._peer.takes_signals:
            return fail(RefusedError(RefusalCode.NOT_AVAILABLE, "the server knows of no meetings"))
        client = self._peer.identity.run_id
        call = self._core.call(partial(proof_of, secret.to_bytes(), client), self._clock.seconds())
        if call is None:
            return fail(
                MeetingRefusedError(RefusalCode.TOO_MANY, "this visitor has too many meetings already")
            )
        result: Deferred[Any] = Deferred(lambda _: self._cancel(call))
        self._meetings[call] = _Meeting(result)
        self._settle()
        return result

    def answer(self, taker: Callable[[Any], None]) -> None:
        self._taker = taker

    def signal_received(self, body: Mapping[str, Any]) -> bool:
        message = from_body(body)
        if message is None:
            return False
        self._core.received(message, self._clock.seconds())
        self._settle()
        return True

    def close(self) -> None:
        self._taker = None
        for call, meeting in list(self._meetings.items()):
            if meeting.result is not None:
                meeting.result.cancel()
            else:
                self._cancel(call)

    # --- the core

    def _wake(self) -> None:
        self._core.wake(self._clock.seconds())
        self._settle()

    def _settle(self) -> None:
        while events := self._core.events():
            for event in events:
                self._happened(event)
        for message in self._core.to_send():
            try:
                self._peer.signal(to_body(message))
            except RefusedError as refusal:
                self.log.debug("a meeting goes on without the server: {reason}", reason=refusal.text)
        self._timer.set(self._core.next_wakeup())

    def _happened(self, event: core.MeetingEvent) -> None:
        if isinstance(event, Met):
            self._met(event)
            return
        meeting = self._meetings.get(event.call)
        if meeting is None:
            return
        if isinstance(event, OfferReceived):
            self._offered(meeting, event)
        elif isinstance(event, CallDeclined):
            self._fail(event.call, MeetingRefusedError(event.code, event.text))
        elif event.why is EndReason.FAILED and event.failure is not None:
            self._fail(event.call, TraversalFailed.because(event.failure))
        else:
            self._fail(event.call, MeetingFailed(_WORDS[event.why], event.why))

    def _met(self, event: Met) -> None:
        if event.role is Role.CALLEE:
            if self._taker is None:
                self._core.end(event.call, EndReason.GONE)
                return
            self._meetings[event.call] = _Meeting()
        meeting = self._meetings[event.call]
        punching = meeting.punching = self._traverse(event, partial(self._offer, event.call))
        path = meeting.path = punching.start()
        path.addCallbacks(
            self._punched, self._not_punched, callbackArgs=(event.call,), errbackArgs=(event.call,)
        )
        path.addErrback(lambda failure: self.log.failure("a defect where a path was handed on", failure))

    def _offered(self, meeting: _Meeting, event: OfferReceived) -> None:
        assert meeting.punching is not None
        try:
            meeting.punching.offer_received(event.offer, event.seen_at)
        except RemoteProtocolError as error:
            self._core.end(event.call, EndReason.BROKEN)
            self._fail(event.call, MeetingFailed(str(error), EndReason.BROKEN))

    # --- punching

    def _offer(self, call: str, offer: dict[str, object]) -> None:
        self._core.offer(call, offer)
        self._settle()

    def _punched(self, path: Any, call: str) -> None:
        meeting = self._meetings.pop(call)
        self._core.end(call, EndReason.SETTLED)
        self._settle()
        if meeting.result is not None:
            meeting.result.callback(path)
        else:
            assert self._taker is not None, "closed, and yet there is a path"
            self._taker(path)

    def _not_punched(self, failure: Failure, call: str) -> None:
        if failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, MeetingFailed):
            self.log.failure("a defect while punching", failure)
            error = MeetingFailed("this end failed; its log says why")
        reason = error.reason if isinstance(error.reason, FailureReason) else None
        self._core.end(call, EndReason.FAILED, reason)
        self._settle()
        self._fail(call, error)

    # --- the end

    def _cancel(self, call: str) -> None:
        self._core.end(call, EndReason.CANCELLED)
        self._drop(self._meetings.pop(call, None))
        self._settle()

    def _fail(self, call: str, why: Exception) -> None:
        meeting = self._meetings.pop(call, None)
        self._drop(meeting)
        if meeting is not None and meeting.result is not None:
            meeting.result.errback(why)
        elif meeting is not None:
            self.log.debug("a meeting came to nothing: {reason}", reason=str(why))

    def _drop(self, meeting: _Meeting | None) -> None:
        """Stops what punches; its own end is no news."""
        if meeting is not None and meeting.path is not None:
            meeting.path.cancel()


_WORDS = {
    EndReason.SETTLED: "the other end believes that there is a path",
    EndReason.FAILED: "the other end found no path",
    EndReason.CANCELLED: "the other end gave the meeting up",
    EndReason.GONE: "the proxy takes part in no meetings, or is gone",
    EndReason.TIMEOUT: "the server or the other end took too long",
    EndReason.BUSY: "the proxy's client has too many meetings",
    EndReason.BROKEN: "one end broke the rules of the meeting",
}
