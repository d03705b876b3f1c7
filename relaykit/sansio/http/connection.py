"""One user's connection in HTTP/1: its requests one after another, each with a provider or an answer of ours.

A driver gives it what arrives from the user and from the work connection of the present request, acts on its
events, and sends what it wants sent to either.  Whoever has no room for more stops the reading of the other
side; nothing is kept here but what no provider is chosen for.  Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from attrs import define, frozen

from relaykit.errors import LocalProtocolError
from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.answers import (
    BAD_GATEWAY,
    GATEWAY_TIMEOUT,
    OPTIONS_OF_SERVER,
    REQUEST_TIMEOUT,
    Answer,
    refusal,
)
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody
from relaykit.sansio.http.grammar import Malformed
from relaykit.sansio.http.relaying import ResponseRelay, connection_line
from relaykit.sansio.http.requests import RequestHead, RequestHeads, RequestRefused
from relaykit.sansio.http.responses import ResponseHeads
from relaykit.sansio.http.rewriting import RequestRewriter, ResponseRewriter, Rules, drops_request_trailer
from relaykit.sansio.late_wakeup import grace_until

__all__ = [
    "DEFAULT_TIMEOUTS",
    "MOST_HELD_BYTES",
    "MOST_REPEATS",
    "USER_GONE",
    "Answered",
    "Event",
    "Finished",
    "HttpConnection",
    "Requested",
    "RequestedAgain",
    "Timeouts",
    "Tunneled",
]

MOST_HELD_BYTES: Final = 64 * 1024
"""Bytes of a user that wait, for a provider to be chosen or the present answer to end, before no more are
wanted: one piece as it is read, so that at most two are ever kept."""

MOST_REPEATS: Final = 5
"""Most times that one request is sent again: past some members of a group that have died, and no further, as
what has ended these services may end all others."""

USER_GONE: Final = 499
"""What an exchange has for a status whose user left before there was one; nginx's."""


@frozen
class Timeouts:
    """Seconds that each step may take; an answer that is taken, and a tunnel, may take for ever.

    Users who wait between two requests are given more than load balancers give themselves (60 s), so that
    it is those who end a connection, and none ends it while the other sends.
    """

    head_s: float = 60.0
    """From the first byte of a head to its last, and before the first one of a connection."""
    idle_s: float = 180.0
    """Between an answer and the next request; and between two pieces of an answer for a user who sends no
    more, who may be gone: only what is sent to it tells."""
    body_s: float = 60.0
    """Between two pieces of the body of a request."""
    response_s: float = 60.0
    """From the end of the request to the end of the response's head; frp's ``vhostHTTPTimeout``."""
    stalled_s: float = 180.0
    """That a user takes nothing of its answer: as long as a connection may be idle, since that is what it is.
    Browsers that have paused a film ask for the rest again.  In HTTP/2 a request has as long whose work
    connection takes nothing."""


DEFAULT_TIMEOUTS: Final = Timeouts()


@define
class Requested:
    """A request is there: :meth:`HttpConnection.forward` or :meth:`HttpConnection.answer` it."""

    head: RequestHead


@frozen
class RequestedAgain:
    """The work connection ended unanswered: forward the same over a fresh one, or answer it."""

    head: RequestHead


@define
class Answered:
    """An exchange is over, with this status; ``is_reusable`` if its work connection may serve another one.

    ``is_cut``: nobody takes what is under way on the work connection, so it ends at once.
    """

    head: RequestHead
    status: int
    is_reusable: bool
    is_cut: bool = False


@frozen
class Tunneled:
    """After what is still to be sent to both sides, whatever one sends is for the other, unread."""

    head: RequestHead
    status: int


@frozen
class Finished:
    """The user's connection ends after what is still to be sent to it.

    ``is_cut``: an answer could not be completed.  If it is ``is_unframed``, too, the end of the stream would
    be that of the answer, so let the user see none, but a reset.
    ``is_sending``: the user may still send, which a close would answer by a reset that costs it the answer:
    send the end of the stream, and take and drop what comes for a while.
    """

    is_cut: bool = False
    is_sending: bool = False
    is_unframed: bool = False


Event: TypeAlias = Requested | RequestedAgain | Answered | Tunneled | Finished


