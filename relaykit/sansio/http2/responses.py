"""One answer of a provider, in HTTP/1.1, on its way into a stream."""

from __future__ import annotations

from relaykit.sansio.contract import Buffer
from relaykit.sansio.http.bodies import ChunkedBody, LengthBody, UntilEndBody
from relaykit.sansio.http.grammar import Lines
from relaykit.sansio.http.relaying import ResponseReader
from relaykit.sansio.http.responses import SWITCHING_PROTOCOLS, ResponseHead, ResponseRefused
from relaykit.sansio.http.rewriting import drops_response_trailer

__all__ = ["StreamResponse"]

_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class StreamResponse(ResponseReader):
    """Reads what a provider answers to one request: heads, then the bare body, then trailers."""

    __slots__ = ()

    @property
    def trailers(self) -> Lines:
        """The fields behind the body, once it is complete."""
        return self._body.trailers if isinstance(self._body, ChunkedBody) else ()

    def read(self, data: Buffer, heads: list[bytes], body: list[Buffer]) -> None:
        """Takes bytes of the provider, and adds what goes on to the lists: texts of heads, then the body.

        :raises Malformed: it cannot be passed on, or no further.
        """
        if self.head is None:
            taken = self._take_heads(data, heads.append)
            if taken is None:
                return
            head, data = taken
            heads.append(self._begin(head))
            if not data:
                return
        assert self._body is not None
        if self._body.read(data, body) < len(data):
            self._has_surplus = True

    def end(self) -> bool:
        """The provider has ended its stream in order: whether that completes the response."""
        return self._body is not None and self._body.end([])

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
