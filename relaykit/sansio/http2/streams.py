"""One stream of a user: a request, and its answer from a provider or from us.

What the user sends goes to the provider at once, or waits in one piece while the work connection takes no
more; its window is given back only as that takes it.  What the provider sends goes out as windows and the
socket allow; as soon as some of it must wait, the provider is held, so that no more is kept than one piece as
it was read.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from relaykit.errors import LocalProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.answers import BAD_GATEWAY, GATEWAY_TIMEOUT, REQUEST_TIMEOUT, Answer
from relaykit.sansio.http.connection import MOST_REPEATS, USER_GONE
from relaykit.sansio.http.grammar import Lines, Malformed, key_of
from relaykit.sansio.http.rewriting import Rules, drops_request_trailer
from relaykit.sansio.http2 import frames
from relaykit.sansio.http2.fields import trailer_block
from relaykit.sansio.http2.frames import ErrorCode, StreamFault
from relaykit.sansio.http2.responses import StreamResponse

if TYPE_CHECKING:
    from relaykit.sansio.http.requests import RequestHead
    from relaykit.sansio.http2.connection import Http2Connection

__all__ = [
    "MOST_AT_ONCE_BYTES",
    "STREAM_WINDOW_BYTES",
    "Answered",
    "Event",
    "Finished",
    "Held",
    "Requested",
    "RequestedAgain",
    "UserStream",
]

STREAM_WINDOW_BYTES: Final = 1024 * 1024
"""Bytes of a body that may be on their way in one stream: 20 MB/s at 50 ms; what is kept at most while its
work connection takes nothing; frp's figure."""

MOST_AT_ONCE_BYTES: Final = 64 * 1024
"""Bytes of a request that waited that go on before the work connection is asked whether it takes more."""


@frozen(eq=False)
class Requested:
    """A request is there: :meth:`UserStream.forward` or :meth:`UserStream.answer` it."""

    stream: UserStream


@frozen(eq=False)
class RequestedAgain:
    """The work connection ended unanswered: forward the same over a fresh one, or answer it."""

    stream: UserStream


@frozen(eq=False)
class Answered:
    """An exchange is over, with this status; ``is_reusable`` if its work connection may serve another one.

    ``is_cut``: nobody takes what is under way on the work connection, so it ends at once.
    """

    stream: UserStream
    status: int
    is_reusable: bool
    is_cut: bool = False


@frozen(eq=False)
class Held:
    """The provider of a stream is to be read no further for now, or again."""

    stream: UserStream
    is_held: bool


@frozen
class Finished:
    """The user's connection ends after what is still to be sent; ``fault`` is what the user has done."""

    is_cut: bool = False
    fault: str = ""


Event: TypeAlias = Requested | RequestedAgain | Answered | Held | Finished


class _State(enum.Enum):
    DECIDING = "the request waits to be forwarded or answered"
    EXCHANGING = "the request is forwarded"
    ANSWERED = "the answer is here, and maybe on its way"


@frozen(eq=False)
class _Block:
    """A block of fields among the pieces of a body."""

    block: bytes


