"""A user's connection between ``h2`` as the user and providers that are plain bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from relaykit.sansio.http.rewriting import Rules
from relaykit.sansio.http2.connection import Http2Connection
from relaykit.sansio.http2.frames import FrameReader, FrameType
from relaykit.sansio.http2.streams import (
    Answered,
    Event,
    Finished,
    Held,
    Requested,
    RequestedAgain,
    UserStream,
)
from relaykit.sansio.parsers.http_opening import PREFACE

__all__ = ["DATE", "GET", "OK", "POST", "Between", "Got", "fields"]

DATE = b"Mon, 01 Jan 2024 00:00:00 GMT"
OK = b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nContent-Length: 2\r\n\r\nok"

Fields = Sequence[tuple[bytes, bytes]]


def fields(*more: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/") -> Fields:
    """The head of a request."""
    return (
        *((b":method", method), (b":scheme", b"http"), (b":authority", b"web.example"), (b":path", path)),
        *more,
    )


GET = fields()
POST = fields(method=b"POST")


class Got:
    """What a user got in one stream."""

    def __init__(self) -> None:
        self.interim: list[Fields] = []
        self.head: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: Fields = ()
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        """That of the answer; 0 without one."""
        return int(self.head.get(b":status", b"0"))


class Between:
    """Drives a connection, and keeps what it puts out; ``forwards`` each request at once if told to.

    The user takes bodies at once unless ``takes`` is false.
    """

    def __init__(
        self, *, forwards: bool = True, reused: bool = False, takes: bool = True, window: int | None = None
    ) -> None:
        self.now = 0.0
        self.core = Http2Connection(b"192.0.2.9", lambda: DATE, self.now)
        self.client = H2Connection(
            H2Configuration(
                header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.client.initiate_connection()
        if window is not None:
            self.client.update_settings({4: window})
        self.forwards = forwards
        self.reused = reused
        self.takes = takes
        self.rules = Rules()
        self.events: list[Event] = []
        self.streams: dict[int, UserStream] = {}
        self.to_provider: dict[int, bytes] = {}
        self.got: dict[int, Got] = {}
        self.resets: dict[int, int] = {}
        """Streams that were reset, with the reasons."""
        self.goaway: int | None = None
        self.behind_goaway = b""
        self._frames = FrameReader()
        list(self._frames.feed(PREFACE))
        self.held: set[int] = set()
        self.sent = b""
        self.step()
        self.send()

    def step(self) -> None:
        """What a driver does after each input."""
        self._take()
        while events := self.core.events():
            self.events += events
            for event in events:
                self._act(event)
            self._take()

    def _act(self, event: Event) -> None:
        if isinstance(event, Requested | RequestedAgain):
            self.streams[event.stream.number] = event.stream
            if self.forwards and event.stream.is_deciding:
                reused = self.reused and isinstance(event, Requested)
                event.stream.forward(self.rules, self.now, reused=reused)
        elif isinstance(event, Held):
            (self.held.add if event.is_held else self.held.discard)(event.stream.number)

    def _take(self) -> None:
        for stream in self.core.for_providers():
            while pieces := stream.to_provider():
                said = b"".join(bytes(piece) for piece in pieces)
                self.to_provider[stream.number] = self.to_provider.get(stream.number, b"") + said
        while pieces := self.core.to_user(self.now):
            self.sent += b"".join(bytes(piece) for piece in pieces)

    def send(self) -> None:
        """Brings both ends what the other has put out, until there is nothing more."""
        while True:
            sent, self.sent = self.sent, b""
            if sent:
                self._read(sent)
            said = self.client.data_to_send()
            if said:
                self.core.receive(memoryview(said), self.now)
                self.step()
            if not said and not self.sent:
                return

    def raw(self, *portions: bytes) -> None:
        """The user sends these, which ``h2`` would not."""
        for portion in portions:
            self.core.receive(memoryview(portion), self.now)
            self.step()
        self.send()

    def _read(self, sent: bytes) -> None:
        for frame in self._frames.feed(sent):
            if frame.type == FrameType.RST_STREAM:
                self.resets[frame.stream_id] = int.from_bytes(frame.payload, "big")
        if self.goaway is not None:
            # h2 takes no more then.
            self.behind_goaway += sent
            return
        for event in self.client.receive_data(sent):
            if isinstance(event, ConnectionTerminated):
                self.goaway = int(event.error_code or 0)
                continue
            number = getattr(event, "stream_id", None) or 0
            if not number:
                continue
            got = self.got.setdefault(number, Got())
            if isinstance(event, InformationalResponseReceived):
                got.interim.append(event.headers or [])
            elif isinstance(event, ResponseReceived):
                got.head = {bytes(name): bytes(value) for name, value in event.headers or ()}
            elif isinstance(event, DataReceived):
                got.body += event.data or b""
                if self.takes and event.flow_controlled_length:
                    self.client.acknowledge_received_data(event.flow_controlled_length, number)
            elif isinstance(event, TrailersReceived):
                got.trailers = event.headers or ()
            elif isinstance(event, StreamEnded):
                got.ended = True
            elif isinstance(event, StreamReset):
                got.reset = int(event.error_code or 0)

    def ask(self, head: Iterable[tuple[bytes, bytes]] = GET, body: bytes | None = None) -> int:
        """The user asks, with a body or without; the number of the stream."""
        number = self.client.get_next_available_stream_id()
        self.client.send_headers(number, list(head), end_stream=body is None)
        if body is not None:
            self.client.send_data(number, body, end_stream=True)
        self.send()
        return number

    def data(self, number: int, body: bytes, ends: bool = False) -> None:
        """The user sends a piece of a body."""
        self.client.send_data(number, body, end_stream=ends)
        self.send()

    def provider(self, number: int, *portions: bytes) -> None:
        """The provider of a stream sends these."""
        for portion in portions:
            lent = bytearray(portion)
            self.streams[number].receive_from_provider(memoryview(lent), self.now)
            self.step()
            lent[:] = b"\xdd" * len(lent)
        self.send()

    def end_provider(self, number: int, has_other: bool = False, in_order: bool = True) -> None:
        """The provider of a stream sends no more, or, not in order, is lost."""
        self.streams[number].provider_ended(self.now, has_other=has_other, in_order=in_order)
        self.step()
        self.send()

    def wait(self, seconds: float) -> None:
        """Time passes, with a wake-up whenever one is due."""
        until = self.now + seconds
        while (due := self.core.next_wakeup()) is not None and due <= until:
            self.now = max(due, self.now)
            self.core.wake(self.now)
            self.step()
            self.send()
        self.now = until

    def asked(self, number: int) -> bytes:
        """What a provider got since the last time."""
        return self.to_provider.pop(number, b"")

    @property
    def answers(self) -> Sequence[tuple[int, int, bool]]:
        """Streams whose exchanges are over: statuses, and whether each work connection may be reused."""
        return [
            (event.stream.number, event.status, event.is_reusable)
            for event in self.events
            if isinstance(event, Answered)
        ]

    @property
    def is_finished(self) -> bool:
        """Whether the connection has ended."""
        return self.finished is not None

    @property
    def finished(self) -> Finished | None:
        """How the connection has ended, if it has."""
        return next((event for event in self.events if isinstance(event, Finished)), None)
