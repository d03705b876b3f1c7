"""A user of HTTP/2, as h2 reads and writes it: many requests at once on one connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import define, field
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

from tests.integration.traffic import FROM_USER, PIECE_BYTES, dial
from tests.integration.web import Answer, Fields

__all__ = ["Asked", "Http2User"]


@define(eq=False)
class Asked:
    """One request, and what came for it so far."""

    number: int
    left: int
    """Bytes of the body that are still to be sent."""
    trailers: Fields
    sent: int = 0
    fields: Fields = ()
    body: bytearray = field(factory=bytearray)
    answer_trailers: Fields = ()
    interim: list[int] = field(factory=list)
    reset: int | None = None
    is_sent: bool = False
    is_over: bool = False

    @property
    def answer(self) -> Answer:
        """The answer, once all is there."""
        assert self.is_over, self
        said = dict(self.fields)
        status = int(said.pop(":status", "0"))
        fields = tuple(said.items())
        return Answer(status, "", fields, bytes(self.body), self.answer_trailers, self.interim)


class Http2User:
    """One connection; every answer is taken as it comes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.http2 = H2Connection(H2Configuration(validate_outbound_headers=False))
        self.http2.initiate_connection()
        self.asked: dict[int, Asked] = {}
        self.goaway: int | None = None

    @classmethod
    @contextlib.contextmanager
    def dial(cls, port: int) -> Iterator[Http2User]:
        """A user who has connected, for as long as it is needed."""
        with dial(port) as connection:
            yield cls(connection)

    def ask(
        self,
        host: str,
        target: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        sends: int | None = None,
        trailers: Fields = (),
    ) -> Asked:
        """Asks, with so many bytes of a body or without; what will be known of it."""
        number = self.http2.get_next_available_stream_id()
        asks = () if method == "CONNECT" else ((":scheme", "http"), (":path", target))
        head = ((":method", method), (":authority", host), *asks, *fields)
        self.http2.send_headers(number, head, end_stream=sends is None)
        asked = self.asked[number] = Asked(number, sends or 0, trailers, is_sent=sends is None)
        return asked

    def take(self, *awaited: Asked) -> Sequence[Answer]:
        """Sends and receives until these are answered."""
        self._until(lambda: all(each.is_over for each in awaited))
        return [each.answer for each in awaited]

    def hear_out(self) -> None:
        """Takes what comes until the connection ends."""
        # Who has not read all that was sent to it ends it by a reset.
        with contextlib.suppress(ConnectionError):
            while data := self.connection.recv(PIECE_BYTES):
                for event in self.http2.receive_data(data):
                    self._note(event)

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            for asked in self.asked.values():
                self._send_body(asked)
            self.connection.sendall(self.http2.data_to_send())
            if condition():
                return
            data = self.connection.recv(PIECE_BYTES)
            assert data, "the server ended the connection"
            for event in self.http2.receive_data(data):
                self._note(event)
        self.connection.sendall(self.http2.data_to_send())

    def _send_body(self, asked: Asked) -> None:
        while not asked.is_sent and not asked.is_over:
            room = min(self.http2.local_flow_control_window(asked.number), self.http2.max_outbound_frame_size)
            size = min(room, asked.left)
            if asked.left and not size:
                return
            asked.left -= size
            asked.is_sent = not asked.left
            piece = FROM_USER.at(asked.sent, size)
            asked.sent += size
            self.http2.send_data(asked.number, piece, end_stream=asked.is_sent and not asked.trailers)
            if asked.is_sent and asked.trailers:
                self.http2.send_headers(asked.number, asked.trailers, end_stream=True)

    def _note(self, event: object) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            return
        asked = self.asked.get(getattr(event, "stream_id", None) or 0)
        if asked is None:
            return
        if isinstance(event, InformationalResponseReceived):
            asked.interim.append(int(dict(_texts(event.headers))[":status"]))
        elif isinstance(event, ResponseReceived):
            asked.fields = _texts(event.headers)
        elif isinstance(event, DataReceived):
            asked.body += event.data
            self.http2.acknowledge_received_data(event.flow_controlled_length, asked.number)
        elif isinstance(event, TrailersReceived):
            asked.answer_trailers = _texts(event.headers)
        elif isinstance(event, StreamReset):
            asked.reset = int(event.error_code)
            asked.is_over = True
        elif isinstance(event, StreamEnded):
            asked.is_over = True


def _texts(fields: Iterable[tuple[bytes, bytes]] | None) -> Fields:
    return [(bytes(name).decode(), bytes(value).decode()) for name, value in fields or ()]
