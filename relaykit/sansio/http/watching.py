"""What is asked and answered on one connection of HTTP/1, as seen by who is given copies of its bytes.

Whoever watches takes no part: nothing is answered, changed or refused here.  What is not understood, and
whatever follows an upgrade or CONNECT, is not looked at any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from attrs import define

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody, UntilEndBody
from relaykit.sansio.http.grammar import Malformed
from relaykit.sansio.http.requests import RequestHeads
from relaykit.sansio.http.responses import SWITCHING_PROTOCOLS, ResponseHead, ResponseHeads
from relaykit.values import Exchange

__all__ = ["ExchangeWatch"]

MOST_UNANSWERED: Final = 16
"""Requests that wait for their answers before nothing is looked at any more: relays send one at a time."""


@define
class _Request:
    """A request without an answer: what of it is told, when its first byte came, bytes of its body so far.

    Of its fields nothing is kept: there may be many of them, and secrets among them.
    """

    method: bytes
    target: bytes
    since: float
    received: int = 0


class ExchangeWatch:
    """Watches one connection, between who asks and who answers.

    It keeps no more than the head that is incomplete on either side, and the requests without an answer.
    After each input take :meth:`exchanges`.
    """

    def __init__(self) -> None:
        self._request_heads = RequestHeads()
        self._response_heads = ResponseHeads()
        self._watching = True
        self._since: float | None = None
        self._asked = b""
        self._answered = b""
        self._unanswered: deque[_Request] = deque()
        self._request: _Request | None = None
        """The one whose body comes in."""
        self._request_body: BodyReader | None = None
        self._response: ResponseHead | None = None
        self._response_body: BodyReader | None = None
        self._sent = 0
        self._exchanges: list[Exchange] = []

    def asked(self, data: Buffer, now: float) -> None:
        """These bytes came from who asks."""
        try:
            while len(data) and self._watching:
                data = self._read_request(data, now)
        except Malformed:
            self._stop()

    def answered(self, data: Buffer, now: float) -> None:
        """These bytes came from who answers."""
        try:
            while len(data) and self._watching:
                data = self._read_response(data, now)
        except Malformed:
            self._stop()

    def ended(self, now: float) -> None:
        """The connection is over, and with it whatever was under way."""
        if self._response_body is not None:
            self._over(now)
        while self._unanswered:
            self._over(now)
        self._stop()

    def exchanges(self) -> Sequence[Exchange]:
        """Takes the exchanges that have ended, in order."""
        exchanges, self._exchanges = self._exchanges, []
        return exchanges

    # --- inside

    def _read_request(self, data: Buffer, now: float) -> Buffer:
        """Reads a head or the rest of a body; what is behind it."""
        body = self._request_body
        if body is not None:
            assert self._request is not None
            size, rest = _read(body, data)
            self._request.received += size
            if body.is_complete:
                self._request = self._request_body = None
            return rest
        if self._since is None:
            self._since = now
        begun = self._asked + data
        found = self._request_heads.feed(begun)
        if found is None:
            self._asked = begun
            return b""
        head, length = found
        request = _Request(head.method, head.target, self._since)
        self._since = None
        self._asked = b""
        self._unanswered.append(request)
        if len(self._unanswered) > MOST_UNANSWERED:
            self._stop()
        elif head.has_body:
            self._request = request
            self._request_body = (
                ChunkedBody(False, _drop) if head.said.chunked else LengthBody(head.said.length or 0)
            )
        return memoryview(begun)[length:]

    def _read_response(self, data: Buffer, now: float) -> Buffer:
        """The same of a response."""
        body = self._response_body
        if body is not None:
            size, rest = _read(body, data)
            self._sent += size
            if body.is_complete:
                self._over(now)
            return rest
        if not self._unanswered:
            raise Malformed("it answers nothing")
        begun = self._answered + data
        found = self._response_heads.feed(begun)
        if found is None:
            self._answered = begun
            return b""
        head, length = found
        self._answered = b""
        if not head.is_interim:
            self._begin(head, now)
        return memoryview(begun)[length:]

    def _begin(self, head: ResponseHead, now: float) -> None:
        """The final head of a response is there.  Source: RFC 9112 section 6.3."""
        method = self._unanswered[0].method
        self._response = head
        if head.status == SWITCHING_PROTOCOLS or (method == b"CONNECT" and head.status < 300):
            self._over(now)
            self._stop()
        elif method == b"HEAD" or head.has_no_body or head.length == 0:
            self._over(now)
        elif head.chunked:
            self._response_body = ChunkedBody(False, _drop)
        elif head.length is not None:
            self._response_body = LengthBody(head.length)
        else:
            self._response_body = UntilEndBody(False)

    def _over(self, now: float) -> None:
        """The oldest exchange has ended, whether it was answered or not."""
        request, response = self._unanswered.popleft(), self._response
        self._exchanges.append(
            Exchange(
                method=request.method.decode("ascii"),
                target=request.target.decode("ascii"),
                status=None if response is None else response.status,
                seconds=max(0.0, now - request.since),
                received=request.received,
                sent=self._sent,
            )
        )
        self._response = self._response_body = None
        self._sent = 0

    def _stop(self) -> None:
        """Looks at nothing any more, and keeps nothing."""
        self._watching = False
        self._asked = self._answered = b""
        self._request = self._request_body = self._response = self._response_body = None
        self._unanswered.clear()


def _read(body: BodyReader, data: Buffer) -> tuple[int, Buffer]:
    """How many bytes of a body there are, without their framing, and what is behind them."""
    pieces: list[Buffer] = []
    taken = body.read(data, pieces)
    return sum(map(len, pieces)), memoryview(data)[taken:]


def _drop(key: bytes) -> bool:
    """No trailer is of interest."""
    return True
