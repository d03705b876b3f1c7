"""Lists of fields: read into the text of a request in HTTP/1.1, and written from the text of an answer.

So everything that HTTP says of requests and answers is read and written in one place, in
:mod:`relaykit.sansio.http`.  What we write refers to nothing written before: it costs some bytes, and in
return nothing is kept for it, the same head is written once for many users, and no two of them can learn of
each other by its size.  Source: RFC 9113 sections 8.2 and 8.3, RFC 7541.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from hpack.table import HeaderTable

from relaykit.sansio.http.bodies import MOST_TRAILER_BYTES
from relaykit.sansio.http.grammar import Lines, Malformed, is_token
from relaykit.sansio.http.requests import RequestRefused

__all__ = ["Fields", "head_block", "request_text", "trailer_block", "trailer_lines"]

Fields = Sequence[tuple[bytes, bytes]]
"""Names and values as they were sent."""

CONNECT_REFUSED: Final = "CONNECT is served over HTTP/1.1 only"

_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_OF_CONNECTION: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
"""Fields that there cannot be.  Source: RFC 9113 section 8.2.2."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]++")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_VISIBLE = re.compile(rb"[\x21-\x7e\x80-\xff]++")


def request_text(fields: Fields, ended: bool) -> bytes:
    """The head of a request as it is in HTTP/1.1; ``ended`` if there is no body.

    :raises Malformed: it breaks the rules of HTTP/2: the stream is to be reset.
    :raises RequestRefused: it is not served.
    """
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    host = length = None
    for name, value in fields:
        if name[:1] == b":":
            if lines or cookies or host is not None:
                raise Malformed("a pseudo-header field comes behind other fields")
            if name not in _PSEUDO or name in pseudo:
                raise Malformed("a pseudo-header field is unknown, or is there twice")
            pseudo[bytes(name)] = value
            continue
        _check(name, value)
        if name == b"cookie":
            cookies.append(value)
        elif name == b"host":
            if host is not None:
                raise Malformed("it has more than one Host")
            host = value
        elif name in _OF_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise Malformed("it has a field about the connection")
        else:
            if name == b"content-length":
                length = value
            lines.append(b"%b: %b" % (name, value))
    method, target = _request_line(pseudo)
    authority = pseudo.get(b":authority", host)
    if authority is None or (host is not None and host.lower() != authority.lower()):
        raise Malformed("it names no host, or two")
    if not _VISIBLE.fullmatch(authority):
        raise Malformed("its authority is invalid")
    if cookies:
        lines.append(b"cookie: " + b"; ".join(cookies))
    if ended and length is not None and length.strip(b"0"):
        raise Malformed("it ends before the length that it tells")
    if not ended and length is None:
        lines.append(b"transfer-encoding: chunked")
    first = b"%b %b HTTP/1.1" % (method, target)
    return b"\r\n".join((first, b"host: " + authority, *lines, b"", b""))


def _request_line(pseudo: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Method and target.  Source: RFC 9113 section 8.3.1."""
    method = pseudo.get(b":method", b"")
    if not is_token(method):
        raise Malformed("its method is missing, or invalid")
    if method == b"CONNECT":
        if pseudo.keys() != {b":method", b":authority"}:
            raise Malformed("CONNECT has an authority and nothing else")
        raise RequestRefused(501, CONNECT_REFUSED)
    path = pseudo.get(b":path", b"")
    if pseudo.get(b":scheme") not in (b"http", b"https") or not _VISIBLE.fullmatch(path):
        raise Malformed("its scheme or its path is missing, or invalid")
    if path[:1] != b"/" and (path, method) != (b"*", b"OPTIONS"):
        raise Malformed("its path does not begin with a slash")
    return method, path


def _check(name: bytes, value: bytes) -> None:
    """Source: RFC 9113 section 8.2.1."""
    if _NAME.fullmatch(name) is None:
        raise Malformed("the name of a field is invalid, or not in small letters")
    if _VALUE.fullmatch(value) is None:
        raise Malformed("the value of a field is invalid, or begins or ends with a blank")


def trailer_lines(fields: Fields) -> Lines:
    """The fields behind a body, each with its CR LF.

    :raises Malformed: they break the rules of HTTP/2, or are too many.
    """
    for name, value in fields:
        _check(name, value)
        if name in _OF_CONNECTION:
            raise Malformed("it has a field about the connection")
    lines = [b"%b: %b\r\n" % field for field in fields]
    if sum(map(len, lines)) > MOST_TRAILER_BYTES:
        raise Malformed(f"there are more than {MOST_TRAILER_BYTES} bytes of trailers")
    return lines


_INDEXED: Final = 0x80
_NEVER_INDEXED: Final = 0x10
_SECRET: Final = frozenset({b"set-cookie", b"authentication-info", b"proxy-authentication-info"})
"""What intermediaries must not put into their tables either.  Source: RFC 7541 section 7.1.3."""

_STATUSES: Final[dict[bytes, bytes]] = {}
_NAMES: Final[dict[bytes, int]] = {}
for _index, (_name, _known) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _NAMES.setdefault(_name, _index)
    if _name == b":status":
        _STATUSES[_known] = bytes([_INDEXED | _index])


def head_block(text: bytes) -> bytes:
    """The head of an answer that was written for HTTP/1.1, without what is about the connection."""
    status, *lines = text[:-4].split(b"\r\n")
    code = status[9:12]
    return (_STATUSES.get(code) or _literal(b":status", code)) + _lines(
        line for line in lines if not line.startswith(b"Transfer-Encoding:")
    )


def trailer_block(lines: Lines) -> bytes:
    """The fields behind the body of an answer."""
    return _lines(line.rstrip(b"\r\n") for line in lines)


def _lines(lines: Iterable[bytes]) -> bytes:
    written = []
    for line in lines:
        name, _, value = line.partition(b":")
        written.append(_literal(name.lower(), value.strip(b" \t")))
    return b"".join(written)


def _literal(name: bytes, value: bytes) -> bytes:
    """Source: RFC 7541 sections 6.2.2 and 6.2.3."""
    mark = _NEVER_INDEXED if name in _SECRET else 0
    index = _NAMES.get(name, 0)
    begin = _number(index, 4, mark) + (b"" if index else _number(len(name), 7) + name)
    return b"%b%b%b" % (begin, _number(len(value), 7), value)


def _number(number: int, bits: int, mark: int = 0) -> bytes:
    """Source: RFC 7541 section 5.1."""
    most = (1 << bits) - 1
    if number < most:
        return bytes([mark | number])
    written = [mark | most]
    number -= most
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
