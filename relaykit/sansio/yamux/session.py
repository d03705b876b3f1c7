"""A yamux session: streams, their windows, pings and the end, without sockets or a clock.

It keeps the contract of :mod:`relaykit.sansio.contract`.  It leaves to its driver what an
application does with a stream, and to :class:`~relaykit.sansio.yamux.outbox.Outbox` the order in
which things go out.

Source: https://github.com/hashicorp/yamux/blob/master/spec.md; limits and timeouts are frp's.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Final

from relaykit.errors import ConnectionFailed, RemoteProtocolError
from relaykit.sansio.yamux.allowance import (
    BYTES_EARN_POINT,
    NUISANCE_COSTS,
    WASTED_STREAM_COSTS,
    allowance,
)
from relaykit.sansio.yamux.credit import Credit
from relaykit.sansio.yamux.frames import (
    ACK,
    DATA,
    FIN,
    FLAGS,
    GO_AWAY,
    HEADER_BYTES,
    LAST_TYPE_FLAGS,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    GoAwayCode,
    unpack_header,
)
from relaykit.sansio.yamux.outbox import FLUSH_BYTES, HIGH_WATER_BYTES, PIECE_BYTES, Outbox
from relaykit.sansio.yamux.streams import (
    Event,
    GoingAway,
    Half,
    SessionEnded,
    Stream,
    StreamEnded,
    StreamLost,
    StreamOpened,
)
from relaykit.sansio.yamux.timing import Deadlines, Keepalive
from relaykit.values import LOST_LINGER_S, Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaykit.sansio.contract import Buffer

__all__ = [
    "ACCEPT_BACKLOG",
    "CLOSE_TIMEOUT_S",
    "LATE_INPUT_TIMEOUT_S",
    "LINGER_S",
    "MAX_STREAMS",
    "MOST_FRAMES",
    "OPEN_TIMEOUT_S",
    "MuxRole",
    "YamuxSession",
]

ACCEPT_BACKLOG: Final = 256
"""Streams, each way, that were opened and not yet accepted; both ends of yamux count on it."""

MAX_STREAMS: Final = 32 * 1024
"""Streams of one session.  A client has fewer ports than that towards one local service, and the
memory that a peer can fill is this times the initial window, plus the extra credit."""

OPEN_TIMEOUT_S: Final = 75.0
"""Seconds for the peer to accept or refuse a stream before the session is given up, as in yamux."""

CLOSE_TIMEOUT_S: Final = 300.0
"""Seconds for the peer to end a closed stream before it is reset, as in yamux."""

LATE_INPUT_TIMEOUT_S: Final = 30.0
"""Seconds that the peer may go on sending to a closed stream before it is reset: it has to be stopped,
but a reset may cost it what it has not read yet."""

LINGER_S: Final = 60.0
"""Seconds for a closed stream to send what was written: a queue and a window over a slow mobile link."""

MOST_FRAMES: Final = 64
"""Frames that one input deals with: few enough that whoever drives the session can look at the clock."""

_MAX_ANSWERS: Final = 1024
"""Pings and refused streams to be answered at once: four times what an honest peer can cause."""

_MAX_NUMBER: Final = 0xFFFF_FFFF

_NOTHING: Final = memoryview(b"")


class MuxRole(enum.Enum):
    """Which end of the link this is; the value is the number of its first stream."""

    CLIENT = 1
    SERVER = 2


class YamuxSession:
    """One end of a mux link.

    Payload arrives as :data:`~relaykit.sansio.yamux.streams.Payload` pairs whose view is lent:
    frames are passed on as they come in, in parts if need be, and never assembled.  The
    application tells by :meth:`consumed` what it has really taken, which is what opens the peer's
    window again; unread payload of a stream is bounded by its window.

    A stream of the peer counts among :data:`ACCEPT_BACKLOG` until it is accepted, thus accept it once
    it is known what it is for.

    Commands on a stream that is closed or lost do nothing.
    """

    def __init__(self, role: MuxRole, now: float, keepalive_s: float | None = 30.0) -> None:
        """``keepalive_s`` is the pause between pings, in seconds; None sends none of that kind."""
        self._now = now
        self._over = False
        self._events: list[Event] = []
        self._outbox = Outbox()
        self._answers = 0
        # Streams.
        self._streams: dict[int, Stream] = {}
        self._parity = role.value % 2
        self._next_number: int = role.value
        self._may_open = True
        self._may_accept = True
        self._backlog: set[Stream] = set()
        self._held_back: deque[Stream] = deque()
        self._opening = Deadlines(OPEN_TIMEOUT_S)
        self._lingering = Deadlines(LINGER_S)
        self._closing = Deadlines(CLOSE_TIMEOUT_S)
        self._late_input = Deadlines(LATE_INPUT_TIMEOUT_S)
        self._breaking_off = Deadlines(LOST_LINGER_S)
        self._waits = (self._opening, self._lingering, self._closing, self._late_input, self._breaking_off)
        self._keepalive = Keepalive(keepalive_s, now)
        # Receiving.
        self._header = bytearray()
        self._payload_left = 0
        self._payload_stream: Stream | None = None
        self._payload_ending: Stream | None = None
        self._unread: memoryview = _NOTHING
        """What was received and waits for its turn, in memory of its own."""
        self._credit = Credit()
        self._allowance = allowance(now)
        self.max_streams = MAX_STREAMS
        self._streams_left: int | None = None
        self._bytes_left: int | None = None

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self._over

    @property
    def round_trip_s(self) -> float | None:
        """The round trip that the last ping took, in seconds; None before the first answer."""
        return self._keepalive.round_trip_s

    @property
    def answered_pings(self) -> int:
        """How many pings the peer has answered."""
        return self._keepalive.answered_pings

    @property
    def begun_pings(self) -> int:
        """How many pings were sent, of which one may still be under way."""
        return self._keepalive.begun_pings

    def measure_round_trip(self, now: float) -> None:
        """Has the next output begin with a ping, unless one is under way; as any, it must be answered."""
        self._pass_time(now)
        if not self._over:
            self._keepalive.want(self._now)

    @property
    def has_output(self) -> bool:
        """Whether :meth:`to_send` would answer anything."""
        return bool(self._outbox or self._credit or self._keepalive.wanted)

    @property
    def has_input(self) -> bool:
        """Whether frames that were received wait until others had their turn: then feed an empty portion."""
        return bool(self._unread) and not self._over

    # --- inputs ---------------------------------------------------------------------------------

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the peer, of which :data:`MOST_FRAMES` frames are dealt with; see :attr:`has_input`.

        :raises RemoteProtocolError: the peer broke the rules; the session is over.
        """
        if self._over or not (data or self._unread):
            return
        self._pass_time(now)
        if data:
            self._keepalive.heard_at = self._now
            self._count(len(data))
        view, self._unread = self._unread, _NOTHING
        if not view:
            self._take_frames(memoryview(data), False)
        else:
            self._take_frames(memoryview(bytes(view) + data) if data else view, True)

    def _take_frames(self, view: memoryview, is_kept: bool) -> None:
        """Deals with some frames; the others wait.  ``is_kept`` says that the memory is not lent."""
        size = len(view)
        at = self._complete_header(view) if self._header else 0
        streams = self._streams
        arrived = self._events.append
        for _ in range(MOST_FRAMES):
            if self._payload_left:
                at = self._pass_on(view, at)
            body = at + HEADER_BYTES
            if body > size:
                if at < size:
                    self._header += view[at:]
                return
            type_flags, number, value = unpack_header(view, at)
            at = body
            if not type_flags:
                # A plain DATA frame that is here in one piece: nearly all of them.
                stream = streams.get(number)
                if stream is not None and value <= stream.receive_window and not stream.ignoring_input:
                    end = at + value
                    if value > 0 and end <= size:
                        stream.receive_window -= value
                        arrived((stream, view[at:end]))
                        at = end
                        continue
            self._take_frame(type_flags, number, value)
            if self._over:
                return
        self._unread = view[at:] if is_kept else memoryview(bytes(view[at:]))

    def end_received(self, now: float) -> None:
        """Tells that the peer will send no more: the session is over."""
        self._pass_time(now)
        self._end(Ended.FINISHED, "the peer closed the link")

    def wake(self, now: float) -> None:
        """Pings when it is time, and gives up what waited too long."""
        self._pass_time(now)
        if self._over:
            return
        now = self._now
        if not self._keepalive.wake(now):
            self._end(Ended.TIMEOUT, "the peer did not answer a ping")
            return
        if any(True for _ in self._opening.expired(now)):
            self._end(Ended.TIMEOUT, "the peer neither accepted nor refused a stream")
            return
        for waits in (self._lingering, self._closing, self._late_input):
            for stream in waits.expired(now):
                self._reset(stream, Ended.TIMEOUT)
        for stream in self._breaking_off.expired(now):
            if 0 < stream.queued_bytes < stream.unsent_bytes:
                stream.unsent_bytes = stream.queued_bytes
                self._breaking_off.begin(stream, now)
            else:
                self._reset(stream, Ended.TIMEOUT)

    def next_wakeup(self) -> float | None:
        """When :meth:`wake` has something to do."""
        if self._over:
            return None
        first = self._keepalive.next_wakeup()
        # Asked for after each output, when mostly no stream waits for anything.
        for waits in filter(None, self._waits):
            until = waits.first()
            if until is not None and (first is None or until < first):
                first = until
        return first

    # --- output ---------------------------------------------------------------------------------

    def to_send(
        self, now: float, budget_bytes: int = FLUSH_BYTES, turn_bytes: int = PIECE_BYTES
    ) -> Sequence[Buffer]:
        """Takes what must go out, at most ``budget_bytes`` of payload; the rest stays with its stream.

        Where several streams have payload, one turn takes at most ``turn_bytes``.
        """
        self._pass_time(now)
        if self._credit:
            self._credit.give(self._outbox, self._keepalive, self._now)
        if self._keepalive.wanted:
            self._outbox.add(PING | SYN, 0, self._keepalive.send(self._now))
        pieces: list[Buffer] = []
        self._outbox.take_control(pieces)
        self._answers = 0
        ending = self._outbox.take_payload(pieces, budget_bytes, self._events, turn_bytes)
        if ending:
            for stream in ending:
                self._send_end(stream)
            self._outbox.take_control(pieces)
        self._allowance.earn(sum(map(len, pieces)) / BYTES_EARN_POINT)
        return pieces

    def events(self) -> Sequence[Event]:
        """Takes what has happened since the last call; views in it are lent until the next input."""
        events = self._events
        if events:
            self._events = []
        return events

    # --- commands -------------------------------------------------------------------------------

    def restrict(self, most_streams: int, streams: int, size: int) -> None:
        """Lets the peer have ``most_streams`` at once, open ``streams`` and send ``size`` bytes in all.

        With one stream or byte more the session is over, until :meth:`lift`.
        """
        self.max_streams, self._streams_left, self._bytes_left = most_streams, streams, size

    def lift(self) -> None:
        """Lets the peer have and send what every peer may."""
        self.max_streams, self._streams_left, self._bytes_left = MAX_STREAMS, None, None

    def open_stream(self, now: float, urgent: bool = False) -> Stream:
        """Opens a stream, which may be written to at once.

        :raises ConnectionFailed: the session is over, the peer is going away, or there are too many.
        """
        self._pass_time(now)
        if self._over or not self._may_open:
            raise ConnectionFailed(
                "the peer of the mux link takes no more streams", problem="too-many-streams"
            )
        if self._next_number > _MAX_NUMBER or len(self._streams) >= self.max_streams:
            raise ConnectionFailed(
                f"the mux link has {len(self._streams)} streams and can have no more",
                problem="too-many-streams",
            )
        stream = Stream(self._next_number, self._now, urgent)
        self._next_number += 2
        self._streams[stream.id] = stream
        stream.announced = False
        stream.is_answered = True
        self._held_back.append(stream)
        self._announce()
        return stream

    def accept(self, stream: Stream) -> None:
        """Tells the peer that its stream is taken."""
        if stream in self._backlog:
            self._backlog.remove(stream)
            self._outbox.add(WINDOW_UPDATE | ACK, stream.id, 0)

    def expedite(self, stream: Stream) -> None:
        """Lets the stream's output overtake that of the others."""
        self._outbox.expedite(stream)

    def write(self, stream: Stream, data: Buffer) -> None:
        """Queues bytes, which must not change any more; look at ``stream.congested`` afterwards."""
        if stream.sending is not Half.OPEN or stream.closed or not data:
            return
        stream.is_answered = True
        stream.queue.append(data)
        stream.queued_bytes += len(data)
        if stream.queued_bytes > HIGH_WATER_BYTES:
            stream.congested = True
        if not stream.scheduled and stream.send_window and stream.announced:
            self._outbox.schedule(stream)

    def finish(self, stream: Stream) -> None:
        """Ends this side's direction after what was written."""
        if stream.sending is not Half.OPEN or stream.closed:
            return
        stream.sending = Half.ENDING
        if not stream.queue and stream.announced:
            self._send_end(stream)

    def close(self, stream: Stream, now: float) -> None:
        """Sends what was written, ends the stream, and takes no more of it; bounded in time."""
        self._pass_time(now)
        if stream.closed or stream.closed_locally:
            return
        stream.closed_locally = stream.ignoring_input = True
        if self._payload_stream is stream:
            self._payload_stream = None
        self.finish(stream)
        if stream.sending is Half.ENDING:
            self._lingering.begin(stream, self._now)
        elif not stream.closed:
            self._let_go(stream)

    def break_off(self, stream: Stream, now: float) -> None:
        """Closes the stream because nobody is left on this side of it.

        It is reset soon after its end, unless the peer ends it first, or once the peer takes nothing
        of what was written.  After :meth:`close` it hastens what that began.
        """
        self.close(stream, now)
        if not stream.closed:
            stream.unsent_bytes = stream.queued_bytes
            self._breaking_off.begin(stream, self._now)

    def reset(self, stream: Stream) -> None:
        """Drops the stream at once, and tells the peer."""
        if not stream.closed:
            self._reset(stream, Ended.CANCELLED)

    def consumed(self, stream: Stream, count: int) -> None:
        """Tells that the application has taken so many bytes of the stream's payload."""
        before = stream.consumed_bytes
        stream.consumed_bytes = after = before + count
        if after * 2 >= stream.window_bytes > before * 2 and not stream.closed:
            self._credit.ask(stream)

    def go_away(self) -> None:
        """Takes no more streams of the peer; those that are open live on."""
        if self._may_accept and not self._over:
            self._may_accept = False
            self._outbox.add(GO_AWAY, 0, GoAwayCode.NORMAL)

    def end(self, reason: Ended) -> None:
        """Ends the session: its link is gone, or about to be closed."""
        self._end(reason, "the link ended")

    # --- receiving ------------------------------------------------------------------------------

    def _complete_header(self, view: memoryview) -> int:
        """Adds to the header that came in parts; answers where to go on."""
        missing = HEADER_BYTES - len(self._header)
        self._header += view[:missing]
        if len(self._header) == HEADER_BYTES:
            type_flags, number, value = unpack_header(self._header, 0)
            self._header.clear()
            self._take_frame(type_flags, number, value)
        return missing

    def _pass_on(self, view: memoryview, at: int) -> int:
        """Passes on as much as is here of a frame's payload; answers where to go on."""
        portion = view[at : at + self._payload_left]
        if self._payload_stream is not None and portion:
            self._events.append((self._payload_stream, portion))
        self._payload_left -= len(portion)
        if not self._payload_left and self._payload_ending is not None:
            stream, self._payload_ending = self._payload_ending, None
            self._peer_ended(stream)
        return at + len(portion)

    def _take_frame(self, type_flags: int, number: int, value: int) -> None:
        if type_flags > LAST_TYPE_FLAGS:
            raise self._broken(f"a frame has the unknown version or type {type_flags >> 16:#06x}")
        kind = type_flags & ~FLAGS
        flags = type_flags & FLAGS
        if kind == PING:
            self._spend(NUISANCE_COSTS)
            if flags & SYN:
                self._answer(PING | ACK, 0, value)
            else:
                self._keepalive.answered(value, self._now)
        elif kind == GO_AWAY:
            self._spend(NUISANCE_COSTS)
            self._peer_going(value)
        else:
            if flags & SYN:
                self._requested(number)
            stream = self._streams.get(number)
            if stream is None or not self._serves(stream, kind, flags, value):
                self._spend(NUISANCE_COSTS)
            if kind == DATA:
                self._begin_payload(stream, value)
            elif stream is not None:
                self._widen(stream, value)
            if stream is not None and (flags or kind):
                self._take_flags(stream, flags)

    def _serves(self, stream: Stream, kind: int, flags: int, value: int) -> bool:
        """Whether a frame is of use: it has payload, or it begins, accepts or ends the stream."""
        if flags & (SYN | FIN | RST) or (value and kind == DATA):
            return True
        return bool(flags & ACK) and stream in self._opening

    def _count(self, size: int) -> None:
        """Counts what the peer has sent."""
        self._allowance.earn(size / BYTES_EARN_POINT)
        if self._bytes_left is not None:
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise self._broken("it sends more than it may before it is let in")

    def _spend(self, points: int) -> None:
        if not self._allowance.spend(points, self._now):
            raise self._broken("it sends too much that serves nobody: pings, window updates, streams")

    def _answer(self, type_flags: int, number: int, value: int) -> None:
        """Sends what the peer caused; too many at once would fill the memory."""
        self._answers += 1
        if self._answers > _MAX_ANSWERS:
            raise self._broken("more pings and streams than can be answered at once")
        self._outbox.add(type_flags, number, value)

    def _requested(self, number: int) -> None:
        """Makes the stream that the peer opens, or refuses it."""
        if number in self._streams:
            raise self._broken(f"stream {number} was opened twice")
        if number == 0 or number % 2 == self._parity:
            raise self._broken(f"stream {number} is not the peer's to open")
        if self._streams_left is not None:
            self._streams_left -= 1
            if self._streams_left < 0:
                raise self._broken("it opens more streams than it may before it is let in")
        # Those that came to nothing were counted when they were lost, which may have been no input.
        self._spend(0)
        full = len(self._backlog) >= ACCEPT_BACKLOG or len(self._streams) >= self.max_streams
        if full or not self._may_accept:
            self._answer(WINDOW_UPDATE | RST, number, 0)
            return
        stream = self._streams[number] = Stream(number, self._now)
        self._backlog.add(stream)
        self._events.append(StreamOpened(stream))

    def _begin_payload(self, stream: Stream | None, size: int) -> None:
        """Prepares for a frame's payload: whom to pass it on to, or nobody."""
        self._payload_left = size
        self._payload_stream = None
        if stream is None:
            return
        if size > stream.receive_window:
            raise self._broken(f"stream {stream.id} has room for {stream.receive_window} bytes, not {size}")
        stream.receive_window -= size
        # frp writes and closes in different threads: payload may come behind the end, for nobody.
        if not stream.ignoring_input:
            self._payload_stream = stream
        elif stream.closed_locally and stream.sending is Half.ENDED:
            self._late_input.begin(stream, self._now)

    def _widen(self, stream: Stream, credit: int) -> None:
        """Takes the peer's permission to send more."""
        stream.send_window += credit
        if stream.queue and not stream.scheduled and stream.announced and stream.send_window:
            self._outbox.schedule(stream)

    def _take_flags(self, stream: Stream, flags: int) -> None:
        if self._opening.end(stream):
            self._announce()
        if flags & RST:
            self._lose(stream, Ended.RESET)
        elif flags & FIN:
            if self._payload_left:
                self._payload_ending = stream
            else:
                self._peer_ended(stream)

    def _peer_ended(self, stream: Stream) -> None:
        if stream.closed:
            return
        if stream.receiving is Half.ENDED:
            raise self._broken(f"stream {stream.id} was ended twice")
        stream.receiving = Half.ENDED
        stream.ignoring_input = True
        if not stream.closed_locally:
            self._events.append(StreamEnded(stream))
        if stream.sending is Half.ENDED:
            self._lose(stream, Ended.FINISHED)

    def _peer_going(self, code: int) -> None:
        if code == GoAwayCode.NORMAL:
            self._may_open = False
            self._events.append(GoingAway())
        else:
            self._end(Ended.PROTOCOL_ERROR, f"the peer gave up the mux link with code {code}")

    def _broken(self, text: str) -> RemoteProtocolError:
        """Ends the session for the peer's fault; answers the error to be raised."""
        self._outbox.add(GO_AWAY, 0, GoAwayCode.PROTOCOL_ERROR)
        self._end(Ended.PROTOCOL_ERROR, text)
        return RemoteProtocolError(text)

    # --- sending --------------------------------------------------------------------------------

    def _announce(self) -> None:
        """Tells the peer of opened streams, as many as its backlog holds."""
        while self._held_back and len(self._opening) < ACCEPT_BACKLOG:
            stream = self._held_back.popleft()
            if stream.closed:
                continue
            stream.announced = True
            self._outbox.add(WINDOW_UPDATE | SYN, stream.id, 0)
            self._opening.begin(stream, self._now)
            if stream.queue:
                self._outbox.schedule(stream)
            elif stream.sending is Half.ENDING:
                self._send_end(stream)

    def _send_end(self, stream: Stream) -> None:
        self._outbox.add(WINDOW_UPDATE | FIN, stream.id, 0)
        stream.sending = Half.ENDED
        if stream.receiving is Half.ENDED:
            self._lose(stream, Ended.FINISHED)
        elif stream.closed_locally:
            self._let_go(stream)

    def _let_go(self, stream: Stream) -> None:
        """Tells the application that a closed stream is done; the session waits for the peer's end."""
        self._lingering.end(stream)
        self._closing.begin(stream, self._now)
        if not stream.receive_window:
            # Whoever has filled it sends nothing more, and has to be stopped all the same.
            self._late_input.begin(stream, self._now)
        if self._breaking_off.end(stream):
            self._breaking_off.begin(stream, self._now)
        self._tell_loss(stream, Ended.FINISHED)

    # --- the end --------------------------------------------------------------------------------

    def _reset(self, stream: Stream, reason: Ended) -> None:
        if stream.announced:
            self._outbox.add(WINDOW_UPDATE | RST, stream.id, 0)
        self._lose(stream, reason)

    def _lose(self, stream: Stream, reason: Ended) -> None:
        """Forgets a stream."""
        del self._streams[stream.id]
        if stream in self._backlog or (reason is Ended.RESET and not stream.is_answered):
            self._allowance.spend(WASTED_STREAM_COSTS, self._now)
        self._retire(stream, reason)
        self._credit.forget(stream)
        self._backlog.discard(stream)
        self._lingering.end(stream)
        self._closing.end(stream)
        self._late_input.end(stream)
        self._breaking_off.end(stream)
        if self._payload_stream is stream:
            self._payload_stream = None
        if self._opening.end(stream):
            self._announce()

    def _retire(self, stream: Stream, reason: Ended) -> None:
        stream.closed = stream.ignoring_input = True
        stream.scheduled = stream.congested = False
        stream.queue.clear()
        stream.queued_bytes = 0
        self._tell_loss(stream, reason)

    def _tell_loss(self, stream: Stream, reason: Ended) -> None:
        if not stream.loss_told:
            stream.loss_told = True
            self._events.append(StreamLost(stream, reason))

    def _end(self, reason: Ended, text: str) -> None:
        """Ends everything; what the peer sent before stays among the events."""
        if self._over:
            return
        self._over = True
        self._outbox.clear()
        # An orderly end of the link is none for the streams that were open.
        for stream in self._streams.values():
            self._retire(stream, Ended.RESET if reason is Ended.FINISHED else reason)
        self._streams.clear()
        self._events.append(SessionEnded(reason, text))

    def _pass_time(self, now: float) -> None:
        if now > self._now:
            self._now = now