class _State(enum.Enum):
    IDLE = "between two requests, or in a head"
    DECIDING = "a request waits to be forwarded or answered"
    EXCHANGING = "a request is forwarded"
    TUNNEL = "nothing is looked at any more"
    FINISHED = "nothing is taken any more"


class HttpConnection:
    """Reads requests of one user, one at a time, and passes on each with its answer.

    ``user`` is the user's address as text, ``scheme`` what it connected by (``http``, ``https``), and
    ``date`` tells the present date as HTTP writes it.  What a call puts out may be slices of what it was
    given, so take it before that is lent no more.  It has many fields: here the two directions of an
    exchange meet.
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
        self._date = date
        self._timeouts = timeouts
        self._requests = RequestHeads()
        self._responses = ResponseHeads()
        self._to_requests = RequestRewriter(user, scheme)
        self._to_responses = ResponseRewriter(date)
        self._state = _State.IDLE
        self._due: float | None = now + timeouts.head_s
        self._stalled_due: float | None = None
        """When the user must have taken something; only while it takes nothing."""
        self._held = b""
        self._is_in_head = True
        self._head: RequestHead | None = None
        self._body: BodyReader | None = None
        self._response: ResponseRelay | None = None
        self._is_reused = False
        self._repeats = 0
        """How many times the present request was to be sent again."""
        self._is_blocked = False
        self._has_ended = False
        self._to_user: list[Buffer] = []
        self._to_provider: list[Buffer] = []
        self._events: list[Event] = []

    @property
    def wants_bytes(self) -> bool:
        """Whether more of the user's bytes may be given; if not, leave them unread."""
        return len(self._held) < MOST_HELD_BYTES

    # --- the user

    def receive(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the user, in any portions."""
        if self._body is not None and self._state is _State.EXCHANGING:
            taken = self._pass_body(data, now)
            if taken == len(data):
                return
            data = memoryview(data)[taken:]
        if self._state is _State.TUNNEL:
            self._to_provider.append(data)
        elif self._state is not _State.FINISHED:
            self._held = self._held + data if self._held else bytes(data)
            self._advance(now)

    def end_received(self, now: float) -> None:
        """The user sends no more; it gets the answers to what it has asked."""
        if self._state in (_State.TUNNEL, _State.FINISHED):
            return
        self._has_ended = True
        if self._state is _State.IDLE:
            if not self._held or self._stalled_due is None:
                self._finish(Finished())
        elif self._state is _State.EXCHANGING:
            if self._body is not None:
                self._cut()
            elif self._response is not None and self._response.head is not None:
                self._due = now + self._timeouts.idle_s

    def user_blocks(self, blocks: bool, now: float) -> None:
        """The user takes no more for now, or does again: what else it asks for waits until then."""
        self._stalled_due = now + self._timeouts.stalled_s if blocks else None
        if not blocks:
            self._advance(now)

    def to_user(self) -> Sequence[Buffer]:
        """Takes what must go to the user, in order."""
        pieces, self._to_user = self._to_user, []
        return pieces

    # --- the driver's decision

    def forward(self, rules: Rules, now: float, *, reused: bool = False) -> None:
        """Forwards the present request over a work connection; ``reused`` if that has served others."""
        head = self._head
        if head is None or self._state is not _State.DECIDING:
            raise LocalProtocolError("no request waits to be forwarded")
        self._state = _State.EXCHANGING
        self._is_reused = reused
        self._is_blocked = False
        self._response = ResponseRelay(head, rules, self._responses, self._to_responses)
        # What an earlier work connection has not been given is no request to this one.
        self._to_provider = [self._to_requests.write(head, rules)]
        if self._body is None:
            self._due = now + self._timeouts.response_s
            return
        self._due = now + self._timeouts.body_s
        if self._held:
            held, self._held = self._held, b""
            self._held = held[self._pass_body(held, now) :]
        if self._has_ended and not self._is_complete:
            self._cut()

    def answer(self, answer: Answer, now: float) -> None:
        """Answers the present request instead of a provider, whose answer must not have begun."""
        head = self._head
        if head is None or self._state not in (_State.DECIDING, _State.EXCHANGING):
            raise LocalProtocolError("no request waits to be answered")
        if self._response is not None and self._response.head is not None:
            raise LocalProtocolError("the request is answered already")
        self._answer(head, answer, now)
        self._advance(now)

    # --- the provider

    def receive_from_provider(self, data: Buffer, now: float) -> None:
        """Feeds bytes of the work connection of the present request."""
        response = self._response
        if self._state is _State.TUNNEL:
            self._to_user.append(data)
        if response is None or self._state is not _State.EXCHANGING:
            return
        try:
            response.read(data, self._to_user, closing=self._is_last, early=self._body is not None)
        except Malformed:
            self._provider_failed(BAD_GATEWAY, now)
            return
        head = response.head
        if head is None:
            return
        if response.is_complete:
            is_done = self._body is None
            self._over(head.status, response.keeps_user and is_done, response.is_reusable and is_done, now)
            self._advance(now)
        elif response.is_tunnel:
            self._tunnel(head.status)
        elif self._body is None:
            self._due = now + self._timeouts.idle_s if self._has_ended else None

    @property
    def awaits_answer(self) -> bool:
        """Whether the work connection of the present request has not said one byte."""
        return self._response is not None and self._response.is_silent

    def provider_ended(self, now: float, *, has_other: bool = False, in_order: bool = True) -> None:
        """The work connection of the present request sends no more, or, not ``in_order``, is lost.

        ``has_other`` tells that another one may serve, so that a request is told again which may be repeated;
        so it is after a work connection that had served others, which may have ended before it was asked.
        It is told again :data:`MOST_REPEATS` times at most.
        """
        response = self._response
        if response is None or self._state is not _State.EXCHANGING:
            return
        again = (self._is_reused or has_other) and response.is_silent and self._repeats < MOST_REPEATS
        if again and self._head is not None and self._head.may_repeat:
            self._repeats += 1
            self._state = _State.DECIDING
            self._response = self._due = None
            self._events.append(RequestedAgain(self._head))
        elif in_order and response.head is not None and response.end(self._to_user):
            self._over(response.head.status, response.keeps_user and self._body is None, False, now)
            self._advance(now)
        else:
            self._provider_failed(BAD_GATEWAY, now)

    def provider_blocks(self, blocks: bool) -> None:
        """The work connection takes no more of the body for now, or does again: whose fault a delay is."""
        self._is_blocked = blocks

    def to_provider(self) -> Sequence[Buffer]:
        """Takes what must go over the work connection of the present request, in order."""
        pieces, self._to_provider = self._to_provider, []
        return pieces

    # --- time and events

    def next_wakeup(self) -> float | None:
        due, stalled_due = self._due, self._stalled_due
        if stalled_due is None:
            return due
        return stalled_due if due is None else min(due, stalled_due)

    def wake(self, now: float) -> None:
        stalled_due = self._stalled_due
        if stalled_due is not None and now >= stalled_due:
            self._stalled_due = grace_until(stalled_due, now)
            if self._stalled_due <= now:
                self._cut()
                return
        if self._due is None or now < self._due:
            return
        forgiven = grace_until(self._due, now)
        if forgiven > now:
            self._due = forgiven
        elif self._state is _State.EXCHANGING:
            if self._body is None or self._is_blocked:
                self._provider_failed(GATEWAY_TIMEOUT, now)
            else:
                self._refuse(REQUEST_TIMEOUT)
        elif self._held:
            self._refuse(REQUEST_TIMEOUT)
        else:
            self._finish(Finished())

    def events(self) -> Sequence[Event]:
        events, self._events = self._events, []
        return events

    # --- inside

    @property
    def _is_complete(self) -> bool:
        """Whether the whole of the present request is here, and on its way."""
        return self._body is None

    @property
    def _is_last(self) -> bool:
        """Whether nothing is taken after the present exchange.

        What a user sends behind a CONNECT that is refused was meant for the tunnel: it is no request.
        """
        if not self._held:
            return self._has_ended
        return self._head is not None and self._head.method == b"CONNECT"

    def _answer(self, head: RequestHead, answer: Answer, now: float) -> None:
        keeps = head.said.keep_alive and not self._is_last and self._skip_body()
        line = connection_line(head.said, keeps)
        self._to_user.append(answer.write(line, self._date(), to_head=head.method == b"HEAD"))
        self._over(answer.status, keeps, False, now, is_cut=True)

    def _advance(self, now: float) -> None:
        """Reads on in what is held, if no exchange is under way and the user takes answers."""
        while self._state is _State.IDLE and self._held and self._stalled_due is None:
            if not self._read_head(now):
                return

    def _read_head(self, now: float) -> bool:
        """Whether there was one, or can be none."""
        try:
            found = self._requests.feed(self._held)
        except RequestRefused as error:
            self._refuse(refusal(error.status, str(error)))
            return True
        if found is None:
            if self._has_ended:
                self._finish(Finished())
            elif not self._is_in_head:
                self._is_in_head = True
                self._due = now + self._timeouts.head_s
            return False
        head, size = found
        self._held = self._held[size:]
        self._head = head
        said = head.said
        if said.chunked:
            self._body = ChunkedBody(True, drops_request_trailer)
        elif said.length:
            self._body = LengthBody(said.length)
        self._state = _State.DECIDING
        self._due = None
        self._repeats = 0
        if head.target == b"*":
            self._answer(head, OPTIONS_OF_SERVER, now)
        else:
            self._events.append(Requested(head))
        return True

    def _pass_body(self, data: Buffer, now: float) -> int:
        body = self._body
        assert body is not None
        try:
            taken = body.read(data, self._to_provider)
        except Malformed as error:
            self._refuse(refusal(400, str(error)))
            return len(data)
        if body.is_complete:
            self._body = None
            self._due = now + self._timeouts.response_s
        else:
            self._due = now + self._timeouts.body_s
        if self._response is not None and self._response.head is not None and self._body is None:
            self._due = None
        return taken

    def _skip_body(self) -> bool:
        """Drops the body of a request that nobody reads, if it is here: whether it is."""
        if self._body is not None and self._state is _State.DECIDING:
            try:
                taken = self._body.read(self._held, [])
            except Malformed:
                return False
            self._held = self._held[taken:]
            if self._body.is_complete:
                self._body = None
        return self._body is None

    def _over(self, status: int, keeps: bool, is_reusable: bool, now: float, *, is_cut: bool = False) -> None:
        """An exchange has come to its end."""
        head = self._head
        assert head is not None
        self._events.append(Answered(head, status, is_reusable, is_cut))
        self._head = self._response = None
        if not keeps or (self._has_ended and not self._held):
            self._finish(Finished(is_sending=not self._has_ended))
            return
        self._state = _State.IDLE
        self._is_in_head = False
        self._due = now + self._timeouts.idle_s

    def _provider_failed(self, answer: Answer, now: float) -> None:
        """The provider gives no answer, or does not end the one that it gives."""
        if self._response is not None and self._response.head is None:
            self.answer(answer, now)
        else:
            self._cut()

    def _refuse(self, answer: Answer) -> None:
        """Answers what is no request, or not the rest of one, if that can still be told."""
        if self._response is not None and self._response.head is not None:
            self._cut()
            return
        self._to_user.append(answer.write(b"Connection: close\r\n", self._date()))
        if self._state is _State.EXCHANGING and self._head is not None:
            self._events.append(Answered(self._head, answer.status, False, is_cut=True))
        self._finish(Finished(is_sending=True))

    def _cut(self) -> None:
        """Ends an exchange in its middle."""
        if self._head is not None:
            begun = self._response.head if self._response is not None else None
            status = USER_GONE if begun is None else begun.status
            self._events.append(Answered(self._head, status, False, is_cut=True))
        is_unframed = self._response is not None and self._response.is_unframed
        self._finish(Finished(is_cut=True, is_unframed=is_unframed))

    def _tunnel(self, status: int) -> None:
        head = self._head
        assert head is not None
        self._state = _State.TUNNEL
        self._due = None
        if self._held:
            self._to_provider.append(self._held)
            self._held = b""
        self._events.append(Tunneled(head, status))

    def _finish(self, finished: Finished) -> None:
        self._state = _State.FINISHED
        self._due = self._stalled_due = self._response = self._body = None
        self._held = b""
        self._events.append(finished)
