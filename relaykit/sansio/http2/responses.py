"""One answer of a provider, in HTTP/1.1, on its way into a stream."""

from __future__ import annotations

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.bodies import BodyReader, ChunkedBody, LengthBody, UntilEndBody
from relaykit.sansio.http.grammar import Lines
from relaykit.sansio.http.relaying import MOST_INTERIM
from relaykit.sansio.http.requests import RequestHead
from relaykit.sansio.http.responses import (
    SWITCHING_PROTOCOLS,
    ResponseHead,
    ResponseHeads,
    ResponseRefused,
)
from relaykit.sansio.http.rewriting import ResponseRewriter, Rules, drops_response_trailer

__all__ = ["StreamResponse"]

_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class StreamResponse:
    """Reads what a provider answers to one request: heads, then the bare body, then trailers."""

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
        return self.head is not None and self.head.keep_alive and not self._has_surplus

    @property
    def trailers(self) -> Lines:
        """The fields behind the body, once it is complete."""
        return self._body.trailers if isinstance(self._body, ChunkedBody) else ()

    def read(self, data: Buffer, heads: list[bytes], body: list[Buffer]) -> None:
        """Takes bytes of the provider, and adds what goes on to the lists: texts of heads, then the body.

        :raises Malformed: it cannot be passed on, or no further.
        """
        if self.head is None:
            buffer = bytes(data) if not self._buffer else self._buffer + data
            at = self._read_heads(buffer, heads)
            if at == len(buffer):
                return
            data = memoryview(buffer)[at:]
        assert self._body is not None
        if self._body.read(data, body) < len(data):
            self._has_surplus = True

    def end(self) -> bool:
        """The provider has ended its stream in order: whether that completes the response."""
        return self._body is not None and self._body.end([])

    def _read_heads(self, buffer: bytes, heads: list[bytes]) -> int:
        """Reads up to the end of the final head; how many bytes are taken, or kept for later."""
        at = 0
        while True:
            found = self._heads.feed(buffer[at:] if at else buffer)
            if found is None:
                self._buffer = buffer[at:] if at else buffer
                return len(buffer)
            head, size = found
            at += size
            if not head.is_interim:
                self._buffer = b""
                heads.append(self._begin(head))
                return at
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise ResponseRefused(f"it has more than {MOST_INTERIM} interim responses")
            heads.append(self._rewriter.write_interim(head))

    def _begin(self, head: ResponseHead) -> bytes:
        """The text of the final head.  Source: RFC 9112 section 6.3, RFC 9113 section 8.6."""
        framing = b""
        if head.status == SWITCHING_PROTOCOLS:
            raise ResponseRefused("it switches to a protocol, which HTTP/2 has no way to do")
        if head.length is not None and head.status != 204:
            framing = b"Content-Length: %d\r\n" % head.length
        if self._request.method == b"HEAD" or head.has_no_body:
            self._body = LengthBody(0)
        elif head.length is not None:
            self._body = LengthBody(head.length)
        elif head.chunked:
            # Only so are the names of the trailers told before them.
            framing = _CHUNKED
            self._body = ChunkedBody(False, drops_response_trailer)
        else:
            self._body = UntilEndBody(False)
        self.head = head
        return self._rewriter.write(head, self._rules, framing, b"")
