"""How a connection that speaks HTTP begins: with a request of HTTP/1, or with the preface of HTTP/2."""

from __future__ import annotations

import enum
from typing import Final

from relaykit.sansio.parsers.recognizing import Opening

__all__ = ["HTTP_OPENING", "PREFACE", "HttpVersion", "HttpVersionParser"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a user says first who knows that HTTP/2 is spoken.  Source: RFC 9113 section 3.4."""

_METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"QUERY"),
    *(b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH"),
    *(b"MKCALENDAR", b"ACL", b"BIND", b"UNBIND", b"REBIND", b"MKACTIVITY", b"CHECKOUT", b"MERGE"),
)
"""Methods by which HTTP is told from what else is said at a port: those of HTTP and of WebDAV.

Source: the Hypertext Transfer Protocol (HTTP) Method Registry."""

HTTP_OPENING: Final = Opening(*(method + b" " for method in _METHODS), b"PRI * HTTP/2")
"""Recognizes what users of HTTP say first."""


class HttpVersion(enum.Enum):
    """What is spoken."""

    ONE = "HTTP/1"
    TWO = "HTTP/2"


class HttpVersionParser:
    """Tells HTTP/2, begun with prior knowledge, from everything else; all bytes stay for who reads it."""

    limit = len(PREFACE)

    def feed(self, data: bytes) -> tuple[HttpVersion, int] | None:
        """Answers what is spoken, and that it is to be read from its first byte."""
        if not PREFACE.startswith(data[: self.limit]):
            return HttpVersion.ONE, 0
        return (HttpVersion.TWO, 0) if len(data) >= self.limit else None
