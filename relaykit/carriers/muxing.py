"""Many legs over one leg: a yamux session as a path.

:class:`MuxLink` runs a :class:`~relaykit.sansio.yamux.session.YamuxSession` over any leg.  The
rules of the protocol, the order of output and all limits are the session's; here its streams get
legs, and its output goes down once in a turn, not after every input: that is why
:class:`~relaykit.driver.LegDriver` does not run it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.legs import StreamLeg
from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.interfaces import ILegReceiver, IMeasuredPath, IMuxedLeg, IPiecesReceiver, ISharedPath
from relaykit.sansio.yamux.outbox import FLUSH_BYTES, PIECE_BYTES
from relaykit.sansio.yamux.session import MuxRole, YamuxSession
from relaykit.sansio.yamux.streams import (
    Event,
    SessionEnded,
    Stream,
    StreamEnded,
    StreamLost,
    StreamOpened,
    StreamWritable,
)
from relaykit.timer import Portion, Timer
from relaykit.values import Ended, Origin, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IConnection, IEnd, ILegAcceptor, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer

__all__ = ["MuxLink", "MuxRole", "MuxStreamLeg"]

UNCONFIRMED_S = 60.0
"""Seconds for the peer's machine to take and confirm what a link sends, which its peer reads at all times:
a second net below the pings."""

CLOSING_BYTES = 1024 * 1024
"""Payload that a link which is closed still takes from its streams: last words, not transfers."""

CLOSING_S = 2.0
"""Seconds for the last words of a link that is closed to go out, and for the peer to close it, too: whoever
stops waits for that."""

SLOW_AFTER_S = 0.005
"""A link that takes nothing for so long is slow (some 200 Mbit/s, by what its leg holds back).  Its turns are
short, and little goes down at once, for whoever comes next to wait for."""


@implementer(IMuxedLeg)
class MuxStreamLeg(StreamLeg):
    """A stream of a mux link."""

    __slots__ = ("_link", "_session", "_stream", "_takes_pieces")

    def __init__(self, link: MuxLink, stream: Stream) -> None:
        super().__init__(link.lower.peer, link.lower.host)
        self._link = link
        self._session = link.session
        self._stream = stream
        self._takes_pieces = False
        stream.user_data = self

    def __repr__(self) -> str:
        return f"<MuxStreamLeg {self._stream!r} of {self._link!r}>"

    @property
    def turns(self) -> ITurns:
        return self._link.turns

    def write(self, data: Buffer) -> None:
        stream = self._stream
        self._session.write(stream, data if type(data) is bytes else bytes(data))
        if stream.congested:
            self._output_full()
        if not self._link.flush_asked:
            self._link.flush_soon()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write(piece)

    def finish_writing(self) -> None:
        self._session.finish(self._stream)
        self._link.flush_soon()

    def close(self) -> None:
        self._silence()
        self._session.close(self._stream, self._link.now)
        self._link.flush_soon()

    def break_off(self) -> None:
        self._silence()
        self._session.break_off(self._stream, self._link.now)
        self._link.flush_soon()

    def abort(self) -> None:
        self._silence()
        self._session.reset(self._stream)
        self._link.flush_soon()

    def accept(self) -> None:
        self._session.accept(self._stream)
        self._link.flush_soon()

    def expedite(self) -> None:
        self._session.expedite(self._stream)

    def attach(self, receiver: ILegReceiver) -> None:
        self._takes_pieces = IPiecesReceiver.providedBy(receiver)
        super().attach(receiver)

    def on_payload(self, pieces: list[memoryview]) -> None:
        """Takes payload that the link received; what is held costs the peer its credit."""
        if len(pieces) > 1 and self._flowing and self._takes_pieces:
            self._receiver.pieces_received(pieces)  # type: ignore[union-attr]  # flowing implies one
            self._session.consumed(self._stream, sum(map(len, pieces)))
            return
        for data in pieces:
            if self._arrived(data):
                self._session.consumed(self._stream, len(data))

    def on_event(self, event: Event) -> None:
        """Takes what else happened to the stream."""
        if isinstance(event, StreamEnded):
            self._ended()
        elif isinstance(event, StreamWritable):
            self._output_drained()
        elif isinstance(event, StreamLost):
            self._lost(event.reason)

    def _reading_wanted(self, wanted: bool) -> None:
        """Nothing to do: the link is always read, and what one stream may send is bounded."""

    def _released(self, count: int) -> None:
        self._session.consumed(self._stream, count)
        self._link.flush_soon()


@implementer(IMeasuredPath, ISharedPath, ILegReceiver, IPushProducer)
class MuxLink:
    """Runs a yamux session over a leg, which it owns.

    Nothing is sent or read before :meth:`start`.  Legs of peers go to the acceptor; without one
    they are refused.
    """

    log = Logger()

    def __init__(
        self,
        lower: IStreamLeg,
        role: MuxRole,
        turns: ITurns,
        clock: IReactorTime,
        keepalive_s: float | None = 30.0,
    ) -> None:
        """``keepalive_s`` is the pause between pings, in seconds; None for no pings."""
        self.lower = lower
        self.session = YamuxSession(role, clock.seconds(), keepalive_s)
        self.turns = turns
        self._clock = clock
        self._acceptor: ILegAcceptor | None = None
        self._accepts_at_once = True
        self._origin = Origin(lower.peer, lower.host)
        self._timer = Timer(clock, self._wake)
        self._gone_at: float | None = None
        self.flush_asked = False
        self._output_paused = False
        self._paused_at = 0.0
        self._turn_bytes = FLUSH_BYTES
        self._telling = False
        self._reason: Ended | None = None
        self._lost: Ended | None = None
        self._waiting: list[Deferred[Ended]] = []
        self._on_heard: list[Deferred[None]] = []
        self._round_trips: deque[tuple[int, Deferred[None]]] = deque()
        """Who waits for an answer: how many pings must have been answered, in order."""

    def __repr__(self) -> str:
        return f"<MuxLink with {self.lower.peer}>"

    @property
    def now(self) -> float:
        """The time that the session is told."""
        return self._clock.seconds()

    def accept_legs(self, acceptor: ILegAcceptor, at_once: bool = True) -> None:
        self._acceptor, self._accepts_at_once = acceptor, at_once

    def restrict(self, most_streams: int, streams: int, size: int) -> None:
        self.session.restrict(most_streams, streams, size)

    def lift(self) -> None:
        self.session.lift()

    def start(self) -> None:
        self.lower.registerProducer(self, True)
        connection: IConnection | None = self.lower.connection
        if connection is not None:
            connection.give_up_unconfirmed(UNCONFIRMED_S)
            # What waits with its stream can be overtaken: a transfer by the keystrokes of another user.
            connection.favor_latency()
        self.flush_soon()
        self.lower.attach(self)

    # --- the path -------------------------------------------------------------------------------

    def open_leg(self, urgent: bool = False) -> Deferred[IStreamLeg]:
        """Opens a stream to the peer; the Deferred has fired already."""
        try:
            stream = self.session.open_stream(self.now, urgent)
        except ConnectionFailed as error:
            return fail(error)
        self.flush_soon()
        return succeed(MuxStreamLeg(self, stream))

    @property
    def round_trip_s(self) -> float | None:
        return self.session.round_trip_s

    def measure_round_trip(self) -> None:
        self.session.measure_round_trip(self.now)
        self.flush_soon()

    def ping(self) -> Deferred[None]:
        heard: Deferred[None] = Deferred()
        self._on_heard.append(heard)
        self.measure_round_trip()
        return heard

    def round_trip(self) -> Deferred[None]:
        answered: Deferred[None] = Deferred()
        self._round_trips.append((self.session.begun_pings + 1, answered))
        self.measure_round_trip()
        return answered

    def connection_of(self, leg: IStreamLeg) -> IEnd:
        return self.lower

    def when_lost(self) -> Deferred[Ended]:
        waiting: Deferred[Ended] = Deferred()
        if self._lost is not None:
            waiting.callback(self._lost)
        else:
            self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """Sends what may be sent at once, then closes the link and all its legs."""
        if self.session.over:
            return
        self.session.go_away()
        self._send(CLOSING_BYTES)
        self._end(Ended.STOPPED)

    # --- for legs -------------------------------------------------------------------------------

    def flush_soon(self) -> None:
        """Sends what there is to send once this turn's input has been dealt with."""
        if not self.flush_asked:
            self.flush_asked = True
            self.turns.at_turn_end(self._flush)

    # --- the lower leg: its receiver and its producer -------------------------------------------

    def data_received(self, data: Buffer) -> None:
        if self._on_heard:
            self._peer_lives()
        self._take(data)
        session = self.session
        if session.has_input:
            self._take_portion()
        if self._round_trips:
            self._end_round_trips()
        if session.has_output and not self.flush_asked:
            self.flush_soon()

    def end_received(self) -> None:
        self.session.end_received(self.now)
        self._tell()

    def leg_lost(self, reason: Ended) -> None:
        self._lost = self._reason or reason
        self.session.end(self._lost)
        self._tell()
        self._timer.stop()
        self._round_trips.clear()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._lost)
        # It mostly knows the link, too: a reference cycle.
        self._acceptor = None

    def pauseProducing(self) -> None:
        self._output_paused = True
        self._paused_at = self.now

    def resumeProducing(self) -> None:
        self._output_paused = False
        self._turn_bytes = PIECE_BYTES if self.now - self._paused_at > SLOW_AFTER_S else FLUSH_BYTES
        self.flush_soon()

    def stopProducing(self) -> None:
        """Nothing to do: the loss of the lower leg is told as such."""

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, data: Buffer) -> None:
        """Deals with a part of what the peer sent."""
        try:
            self.session.receive(data, self._clock.seconds())
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} broke the rules: {reason}",
                peer=self.lower.peer,
                reason=str(error),
                stranger=host_of(self.lower.peer),
                problem="broke-the-rules",
            )
        self._tell()

    def _take_portion(self) -> None:
        """Deals with what is left, as long as this link's portion of the turn lasts; reads nothing before."""
        portion = Portion(self._clock)
        session = self.session
        while session.has_input:
            self._take(b"")
            if portion.is_over:
                break
        if session.has_input:
            self.lower.pauseProducing()
            self.turns.in_next_turn(self._take_rest)

    def _take_rest(self) -> None:
        if self._lost is not None:
            return
        self._take_portion()
        if not self.session.has_input:
            self.lower.resumeProducing()
        self.flush_soon()

    def _peer_lives(self) -> None:
        listening, self._on_heard = self._on_heard, []
        for heard in listening:
            heard.callback(None)

    def _end_round_trips(self) -> None:
        waiting = self._round_trips
        while waiting and self.session.answered_pings >= waiting[0][0]:
            waiting.popleft()[1].callback(None)
        if waiting:
            self.measure_round_trip()

    def _tell(self) -> None:
        """Acts on the session's events, also on those that this causes."""
        if self._telling:
            return
        self._telling = True
        try:
            while events := self.session.events():
                self._tell_all(events)
        finally:
            self._telling = False

    def _tell_all(self, events: Sequence[Event]) -> None:
        """Acts on events; payload of one stream that arrived in a row is passed on together."""
        stream: Stream | None = None
        pieces: list[memoryview] = []
        for event in events:
            if event.__class__ is tuple:
                if event[0] is stream:
                    pieces.append(event[1])
                    continue
                if stream is not None:
                    self._deliver(stream, pieces)
                stream, data = event
                pieces = [data]
                continue
            if stream is not None:
                self._deliver(stream, pieces)
                stream = None
            try:
                self._act(event)
            except Exception:
                self._defect(getattr(event, "stream", None))
        if stream is not None:
            self._deliver(stream, pieces)

    def _deliver(self, stream: Stream, pieces: list[memoryview]) -> None:
        try:
            stream.user_data.on_payload(pieces)
        except Exception:
            self._defect(stream)

    def _act(self, event: Event) -> None:
        if isinstance(event, StreamOpened):
            self._take_stream(event.stream)
        elif isinstance(event, SessionEnded):
            self._session_ended(event)
        elif isinstance(event, (StreamEnded, StreamWritable)):
            event.stream.user_data.on_event(event)
        elif isinstance(event, StreamLost):
            event.stream.user_data.on_event(event)
            # Else a reference cycle would keep the link.
            event.stream.user_data = None

    def _take_stream(self, stream: Stream) -> None:
        leg = MuxStreamLeg(self, stream)
        if self._acceptor is None:
            leg.abort()
            return
        if self._accepts_at_once:
            self.session.accept(stream)
        self._acceptor.leg_accepted(leg, self._origin)

    def _defect(self, stream: Stream | None) -> None:
        """What takes a leg's input raised: only that leg suffers."""
        self.log.failure("a defect while a mux stream was served; the stream is dropped")
        if stream is not None:
            stream.user_data.abort()

    def _session_ended(self, event: SessionEnded) -> None:
        if self._reason is None and self._lost is None:
            self.log.debug(
                "the mux link with {peer} ended: {reason}",
                peer=self.lower.peer,
                reason=event.text,
                ended=event.reason.value,
            )
            self._send(0)
            self._end(event.reason)

    def _end(self, reason: Ended) -> None:
        """Ends the session for this reason and closes what is below; legs learn of it in their turn."""
        self._reason = reason
        self.session.end(reason)
        self._gone_at = self.now + CLOSING_S
        self.flush_soon()
        if reason is Ended.TIMEOUT:
            self.lower.abort()
        else:
            self.lower.close()

    def _flush(self) -> None:
        """Sends what has come together in this turn, in one piece."""
        self.flush_asked = False
        if self._lost is None and not self._output_paused:
            self._send(self._turn_bytes)
        self._tell()
        if self._lost is None and self.session.has_output and not self._output_paused:
            self.flush_soon()
        self._rearm()

    def _send(self, budget_bytes: int) -> None:
        pieces = self.session.to_send(self.now, budget_bytes, self._turn_bytes)
        if pieces:
            self.lower.write_sequence(pieces)

    def _rearm(self) -> None:
        if self._lost is None:
            self._timer.set(self.session.next_wakeup() if self._gone_at is None else self._gone_at)

    def _wake(self) -> None:
        if self._gone_at is not None:
            self.lower.abort()
            return
        self.session.wake(self.now)
        self._tell()
        self.flush_soon()
