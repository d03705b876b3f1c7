"""One user's connection in HTTP/2: its streams, and the frames and windows that they share.

A driver gives it what arrives from the user, acts on its events, gives the streams what their work
connections send, and sends what it wants sent.  Source: RFC 9113.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.answers import OPTIONS_OF_SERVER, refusal
from relaykit.sansio.http.connection import DEFAULT_TIMEOUTS, Timeouts
from relaykit.sansio.http.grammar import MOST_HEAD_BYTES, Malformed
from relaykit.sansio.http.requests import RequestHeads, RequestRefused
from relaykit.sansio.http.responses import ResponseHeads
from relaykit.sansio.http.rewriting import RequestRewriter, ResponseRewriter
from relaykit.sansio.http2 import frames
from relaykit.sansio.http2.allowance import (
    ANSWER_EARNS,
    BYTES_EARN_POINT,
    DATA_EARNS,
    NUISANCE_COSTS,
    RESET_COSTS,
    Allowance,
)
from relaykit.sansio.http2.fields import Fields, head_block, request_text, trailer_lines
from relaykit.sansio.http2.frames import (
    MOST_PAYLOAD_BYTES,
    MOST_WINDOW,
    ConnectionFault,
    ErrorCode,
    Flag,
    Frame,
    FrameReader,
    FrameType,
    Setting,
    StreamFault,
    unpadded,
)
from relaykit.sansio.http2.streams import STREAM_WINDOW_BYTES, Event, Finished, Requested, UserStream
from relaykit.sansio.late_wakeup import grace_until

__all__ = [
    "CONNECTION_WINDOW_BYTES",
    "MOST_CONTINUATIONS",
    "MOST_HEADS_BYTES",
    "MOST_STREAMS",
    "Http2Connection",
]

MOST_STREAMS: Final = 128
"""Streams that are open at once: RFC 9113 section 5.1.2 asks for 100 and browsers seldom have more.  Each
costs both ends a work connection and the local service a connection."""

CONNECTION_WINDOW_BYTES: Final = 2 * STREAM_WINDOW_BYTES
"""Bytes of bodies that may be on their way in all streams: what is kept at most while no work connection
takes anything.  Twice that of a stream, so that one that is stuck holds up no other."""

MOST_HEADS_BYTES: Final = 1024 * 1024
"""Bytes of the heads of all open streams, as they are in HTTP/1: a few bytes can stand for large heads."""

MOST_CONTINUATIONS: Final = 16
"""Frames that continue a head: the largest head has four of them, unless who sends it makes small ones."""

MOST_RESET: Final = 256
"""Streams that are remembered because we have reset them: what comes on them was under way."""

MOST_UNSENT: Final = 1000
"""Frames that answer those of a user who does not read, while its socket is full: resets, pings, windows."""

MOST_AT_ONCE_BYTES: Final = 256 * 1024
"""Bytes of bodies that are put out before the socket is asked whether it takes more."""

DEFAULT_WINDOW_BYTES: Final = 65_535
"""Source: RFC 9113 section 6.9.2."""

_INCREMENT = struct.Struct(">L")
_SETTING = struct.Struct(">HL")
_LEAST: Final = {Setting.MAX_FRAME_SIZE: MOST_PAYLOAD_BYTES}
_MOST: Final = {Setting.ENABLE_PUSH: 1, Setting.MAX_FRAME_SIZE: (1 << 24) - 1}
_PRIORITY_BYTES = 5
_PING_BYTES = 8
_LEAST_GOAWAY_BYTES = 8


class Http2Connection:
    """Reads requests of one user, and passes on each with its answer, many at once.

    The parameters are those of :class:`relaykit.sansio.http.connection.HttpConnection`.  What a call puts
    out may be slices of what it was given: take it, with :meth:`to_user` and
    :meth:`UserStream.to_provider`, before that is lent no more; or :meth:`UserStream.keep` what is for the
    user.  It has many fields: what all streams share.
    """

    def __init__(
        self,
        user: bytes,
        date: Callable[[], bytes],
        now: float,
        *,
        scheme: bytes = b"http",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self.date = date
        self.timeouts = timeouts
        self.request_rewriter = RequestRewriter(user, scheme)
        self.response_heads = ResponseHeads()
        self.response_rewriter = ResponseRewriter(date)
        self._request_heads = RequestHeads()
        self._written = (b"", b"")
        self._reader = FrameReader()
        self._decoder = Decoder(max_header_list_size=2 * MOST_HEAD_BYTES)
        self._allowance = Allowance(now)
        self._streams: dict[int, UserStream] = {}
        self._heads_bytes = 0
        self._highest = self._last_served = 0
        self._reset: dict[int, None] = {}
        self._block: tuple[Frame, list[bytes]] | None = None
        self._is_greeted = self._is_full = self._is_leaving = self._is_finished = False
        self._window = DEFAULT_WINDOW_BYTES
        self._stream_window = DEFAULT_WINDOW_BYTES
        self._room = CONNECTION_WINDOW_BYTES
        self._returned = 0
        self._now = now
        self._idle_due: float | None = now + timeouts.head_s
        self._block_due: float | None = None
        self._due: float | None = self._idle_due
        self._ready: dict[UserStream, None] = {}
        self._for_providers: dict[UserStream, None] = {}
        self._to_user: list[Buffer] = [
            frames.settings(
                (
                    (Setting.MAX_CONCURRENT_STREAMS, MOST_STREAMS),
                    (Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
                    (Setting.MAX_HEADER_LIST_SIZE, MOST_HEAD_BYTES),
                )
            ),
            frames.window_update(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES),
        ]
        self._events: list[Event] = []

    @property
    def streams(self) -> Sequence[UserStream]:
        """Those that are open."""
        return list(self._streams.values())

    # --- the user

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the user, in any portions."""
        self._now = now
        try:
            for frame in self._reader.feed(data):
                if self._is_finished:
                    return
                try:
                    self._receive_frame(frame)
                except StreamFault as fault:
                    self._spend(RESET_COSTS)
                    self._reset_stream(fault.stream_id, fault.code)
        except ConnectionFault as fault:
            self._fail(fault.code, str(fault))
        if self._is_full and len(self._to_user) > MOST_UNSENT:
            self._finish(Finished(is_cut=True, fault="it asks for much and reads nothing"))

    def end_received(self, now: float) -> None:
        """The user sends no more, so it will take no answer either, whose windows it would have to tell."""
        self._now = now
        self._finish(Finished())

    def user_blocks(self, blocks: bool) -> None:
        """The user's socket takes no more for now, or does again."""
        self._is_full = blocks

    def to_user(self, now: float) -> Sequence[Buffer]:
        """Takes what must go to the user now, in order; ask again until there is nothing."""
        self._now = now
        self._fill()
        for stream in self._ready:
            stream.rest(now)
        if self._is_full and not self._is_finished:
            return ()
        pieces, self._to_user = self._to_user, []
        return pieces

    def leave(self, now: float) -> None:
        """Serves what is under way, and nothing that comes later; then it is finished."""
        self._now = now
        if not self._is_leaving and not self._is_finished:
            self._is_leaving = True
            self._to_user.append(frames.goaway(self._last_served, ErrorCode.NO_ERROR))
            self._finish_if_left()

    # --- providers

    def for_providers(self) -> Sequence[UserStream]:
        """Takes the streams that have something for their work connections."""
        streams, self._for_providers = self._for_providers, {}
        return list(streams)

    # --- time and events

    def next_wakeup(self) -> float | None:
        return self._due

    def wake(self, now: float) -> None:
        if self._due is None or now < self._due or self._is_finished:
            return
        self._now = now
        for stream in self.streams:
            self._wake_stream(stream, now)
        due = self._block_due if self._block_due is not None else self._idle_due
        if due is not None and due <= now:
            forgiven = grace_until(due, now)
            if forgiven == now:
                self._fail(ErrorCode.NO_ERROR, "it has said nothing for too long")
                return
            self._block_due, self._idle_due = (
                None if each is None else max(each, forgiven) for each in (self._block_due, self._idle_due)
            )
        dues = [each for stream in self._streams.values() for each in (stream.due, stream.due_output)]
        self._due = min(
            (each for each in (*dues, self._block_due, self._idle_due) if each is not None), default=None
        )

    def events(self) -> Sequence[Event]:
        events, self._events = self._events, []
        return events

    # --- what streams ask for

    def tell(self, event: Event) -> None:
        """Has the driver act."""
        self._events.append(event)

    def wake_at(self, due: float) -> None:
        """Has the stream looked at then."""
        if self._due is None or due < self._due:
            self._due = due

    def has_output(self, stream: UserStream) -> None:
        """It may have something for the user that can be sent now."""
        if stream.has_output and self._streams.get(stream.number) is stream:
            self._ready[stream] = None

    def has_for_provider(self, stream: UserStream) -> None:
        """It has something for its work connection."""
        self._for_providers[stream] = None

    def block_of(self, text: bytes) -> bytes:
        """The head of an answer as HTTP/2 has it; a server sends the same again and again."""
        if self._written[0] != text:
            self._written = (text, head_block(text))
        return self._written[1]

    def give_back(self, stream: UserStream, size: int) -> None:
        """So many bytes of it are with its provider, or dropped: as many more may come."""
        self._give_back_room(size)
        stream.returned += size
        is_open = self._streams.get(stream.number) is stream and not stream.is_ended
        if is_open and stream.returned >= STREAM_WINDOW_BYTES // 2:
            self._to_user.append(frames.window_update(stream.number, stream.returned))
            stream.room += stream.returned
            stream.returned = 0

    def stream_closed(self, stream: UserStream) -> None:
        """Nothing more is sent on it."""
        if stream.is_ended:
            self._allowance.earn(ANSWER_EARNS)
        else:
            self._remember_reset(stream.number)
        self._forget(stream)

    # --- frames

    def _receive_frame(self, frame: Frame) -> None:
        if not self._is_greeted and (frame.type != FrameType.SETTINGS or frame.flags & Flag.ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "its first frame is not SETTINGS")
        if self._block is not None and frame.type != FrameType.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame comes within a head")
        act = _ACTIONS.get(frame.type)
        if act is None:
            self._spend(NUISANCE_COSTS)
        else:
            act(self, frame)

    def _receive_data(self, frame: Frame) -> None:
        size = len(frame.payload)
        self._room -= size
        if self._room < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the window of the connection is exceeded")
        stream = self._find(frame)
        if stream is None or stream.is_ended:
            self._give_back_room(size)
            if stream is None and frame.stream_id in self._reset:
                if not size:
                    self._spend(NUISANCE_COSTS)
                return
            raise StreamFault(frame.stream_id, ErrorCode.STREAM_CLOSED, "its request has ended")
        data = unpadded(frame)
        ends = bool(frame.flags & Flag.END_STREAM)
        if not data and not ends:
            self._spend(NUISANCE_COSTS)
        stream.take_data(data, size, ends, self._now)

    def _receive_headers(self, frame: Frame) -> None:
        if not frame.stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a head is on a stream that is not the user's")
        block = unpadded(frame)
        if frame.flags & Flag.PRIORITY:
            if len(block) < _PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "the priority of a head is cut off")
            block = block[_PRIORITY_BYTES:]
        self._block = (frame, [bytes(block)])
        if frame.flags & Flag.END_HEADERS:
            self._receive_block()
        else:
            self._block_due = self._now + self.timeouts.head_s
            self.wake_at(self._block_due)

    def _receive_continuation(self, frame: Frame) -> None:
        if self._block is None or self._block[0].stream_id != frame.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "it continues a head that there is not")
        pieces = self._block[1]
        pieces.append(bytes(frame.payload))
        if len(pieces) > 1 + MOST_CONTINUATIONS or sum(map(len, pieces)) > MOST_HEAD_BYTES:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a head is too large, or in too many frames")
        if frame.flags & Flag.END_HEADERS:
            self._receive_block()

    def _receive_block(self) -> None:
        assert self._block is not None
        (frame, pieces), self._block = self._block, None
        self._block_due = None
        try:
            fields: Fields = list(self._decoder.decode(b"".join(pieces), raw=True))
        except OversizedHeaderListError as error:
            text = f"a head has more than {2 * MOST_HEAD_BYTES} bytes"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text) from error
        except (HPACKError, IndexError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "a head cannot be unpacked") from error
        ends = bool(frame.flags & Flag.END_STREAM)
        stream = self._streams.get(frame.stream_id)
        if stream is not None:
            self._receive_trailers(stream, fields, ends)
        elif frame.stream_id > self._highest:
            self._open(frame.stream_id, fields, ends)
        elif frame.stream_id in self._reset:
            self._spend(NUISANCE_COSTS)
        else:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "a head is on a stream that has ended")

    def _receive_trailers(self, stream: UserStream, fields: Fields, ends: bool) -> None:
        if stream.is_ended:
            raise StreamFault(stream.number, ErrorCode.STREAM_CLOSED, "its request has ended")
        if not ends:
            raise StreamFault(stream.number, ErrorCode.PROTOCOL_ERROR, "it has two heads")
        try:
            lines = trailer_lines(fields)
        except Malformed as error:
            raise StreamFault(stream.number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        stream.take_trailers(lines, self._now)

    def _open(self, number: int, fields: Fields, ends: bool) -> None:
        """Begins a stream.

        :raises StreamFault: it breaks the rules, or there are too many.
        """
        self._highest = number
        if self._is_leaving:
            # It was told that this one is not looked at.
            self._spend(NUISANCE_COSTS)
            self._remember_reset(number)
            return
        self._last_served = number
        size = sum(len(name) + len(value) for name, value in fields)
        if len(self._streams) >= MOST_STREAMS or self._heads_bytes + size > MOST_HEADS_BYTES:
            raise StreamFault(number, ErrorCode.REFUSED_STREAM, "there are too many streams")
        try:
            found = self._request_heads.feed(request_text(fields, ends))
            if found is None:
                raise RequestRefused(400, "it is no request")
        except RequestRefused as error:
            self._add(number, ends).refuse(refusal(error.status, str(error)))
            return
        except Malformed as error:
            raise StreamFault(number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        head = found[0]
        stream = self._add(number, ends)
        stream.open(head, size)
        self._heads_bytes += size
        if head.target == b"*":
            stream.refuse(OPTIONS_OF_SERVER)
        else:
            self._events.append(Requested(stream))

    def _add(self, number: int, ends: bool) -> UserStream:
        self._idle_due = None
        stream = self._streams[number] = UserStream(number, self._stream_window, ends, self)
        return stream

    def _receive_priority(self, frame: Frame) -> None:
        """Nothing of it is used.  Source: RFC 9113 section 5.3.2."""
        if not frame.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a priority is on no stream")
        self._spend(NUISANCE_COSTS)
        if len(frame.payload) != _PRIORITY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a priority has another size")

    def _receive_rst_stream(self, frame: Frame) -> None:
        if len(frame.payload) != _INCREMENT.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a reset has another size")
        stream = self._find(frame)
        if stream is None:
            self._spend(NUISANCE_COSTS)
            return
        self._lose(stream)
        self._spend(RESET_COSTS)

    def _receive_settings(self, frame: Frame) -> None:
        if frame.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "settings are on a stream")
        if len(frame.payload) % _SETTING.size or (frame.flags & Flag.ACK and frame.payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "settings have another size")
        self._is_greeted = True
        self._spend(NUISANCE_COSTS)
        if frame.flags & Flag.ACK:
            return
        for key, value in _SETTING.iter_unpack(frame.payload):
            # One of them is some work for each stream.
            self._spend(NUISANCE_COSTS)
            if key == Setting.INITIAL_WINDOW_SIZE:
                self._change_windows(value)
            elif not _LEAST.get(key, 0) <= value <= _MOST.get(key, value):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a setting has an impossible value")
        self._to_user.append(frames.settings_answer())

    def _change_windows(self, value: int) -> None:
        """Source: RFC 9113 section 6.9.2."""
        if value > MOST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a setting has an impossible value")
        change, self._stream_window = value - self._stream_window, value
        for stream in self._streams.values():
            stream.window += change
            if stream.window > MOST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
            self.has_output(stream)

    def _receive_push_promise(self, frame: Frame) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a user cannot push")

    def _receive_ping(self, frame: Frame) -> None:
        if frame.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a ping is on a stream")
        if len(frame.payload) != _PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a ping has another size")
        self._spend(NUISANCE_COSTS)
        if not frame.flags & Flag.ACK:
            self._to_user.append(frames.ping_answer(frame.payload))

    def _receive_goaway(self, frame: Frame) -> None:
        """The user opens no more streams."""
        if frame.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a farewell is on a stream")
        if len(frame.payload) < _LEAST_GOAWAY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a farewell is cut off")
        self._spend(NUISANCE_COSTS)
        self.leave(self._now)

    def _receive_window_update(self, frame: Frame) -> None:
        if len(frame.payload) != _INCREMENT.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a window has another size")
        increment = _INCREMENT.unpack(frame.payload)[0] & MOST_WINDOW
        self._spend(NUISANCE_COSTS)
        if not frame.stream_id:
            self._window += increment
            if not increment or self._window > MOST_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFault(code, "the window of the connection is too large, or not changed")
            return
        stream = self._find(frame)
        if stream is None:
            return
        stream.window += increment
        if not increment or stream.window > MOST_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            raise StreamFault(frame.stream_id, code, "its window is too large, or not changed")
        self.has_output(stream)

    # --- inside

    def _spend(self, points: int) -> None:
        self._allowance.spend(points, self._now)

    def _find(self, frame: Frame) -> UserStream | None:
        """The stream of a frame; None if it has ended.

        :raises ConnectionFault: it has never been one.
        """
        stream = self._streams.get(frame.stream_id)
        if stream is None and (not frame.stream_id & 1 or frame.stream_id > self._highest):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame is on a stream that was never opened")
        return stream

    def _fill(self) -> None:
        """Has the streams put out what they have, a frame each in turn."""
        put = 0
        while self._ready and not self._is_full and put < MOST_AT_ONCE_BYTES:
            turn, self._ready = self._ready, {}
            has_sent = False
            for stream in turn:
                if stream.needs_window and stream.window <= 0:
                    # It comes again with a window.
                    stream.rest(self._now)
                elif stream.has_output:
                    self._ready[stream] = None
                    if put < MOST_AT_ONCE_BYTES and (self._window > 0 or not stream.needs_window):
                        put += self._send(stream)
                        has_sent = True
            if not has_sent:
                return

    def _send(self, stream: UserStream) -> int:
        """Has a stream put out a frame; it is not ready any more if that was its last one."""
        size = stream.send(self._to_user, min(self._window, MOST_PAYLOAD_BYTES))
        self._window -= size
        if size:
            is_cut = not (self._window and stream.window)
            self._allowance.earn(max(size / BYTES_EARN_POINT, 0 if is_cut else DATA_EARNS))
        return size

    def _wake_stream(self, stream: UserStream, now: float) -> None:
        if stream.due is not None and stream.due <= now:
            forgiven = grace_until(stream.due, now)
            if forgiven > now:
                stream.due = forgiven
            else:
                stream.expire(now)
        if stream.due_output is not None and stream.due_output <= now:
            forgiven = grace_until(stream.due_output, now)
            if forgiven > now:
                stream.due_output = forgiven
            elif self._is_full:
                self._finish(Finished(is_cut=True))
            else:
                self._reset_stream(stream.number, ErrorCode.CANCEL)

    def _give_back_room(self, size: int) -> None:
        self._returned += size
        if self._returned >= CONNECTION_WINDOW_BYTES // 2:
            self._to_user.append(frames.window_update(0, self._returned))
            self._room += self._returned
            self._returned = 0

    def _reset_stream(self, number: int, code: ErrorCode) -> None:
        self._to_user.append(frames.rst_stream(number, code))
        self._remember_reset(number)
        stream = self._streams.get(number)
        if stream is not None:
            self._lose(stream)

    def _remember_reset(self, number: int) -> None:
        self._reset[number] = None
        if len(self._reset) > MOST_RESET:
            del self._reset[next(iter(self._reset))]

    def _lose(self, stream: UserStream) -> None:
        self._forget(stream)
        stream.lose()

    def _forget(self, stream: UserStream) -> None:
        del self._streams[stream.number]
        self._ready.pop(stream, None)
        self._heads_bytes -= stream.head_size
        if not self._streams:
            self._idle_due = self._now + self.timeouts.idle_s
            self.wake_at(self._idle_due)
            self._finish_if_left()

    def _finish_if_left(self) -> None:
        if self._is_leaving and not self._streams:
            self._finish(Finished())

    def _fail(self, code: ErrorCode, why: str) -> None:
        """Ends everything, and says why."""
        if not self._is_finished:
            self._to_user.append(frames.goaway(self._last_served, code))
            self._finish(Finished(fault=why))

    def _finish(self, finished: Finished) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        for stream in self.streams:
            self._lose(stream)
        self._due = self._idle_due = self._block_due = None
        self._events.append(finished)


_ACTIONS: Final[Mapping[int, Callable[[Http2Connection, Frame], None]]] = {
    FrameType.DATA: Http2Connection._receive_data,
    FrameType.HEADERS: Http2Connection._receive_headers,
    FrameType.PRIORITY: Http2Connection._receive_priority,
    FrameType.RST_STREAM: Http2Connection._receive_rst_stream,
    FrameType.SETTINGS: Http2Connection._receive_settings,
    FrameType.PUSH_PROMISE: Http2Connection._receive_push_promise,
    FrameType.PING: Http2Connection._receive_ping,
    FrameType.GOAWAY: Http2Connection._receive_goaway,
    FrameType.WINDOW_UPDATE: Http2Connection._receive_window_update,
    FrameType.CONTINUATION: Http2Connection._receive_continuation,
}
