"""One response of a provider on its way to the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody, UntilEndBody
from relaykit.sansio.http.grammar import listed, values_of
from relaykit.sansio.http.requests import RequestFields, RequestHead
from relaykit.sansio.http.responses import (
    SWITCHING_PROTOCOLS,
    ResponseHead,
    ResponseHeads,
    ResponseRefused,
)
from relaykit.sansio.http.rewriting import NO_CHANGES, ResponseRewriter, Rules, drops_response_trailer

__all__ = ["MOST_INTERIM", "ResponseReader", "ResponseRelay", "connection_line"]

MOST_INTERIM: Final = 100
"""Most interim responses before the final one: servers send a few hints, or a sign of life each second."""

_CHUNKED = b"Transfer-Encoding: chunked\r\n"


def connection_line(said: RequestFields, keeps: bool) -> bytes:
    """What the user is told of its connection: whether it may ask again.  Source: RFC 9112 section 9.3."""
    if not keeps:
        return b"Connection: close\r\n"
    return b"" if said.minor else b"Connection: keep-alive\r\n"


class ResponseReader:
    """Reads one response of a provider up to the end of its final head, and knows what is left of its body.

    The heads of interim responses go on at once, and to nobody who speaks HTTP/1.0.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_has_surplus",
        "_heads",
        "_interim",
        "_request",
        "_rewriter",
        "_rules",
        "head",
    )

    def __init__(
        self, request: RequestHead, rules: Rules, heads: ResponseHeads, rewriter: ResponseRewriter
    ) -> None:
        self._request = request
        self._rules = rules
        self._heads = heads
        self._rewriter = rewriter
        self._buffer: bytes | None = None
        self._body: BodyReader | None = None
        self._has_surplus = False
        self._interim = 0
        self.head: ResponseHead | None = None
        """The head of the final response, once it is there: nothing else can be answered from then on."""

    @property
    def is_silent(self) -> bool:
        """Whether there was not one byte."""
        return self._buffer is None

    @property
    def is_complete(self) -> bool:
        """Whether nothing more belongs to it."""
        return self._body is not None and self._body.is_complete

    @property
    def is_reusable(self) -> bool:
        """Whether, once it is complete, its connection may serve another request."""
        return (
            self.head is not None
            and self._body is not None
            and self.head.keep_alive
            and not self._has_surplus
        )

    def _take_heads(
        self, data: Buffer, on_interim: Callable[[bytes], object]
    ) -> tuple[ResponseHead, Buffer] | None:
        """Reads on to the final head: it and what follows it; None for "need more".

        ``on_interim(text)`` gets the heads of interim responses.

        :raises Malformed: there can be none.
        """
        buffer = bytes(data) if not self._buffer else self._buffer + data
        at = 0
        while True:
            found = self._heads.feed(buffer[at:] if at else buffer)
            if found is None:
                self._buffer = buffer[at:] if at else buffer
                return None
            head, size = found
            at += size
            if not head.is_interim:
                self._buffer = b""
                return head, memoryview(buffer)[at:]
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise ResponseRefused(f"it has more than {MOST_INTERIM} interim responses")
            if self._request.said.minor:
                on_interim(self._rewriter.write_interim(head))


class ResponseRelay(ResponseReader):
    """Reads what a provider answers to one request, and writes it for the user."""

    __slots__ = ("is_unframed", "keeps_user")

    def __init__(
        self, request: RequestHead, rules: Rules, heads: ResponseHeads, rewriter: ResponseRewriter
    ) -> None:
        # What answers to CONNECT is a forward proxy, as what is asked.
        super().__init__(request, NO_CHANGES if request.method == b"CONNECT" else rules, heads, rewriter)
        self.is_unframed = False
        """Whether only the end of the user's stream tells where the response ends."""
        self.keeps_user = False
        """Whether the user was told that it may ask again."""

    @property
    def is_tunnel(self) -> bool:
        """Whether what follows is not HTTP any more, in either direction."""
        return self.head is not None and self._body is None

    def read(self, data: Buffer, into: list[Buffer], *, closing: bool, early: bool) -> None:
        """Takes bytes of the provider, and puts what goes on ``into`` a list.

        ``closing`` tells that the user's connection ends with this exchange, and ``early`` that the request
        is not complete yet.

        :raises Malformed: it cannot be passed on, or no further.
        """
        if self.head is None:
            taken = self._take_heads(data, into.append)
            if taken is None:
                return
            head, data = taken
            self._begin(head, into, closing, early)
            if not data:
                return
        body = self._body
        if body is None:
            into.append(data)
        elif body.read(data, into) < len(data):
            self._has_surplus = True

    def end(self, into: list[Buffer]) -> bool:
        """The provider has ended its stream in order: whether that completes the response."""
        return self._body is not None and self._body.end(into)

    def _begin(self, head: ResponseHead, into: list[Buffer], closing: bool, early: bool) -> None:
        """Writes the final head.  Source: RFC 9112 section 6.3."""
        said = self._request.said
        method = self._request.method
        framing = b""
        keeps = said.keep_alive and not closing and not (early and head.status >= 400)
        if head.status == SWITCHING_PROTOCOLS:
            self._switch(head, into)
            return
        if method == b"CONNECT" and head.status < 300:
            self.head = head
            into.append(self._rewriter.write_interim(head))
            return
        if method == b"HEAD" or head.has_no_body:
            self._body = LengthBody(0)
            if head.length is not None and head.status != 204:
                framing = b"Content-Length: %d\r\n" % head.length
        elif head.length is not None:
            self._body = LengthBody(head.length)
            framing = b"Content-Length: %d\r\n" % head.length
        else:
            framed = said.minor > 0
            self.is_unframed = not framed
            keeps = keeps and framed
            framing = _CHUNKED if framed else b""
            self._body = ChunkedBody(framed, drops_response_trailer) if head.chunked else UntilEndBody(framed)
        self.head = head
        self.keeps_user = keeps
        into.append(self._rewriter.write(head, self._rules, framing, connection_line(said, keeps)))

    def _switch(self, head: ResponseHead, into: list[Buffer]) -> None:
        """Source: RFC 9110 section 15.2.2."""
        offered = self._request.said.upgrade
        if offered is None or not head.upgrade or not head.upgrade <= set(listed([offered])):
            raise ResponseRefused("it switches to a protocol that the user did not ask for")
        self.head = head
        [switched] = values_of(head.keys, head.lines, {b"upgrade"}).values()
        handshake = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(switched)
        into.append(self._rewriter.write_interim(head, self._rules, handshake))
