"""Heads that somebody may read in another way, or that cost more than they are worth: and their answers."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from relaykit.sansio.http.grammar import MOST_FIELDS, MOST_HEAD_BYTES, MOST_TARGET_BYTES

__all__ = ["BODIES", "HEADS", "Hostile"]


@frozen
class Hostile:
    """Bytes, the status of the answer to them, and words of its reason."""

    data: bytes = field(repr=False)
    status: int
    reason: str

    def __str__(self) -> str:
        return f"{self.data[:90]!r}"


def _with(*lines: bytes, method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
    head = (method + b" / " + version, b"Host: web.example", *lines, b"", b"")
    return b"\r\n".join(head)


def _lines() -> Iterator[Hostile]:
    malformed = "the request line is malformed"
    for line in (
        b"GET /\r\n",
        b"GET\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET /  HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\rHost: web.example\r\n",
        b"GET / HTTP/11\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / HTTP/1.\r\n",
        b"GET / HTTP/+1.1\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTPS/1.1\r\n",
        b"GET / /1.1\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"GET /a\x00b HTTP/1.1\r\n",
        b"GET /a\x7fb HTTP/1.1\r\n",
        b"GET /#top HTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"GET\x00 / HTTP/1.1\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        b"\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ):
        yield Hostile(line + b"Host: web.example\r\n\r\n", 400, malformed)
    for line, status, reason in (
        (b"GET / HTTP/2.0", 505, "another than 1"),
        (b"GET / HTTP/0.9", 505, "another than 1"),
        (b"PRI * HTTP/2.0", 505, "another than 1"),
        (b"get / HTTP/1.1", 501, "method is unknown"),
        (b"Head / HTTP/1.1", 501, "method is unknown"),
        (b"connect web.example:80 HTTP/1.1", 501, "method is unknown"),
        (b"G" * 33 + b" / HTTP/1.1", 501, "method is unknown"),
        (b"$GET / HTTP/1.1", 501, "method is unknown"),
        (b"GET * HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET web.example HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET web.example:80 HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET \\path HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http:/web.example/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http:///path HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET ftp://web.example/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http://u:p@web.example/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http://web.example:99999/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http://other.example/ HTTP/1.1", 400, "not that of its target"),
        (b"GET http://web.example:81/ HTTP/1.1", 400, "not that of its target"),
        (b"GET http://web.example@other.example/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"GET http://web.example\\.other.example/ HTTP/1.1", 400, "target of the request is invalid"),
        (b"CONNECT / HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT web.example HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT web.example: HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT web.example:0 HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT web.example:65536 HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT http://web.example:80/ HTTP/1.1", 400, "a host and a port"),
        (b"CONNECT [::1] HTTP/1.1", 400, "a host and a port"),
        (b"GET /%zz HTTP/1.1", 400, "percent escape"),
        (b"GET /a% HTTP/1.1", 400, "percent escape"),
        (b"GET /x/../admin HTTP/1.1", 400, "leads upwards"),
        (b"GET /admin/..?x HTTP/1.1", 400, "leads upwards"),
        (b"GET /x/%2e%2E/admin HTTP/1.1", 400, "leads upwards"),
        (b"GET /x%2f.%2e%2Fadmin HTTP/1.1", 400, "leads upwards"),
        (b"GET /x\\..%5cadmin HTTP/1.1", 400, "leads upwards"),
        (b"GET /x/..;a=b/admin HTTP/1.1", 400, "leads upwards"),
        (b"GET http://web.example/.. HTTP/1.1", 400, "leads upwards"),
        (b"GET /" + b"a" * MOST_TARGET_BYTES + b" HTTP/1.1", 414, "its target has more than"),
    ):
        yield Hostile(line + b"\r\nHost: web.example\r\n\r\n", status, reason)


def _fields() -> Iterator[Hostile]:
    for line, status, reason in (
        (b"X-A: 1\nX-B: 2", 400, "bare LF"),
        (b"X-A: 1\n", 400, "bare LF"),
        (b"X-A: 1\rX-B: 2", 400, "0x0d"),
        (b"X-A: 1\r\r", 400, "0x0d"),
        (b"X-A: 1\r\n folded", 400, "folded"),
        (b"X-A: 1\r\n\tfolded", 400, "folded"),
        (b" X-A: 1", 400, "folded"),
        (b"X-A : 1", 400, "and its colon"),
        (b"X-A\t: 1", 400, "and its colon"),
        (b"Transfer-Encoding : chunked", 400, "and its colon"),
        (b"X-A", 400, "name of a field is invalid"),
        (b": 1", 400, "name of a field is invalid"),
        (b"X A: 1", 400, "name of a field is invalid"),
        (b"X\x00A: 1", 400, "name of a field is invalid"),
        (b"X\xc4: 1", 400, "name of a field is invalid"),
        (b"X(A): 1", 400, "name of a field is invalid"),
        (b"X-A: \x00", 400, "0x00"),
        (b"X-A: a\x0bb", 400, "0x0b"),
        (b"X-A: a\x7f", 400, "0x7f"),
        (b"X-A: \x1b[31m", 400, "0x1b"),
        (b"Content-Length: 5\r\nContent-Length: 6", 400, "more than one Content-Length"),
        (b"Content-Length: 5\r\nContent-Length: 5", 400, "more than one Content-Length"),
        (b"Content-Length: 5, 5", 400, "no number"),
        (b"Content-Length: 5, 6", 400, "no number"),
        (b"Content-Length: +5", 400, "no number"),
        (b"Content-Length: -5", 400, "no number"),
        (b"Content-Length: 5_0", 400, "no number"),
        (b"Content-Length: 0x5", 400, "no number"),
        (b"Content-Length: 5 5", 400, "no number"),
        (b"Content-Length: 5.0", 400, "no number"),
        (b"Content-Length:", 400, "no number"),
        (b'Content-Length: "5"', 400, "no number"),
        (b"Content-Length: \xb2", 400, "no number"),
        (b"Content-Length: 18446744073709551621", 400, "too large"),
        (b"Content-Length: 0000000000000000005", 400, "too large"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", 400, "both"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 400, "both"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5", 400, "both"),
        (b"Transfer-Encoding: chunked, chunked", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding: chunked, gzip", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding: chunked, identity", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding:", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding: ,", 400, "does not end with chunked, once"),
        (b"Transfer-Encoding: gzip", 501, "other than chunked"),
        (b"Transfer-Encoding: gzip, chunked", 501, "other than chunked"),
        (b"Transfer-Encoding: identity", 501, "other than chunked"),
        (b"Transfer-Encoding: xchunked", 501, "other than chunked"),
        (b'Transfer-Encoding: "chunked"', 501, "other than chunked"),
        (b"Transfer-Encoding: chunked;a=b", 501, "other than chunked"),
        (b"Transfer-Encoding: , chunked", 501, "other than chunked"),
        (b"Transfer-Encoding: \x0bchunked", 400, "0x0b"),
        (b"Transfer-Encoding: chun\x00ked", 400, "0x00"),
        (b"Transfer_Encoding: chunked", 400, "underscore"),
        (b"Content_Length: 5", 400, "underscore"),
        (b"Host: web.example", 400, "more than one Host"),
        (b"host: other.example", 400, "more than one Host"),
        (b"Expect: 200-ok", 417, "other than 100-continue"),
        (b"Expect: 100-continue, x", 417, "other than 100-continue"),
        (b"Authorization: Basic eDp5\r\nAuthorization: Basic YTpi", 400, "credentials twice"),
    ):
        yield Hostile(_with(line), status, reason)
    for host in (
        *(
            b"web.example, other.example",
            b"web.example other.example",
            b"web.example:80:80",
            b"web.example:+80",
        ),
        *(
            b"web.example:65536",
            b"web.example:x",
            b"web.example/path",
            b"u@web.example",
            b"web.example?",
            b"[::1",
        ),
        *(b"::1", b"web.ex\xc3\xa4mple", b"http://web.example", b"web%2eexample", b"*"),
    ):
        yield Hostile(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400, "its Host is invalid")
    yield Hostile(b"GET / HTTP/1.1\r\n\r\n", 400, "it has no Host")
    yield Hostile(b"GET http://web.example/ HTTP/1.1\r\n\r\n", 400, "it has no Host")
    yield Hostile(_with(b"Transfer-Encoding: chunked", version=b"HTTP/1.0"), 400, "in HTTP/1.0")
    yield Hostile(_with(*[b"a: b"] * MOST_FIELDS), 431, "fields")
    yield Hostile(_with(b"a: " + b"b" * MOST_HEAD_BYTES), 431, "its head has more than")
    yield Hostile(_with(*[b"a: " + b"b" * 1000] * 100), 431, "its head has more than")
    yield Hostile(_with(b"a" * MOST_HEAD_BYTES), 431, "its head has more than")
    connect = b"CONNECT web.example:80 HTTP/1.1\r\nHost: web.example\r\n"
    yield Hostile(connect + b"Content-Length: 5\r\n\r\n", 400, "CONNECT has no body")
    yield Hostile(connect + b"Transfer-Encoding: chunked\r\n\r\n", 400, "CONNECT has no body")


HEADS = (*_lines(), *_fields())
"""Heads, each with the answer that it gets."""

BODIES = (
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"0X5\r\nhello\r\n0\r\n\r\n",
    b"1_0\r\nhellohellohello!\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\t\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\r\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5;\x00\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\nhello\r\n0\r\n\r\n",
    b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
    b"5:a=b\r\nhello\r\n0\r\n\r\n",
    b"5,5\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b";a\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n 0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello\r\n0\r\nX : 1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: 1\n\r\n",
    b"5\r\nhello\r\n0\r\n X: 1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 2000 + b"\r\n",
)
"""Chunked bodies that are none."""