class UserStream:
    """One stream.  It has many fields: here the two directions of an exchange meet.

    ``window`` is what the user takes, ``room`` what it may send.
    """

    __slots__ = (
        "_connection",
        "_ending",
        "_has_lent",
        "_held",
        "_is_blocked",
        "_is_held",
        "_is_reused",
        "_left",
        "_owes_end",
        "_pending",
        "_repeats",
        "_response",
        "_state",
        "_to_provider",
        "_trailers",
        "_untaken",
        "due",
        "due_output",
        "head",
        "head_size",
        "is_ended",
        "number",
        "returned",
        "room",
        "window",
    )

    head: RequestHead

    def __init__(self, number: int, window: int, ended: bool, connection: Http2Connection) -> None:
        self.number = number
        self.window = window
        self.room = STREAM_WINDOW_BYTES
        self.returned = 0
        """What of the room may be given back, and was not yet."""
        self.is_ended = ended
        """Whether the user has sent all of its request."""
        self.head_size = 0
        self.due: float | None = None
        """Until when the next step of the exchange must be done."""
        self.due_output: float | None = None
        """Until when the user must have taken something of what waits for it."""
        self._connection = connection
        self._state = _State.DECIDING
        self._left: int | None = None
        self._held = bytearray()
        self._trailers: Lines = ()
        self._untaken = 0
        self._to_provider: list[Buffer] = []
        self._response: StreamResponse | None = None
        self._is_reused = self._is_blocked = self._owes_end = self._is_held = self._has_lent = False
        self._repeats = 0
        self._pending: deque[_Block | memoryview] = deque()
        self._ending: ErrorCode | None = None

    # --- the user, as the connection tells

    def open(self, head: RequestHead, size: int) -> None:
        """The request is this one; its fields have so many bytes."""
        self.head = head
        self.head_size = size
        self._left = head.said.length

    def take_data(self, data: memoryview, size: int, ended: bool, now: float) -> None:
        """Takes a piece of the body, for which ``size`` bytes came.

        :raises StreamFault: it is more than there may be, or not all.
        """
        self._untaken += size
        self.room -= size
        if self.room < 0:
            raise StreamFault(self.number, ErrorCode.FLOW_CONTROL_ERROR, "its window is exceeded")
        self._count(len(data), ended)
        if self._state is _State.ANSWERED:
            self._release()
            return
        if self._state is _State.DECIDING or self._is_blocked or self._held:
            self._held += data
        elif data:
            self._write_body(data)
        self._go_on(now)

    def take_trailers(self, lines: Lines, now: float) -> None:
        """Takes the end of the request, with fields.

        :raises StreamFault: the body is not complete.
        """
        self._count(0, True)
        if self._state is _State.ANSWERED:
            return
        if self.head.said.chunked:
            self._trailers = [
                line for line in lines if not drops_request_trailer(key_of(line.partition(b":")[0]))
            ]
        self._go_on(now)

    def lose(self) -> None:
        """The stream is gone: nothing can be sent any more."""
        if self._state is not _State.ANSWERED:
            begun = self._response.head if self._response is not None else None
            status = USER_GONE if begun is None else begun.status
            self._connection.tell(Answered(self, status, False, is_cut=True))
            self._end(ErrorCode.CANCEL)
        self._release()
        self._pending.clear()

    # --- the driver's decision

    @property
    def is_deciding(self) -> bool:
        """Whether its request is still to be forwarded or answered."""
        return self._state is _State.DECIDING

    def forward(self, rules: Rules, now: float, *, reused: bool = False) -> None:
        """Forwards the request over a work connection; ``reused`` if that has served others."""
        if self._state is not _State.DECIDING:
            raise LocalProtocolError("no request waits to be forwarded")
        self._state = _State.EXCHANGING
        self._is_reused = reused
        self._is_blocked = False
        connection = self._connection
        self._response = StreamResponse(
            self.head, rules, connection.response_heads, connection.response_rewriter
        )
        self._to_provider = [connection.request_rewriter.write(self.head, rules)]
        self._owes_end = self.head.said.chunked
        self._go_on(now)

    def answer(self, answer: Answer, now: float) -> None:
        """Answers the request instead of a provider, whose answer must not have begun."""
        if self._state is _State.ANSWERED or (self._response is not None and self._response.head is not None):
            raise LocalProtocolError("the request is answered already")
        self.refuse(answer, to_head=self.head.method == b"HEAD")
        self._connection.tell(Answered(self, answer.status, False, is_cut=True))

    def refuse(self, answer: Answer, to_head: bool = False) -> None:
        """Answers what is no request."""
        text = answer.write(b"", self._connection.date(), to_head=to_head)
        size = text.index(b"\r\n\r\n") + 4
        self._put_out([text[:size]], [memoryview(text)[size:]])
        self._end(ErrorCode.NO_ERROR)

    # --- the provider

    def receive_from_provider(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the work connection."""
        response = self._response
        if response is None or self._state is not _State.EXCHANGING:
            return
        heads: list[bytes] = []
        body: list[Buffer] = []
        try:
            response.read(data, heads, body)
        except Malformed:
            self._put_out(heads, body)
            self._provider_failed(BAD_GATEWAY, now)
            return
        self._put_out(heads, body)
        if response.head is None:
            return
        if response.is_complete:
            self._complete(response, self.is_ended and not self._held and not self._owes_end)
        elif self.is_ended:
            self.due = None

    @property
    def awaits_answer(self) -> bool:
        """Whether its work connection has not said one byte."""
        return self._response is not None and self._response.is_silent

    def provider_ended(self, now: float, *, has_other: bool = False, in_order: bool = True) -> None:
        """The work connection sends no more, or, not ``in_order``, is lost.

        ``has_other`` tells that another one may serve.
        """
        response = self._response
        if response is None or self._state is not _State.EXCHANGING:
            return
        again = (self._is_reused or has_other) and response.is_silent and self._repeats < MOST_REPEATS
        if again and self.head.may_repeat:
            self._repeats += 1
            self._state = _State.DECIDING
            self._response = self.due = None
            self._connection.tell(RequestedAgain(self))
        elif in_order and response.head is not None and response.end():
            self._complete(response, False)
        else:
            self._provider_failed(BAD_GATEWAY, now)

    def provider_blocks(self, blocks: bool, now: float) -> None:
        """The work connection takes no more for now, or does again: from now the next step has its time."""
        self._is_blocked = blocks
        self._go_on(now)

    def to_provider(self) -> Sequence[Buffer]:
        """Takes what must go over the work connection now, in order; ask again until there is nothing."""
        if self._state is _State.EXCHANGING and not self._is_blocked:
            if self._held:
                self._write_body(bytes(self._held[:MOST_AT_ONCE_BYTES]))
                del self._held[:MOST_AT_ONCE_BYTES]
            if self._owes_end and self.is_ended and not self._held:
                self._owes_end = False
                self._to_provider.append(b"".join((b"0\r\n", *self._trailers, b"\r\n")))
            self._release()
        pieces, self._to_provider = self._to_provider, []
        return pieces

    # --- output, as the connection asks for it

    @property
    def has_output(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self._pending) or self._ending is not None

    @property
    def needs_window(self) -> bool:
        """Whether that is a piece of a body."""
        return bool(self._pending) and not isinstance(self._pending[0], _Block)

    def send(self, into: list[Buffer], most: int) -> int:
        """Puts one frame into a list; how many bytes of a body are in it, up to ``most``."""
        self.due_output = None
        if not self._pending:
            if self._ending is ErrorCode.NO_ERROR:
                into.append(frames.data_header(self.number, 0, True))
            self._sent_all(into)
            return 0
        piece = self._pending.popleft()
        if isinstance(piece, _Block):
            size, ends = 0, self._is_last
            into.append(frames.headers(self.number, piece.block, ends))
        else:
            size = min(len(piece), most, self.window)
            if size < len(piece):
                self._pending.appendleft(piece[size:])
                piece = piece[:size]
            ends = self._is_last
            into += (frames.data_header(self.number, size, ends), piece)
            self.window -= size
        if ends:
            self._sent_all(into)
        elif self._is_held and not self._pending:
            self._is_held = False
            self._connection.tell(Held(self, False))
        return size

    def rest(self, now: float) -> None:
        """What cannot be sent now is kept for a while, and its provider is held."""
        self.keep()
        if self.due_output is None:
            self.due_output = now + self._connection.timeouts.stalled_s
            self._connection.wake_at(self.due_output)
        if self._state is _State.EXCHANGING and self._pending and not self._is_held:
            self._is_held = True
            self._connection.tell(Held(self, True))

    def keep(self) -> None:
        """Copies what is lent of the answer, so that it may be sent later."""
        if self._has_lent:
            self._has_lent = False
            self._pending = deque(
                piece if isinstance(piece, _Block) else memoryview(bytes(piece)) for piece in self._pending
            )

    # --- time

    def expire(self, now: float) -> None:
        """The step that was due is not done."""
        self.due = None
        if self._state is not _State.EXCHANGING:
            return
        late_user = not self.is_ended and not self._is_blocked
        self._provider_failed(REQUEST_TIMEOUT if late_user else GATEWAY_TIMEOUT, now)

    # --- inside

    @property
    def _is_last(self) -> bool:
        return not self._pending and self._ending is ErrorCode.NO_ERROR

    def _count(self, size: int, ended: bool) -> None:
        """Source: RFC 9113 section 8.1.1."""
        if self._left is not None:
            self._left -= size
            if self._left < 0 or (ended and self._left):
                raise StreamFault(
                    self.number, ErrorCode.PROTOCOL_ERROR, "its body is not as long as it tells"
                )
        self.is_ended = ended

    def _go_on(self, now: float) -> None:
        """The request goes on; then more of it is taken, or comes, or the answer begins, each in its time."""
        if self._state is not _State.EXCHANGING:
            return
        self._connection.has_for_provider(self)
        timeouts = self._connection.timeouts
        begun = self._response is not None and self._response.head is not None
        if self.is_ended and begun:
            self.due = None
            return
        seconds = timeouts.response_s if self.is_ended else timeouts.body_s
        self.due = now + (timeouts.stalled_s if self._is_blocked else seconds)
        self._connection.wake_at(self.due)

    def _write_body(self, data: Buffer) -> None:
        if self.head.said.chunked:
            self._to_provider += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._to_provider.append(data)

    def _release(self) -> None:
        """What the work connection has taken, or nobody will, may come again."""
        size = self._untaken - len(self._held)
        if size:
            self._untaken -= size
            self._connection.give_back(self, size)

    def _put_out(self, heads: Sequence[bytes], body: Sequence[Buffer]) -> None:
        connection = self._connection
        self._pending += [_Block(connection.block_of(text)) for text in heads]
        if len(body) > 1:
            # Chunks may be tiny, and each piece is a frame.
            body = [b"".join(body)]
        if body and body[0]:
            self._pending.append(memoryview(body[0]))
            self._has_lent = True
        connection.has_output(self)

    def _complete(self, response: StreamResponse, is_whole: bool) -> None:
        """The provider's answer has come to its end; ``is_whole`` if the exchange has, in good order."""
        assert response.head is not None
        if response.trailers:
            self._pending.append(_Block(trailer_block(response.trailers)))
        self._connection.tell(Answered(self, response.head.status, response.is_reusable and is_whole))
        self._end(ErrorCode.NO_ERROR)

    def _end(self, ending: ErrorCode) -> None:
        self._state = _State.ANSWERED
        self._response = self.due = None
        self._held = bytearray()
        self._is_blocked = self._is_held = False
        self._ending = ending
        self._release()
        self._connection.has_output(self)

    def _provider_failed(self, answer: Answer, now: float) -> None:
        """The provider gives no answer, or does not end the one that it gives."""
        begun = self._response.head if self._response is not None else None
        if begun is None:
            self.answer(answer, now)
        else:
            self._connection.tell(Answered(self, begun.status, False, is_cut=True))
            self._end(ErrorCode.INTERNAL_ERROR)

    def _sent_all(self, into: list[Buffer]) -> None:
        """Everything is sent; who still sends a body is told that nobody wants it.

        Source: RFC 9113 section 8.1.
        """
        ending, self._ending = self._ending, None
        assert ending is not None
        if ending or not self.is_ended:
            into.append(frames.rst_stream(self.number, ending))
        self._connection.stream_closed(self)
