"""Heads of requests: what they say, read strictly.

A refused head is refused whole, whichever way it arrives, and at the first fault in the order of its
bytes.  What a head says is read once: the route, the access and what goes on are of the same value.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from attrs import define, field

from relaykit.sansio.http.grammar import (
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_REMEMBERED_BYTES,
    MOST_TARGET_BYTES,
    Lines,
    Malformed,
    fault_of_line,
    key_of,
    keys_of,
    listed,
    split_lines,
    valid_lines,
    values_of,
)

__all__ = ["RequestFields", "RequestHead", "RequestHeads", "RequestRefused", "read_request_fields"]

MOST_LENGTH_DIGITS: Final = 18
"""Most digits of a Content-Length: what fits every reader's 64 bits, and more than there is."""

MOST_METHOD_BYTES: Final = 32
"""Most bytes of a method: the longest registered one has 17."""

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods that may be sent twice.  Source: RFC 9110 section 9.2.2."""

_METHOD = rb"[A-Z][A-Z0-9_-]{0,31}+"
_TARGET = rb"[\x21\x22\x24-\x7e\x80-\xff]"
_LINE = re.compile(
    rb"(?:\r\n)?(" + _METHOD + rb") (" + _TARGET + rb"{1,%d}+) (?=HTTP/1\.[0-9]\r\n)" % MOST_TARGET_BYTES
)
_ANY_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*+")
_ANY_TARGET = re.compile(_TARGET + rb"*+")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])\r\n")
_VERSION_START = re.compile(rb"H(T(T(P(/([0-9](\.([0-9](\r)?)?)?)?)?)?)?)?")
_BLOCK_FIELDS = len(b"HTTP/1.1\r\n")

_PORT = rb"(?::(?P<port>[0-9]{0,5}+))?"
_NAME = rb"[A-Za-z0-9._-]"
_LITERAL = rb"\[[0-9A-Fa-f:.]++\]"
_HOST = re.compile(rb"(?:" + _LITERAL + rb"|" + _NAME + rb"*+)" + _PORT)
_AUTHORITY = re.compile(rb"(?:" + _LITERAL + rb"|" + _NAME + rb"++)" + _PORT)
_ABSOLUTE = re.compile(rb"(?i:(https?)://)([^/?]*)(.*)", re.DOTALL)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UPWARDS = re.compile(rb"(?i)(?:[/\\]|%2f|%5c)(?:\.|%2e){2}(?:[/\\;]|%2f|%5c|%3b|\Z)")
"""A segment of a path that leads upwards, however it is written; with parameters, too, which some servers
drop."""
_PARAMETERS = re.compile(rb";[^/\\]*+")
"""What servers of Java drop from each segment of a path before they look for it, others not."""
_SLASHES = re.compile(rb"[/\\](?:\.?[/\\])*(?:\.\Z)?")
"""What servers may take for one slash."""
_ENCODED = re.compile(rb"[\x80-\xff]")
_HIGHEST_PORT = 0xFFFF
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class RequestRefused(Malformed):
    """A request that is not taken; ``status`` is that of the answer to it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@define
class RequestFields:
    """What the fields of a request say.

    ``minor`` is the minor version: 0, or 1 for all others.  ``keys`` are what the names are compared by,
    and ``options`` the members of ``Connection``.  ``length`` is that of the body, None without one or if it
    is ``chunked``.  ``upgrade`` is the value of ``Upgrade`` if the user asks for it.
    """

    lines: Lines = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    minor: int
    host: bytes | None
    options: frozenset[bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool
    takes_trailers: bool
    upgrade: bytes | None
    forwarded_for: bytes = field(repr=False)
    authorization: bytes | None = field(repr=False)
    proxy_authorization: bytes | None = field(repr=False)


@define
class RequestHead:
    """The head of one request.

    ``authority`` is the host that is asked, with its port if it was given: that of an absolute target or of
    CONNECT, else ``Host``; empty if nobody is named.  ``target`` is in origin form, ``*``, or that of
    CONNECT; ``scheme`` is that of an absolute target and empty otherwise.
    """

    method: bytes
    target: bytes
    scheme: bytes
    authority: bytes
    said: RequestFields

    @property
    def host(self) -> str:
        """:attr:`authority` as text."""
        return self.authority.decode("ascii")

    @property
    def path(self) -> str:
        """The path that is asked for, as routes are looked up by it; empty for CONNECT.

        It is unescaped, its backslashes are slashes, and it has neither parameters (from a semicolon to the
        end of a segment), nor several slashes in a row, nor the segment ``.``; one that leads upwards is
        refused before (``..``, however it is written).  So no
        request that a server takes for one below ``/admin`` leads where only ``/`` does, whether that
        server cleans paths or not: it gets :attr:`target` as it was sent.  A location protects nothing
        that a server finds by still other names, as one does that ignores the case of letters.
        """
        if self.method == b"CONNECT":
            return ""
        path = self.target.partition(b"?")[0]
        if b"%" in path:
            path = unquote_to_bytes(path)
        if b";" in path:
            path = _PARAMETERS.sub(b"", path)
        return _SLASHES.sub(b"/", path).decode("utf-8", "surrogateescape")

    @property
    def is_for_proxy(self) -> bool:
        """Whether the user takes this for a forward proxy: an absolute target, or CONNECT."""
        return bool(self.scheme) or self.method == b"CONNECT"

    @property
    def has_body(self) -> bool:
        """Whether at least one byte of a body, or its end, follows."""
        return self.said.chunked or bool(self.said.length)

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again where nobody knows what became of it.

        Any other is better forwarded over a fresh work connection, which has not ended in the meantime.
        Source: RFC 9110 section 9.2.2.
        """
        return self.method in IDEMPOTENT and not self.has_body


class RequestHeads:
    """Reads the heads of one connection; a :class:`~relaykit.sansio.contract.PrefixParser` of them.

    It remembers the last request, which whoever polls sends again and again, and its block of fields, which
    browsers send with most requests; and what it has seen of a head that is not complete: who sends it in
    tiny pieces does not have all of it read again.
    """

    limit = MOST_HEAD_BYTES

    def __init__(self) -> None:
        self._last = b""
        self._found: tuple[RequestHead, int] | None = None
        self._block = b""
        self._said: RequestFields | None = None
        self._begun = b""
        self._valid = 0
        """How many bytes of those are a request line and fields, to the end of a line."""

    def feed(self, data: bytes) -> tuple[RequestHead, int] | None:
        """Reads the head at the beginning of ``data``: it and its length; None for "need more".

        One empty line before it is skipped.  Source: RFC 9112 section 2.2.

        :raises RequestRefused: there can be none.
        """
        if data == self._last and data:
            return self._found
        line = _LINE.match(data)
        end = data.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
        if line is None or end < 0:
            self._valid = _refuse_unless_partial(data, self._valid if data.startswith(self._begun) else 0)
            self._begun = data
            return None
        self._begun, self._valid = b"", 0
        block = data[line.end() : end + 2]
        said = self._said
        if said is None or block != self._block:
            said = _read_block(block)
            if len(block) <= MOST_REMEMBERED_BYTES:
                self._block, self._said = block, said
        method, target = line.groups()
        found = _make_head(method, target, said), end + 4
        if len(data) == end + 4 <= MOST_REMEMBERED_BYTES:
            self._last, self._found = data, found
        return found


def read_request_fields(lines: Lines, minor: int = 1) -> RequestFields:
    """What the fields of a request say; each of the lines is valid by itself.

    :raises RequestRefused: they contradict each other, or what they ask for is not done here.
    """
    if len(lines) > MOST_FIELDS:
        raise RequestRefused(431, f"there are more than {MOST_FIELDS} fields")
    keys = keys_of(lines)
    found = values_of(keys, lines, _READ)
    if b"_" in b"".join(keys):
        if any(b"_" in key and key_of(key) in _FRAMING for key in keys):
            raise RequestRefused(400, "a field hides the length of the body by an underscore")
        keys = tuple(map(key_of, keys))
    get = found.get
    connection = get(b"connection")
    options = frozenset(listed(connection)) if connection else _NO_OPTIONS
    chunked, length = _read_framing(get(b"transfer-encoding"), get(b"content-length"), minor)
    expectations = get(b"expect")
    if expectations and minor and set(listed(expectations)) != {b"100-continue"}:
        raise RequestRefused(417, "it expects something other than 100-continue")
    upgrade = get(b"upgrade")
    forwarded = get(b"x-forwarded-for")
    return RequestFields(
        lines,
        keys,
        minor,
        _read_host(get(b"host"), minor),
        options,
        length,
        chunked,
        (b"close" not in options) if minor else (b"keep-alive" in options and b"close" not in options),
        bool(expectations) and bool(minor),
        b"te" in found
        and any(each.partition(b";")[0].strip() == b"trailers" for each in listed(found[b"te"])),
        _read_upgrade(upgrade) if upgrade and minor and b"upgrade" in options else None,
        b", ".join(filter(None, forwarded)) if forwarded else b"",
        _only(get(b"authorization")),
        _only(get(b"proxy-authorization")),
    )


_NO_OPTIONS: frozenset[bytes] = frozenset()
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_READ = _FRAMING | {
    *(b"host", b"connection", b"te", b"expect", b"upgrade", b"x-forwarded-for"),
    *(b"authorization", b"proxy-authorization"),
}


def _only(values: list[bytes] | None) -> bytes | None:
    if values is None:
        return None
    if len(values) > 1:
        raise RequestRefused(400, "it has credentials twice")
    return values[0]


def _read_host(values: list[bytes] | None, minor: int) -> bytes | None:
    """Source: RFC 9112 section 3.2."""
    if values is None:
        if minor:
            raise RequestRefused(400, "it has no Host")
        return None
    if len(values) > 1:
        raise RequestRefused(400, "it has more than one Host")
    if not _is_authority(_HOST, values[0]):
        raise RequestRefused(400, "its Host is invalid")
    return values[0]


def _is_authority(grammar: re.Pattern[bytes], text: bytes) -> bool:
    found = grammar.fullmatch(text)
    return found is not None and int(found["port"] or b"0") <= _HIGHEST_PORT


def _read_framing(
    codings: list[bytes] | None, lengths: list[bytes] | None, minor: int
) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its length.  Source: RFC 9112 section 6."""
    if codings is not None:
        if not minor:
            raise RequestRefused(400, "it has a Transfer-Encoding in HTTP/1.0")
        if lengths is not None:
            raise RequestRefused(400, "it has both a Transfer-Encoding and a Content-Length")
        names = [coding.partition(b";")[0].rstrip(b" \t") for coding in listed(codings)]
        if not names or b"chunked" in names[:-1]:
            raise RequestRefused(400, "its Transfer-Encoding does not end with chunked, once")
        if codings != [b"chunked"] and [value.lower() for value in codings] != [b"chunked"]:
            raise RequestRefused(501, "its Transfer-Encoding is other than chunked")
        return True, None
    if lengths is None:
        return False, None
    if len(lengths) > 1:
        raise RequestRefused(400, "it has more than one Content-Length")
    length = lengths[0]
    if not length.isdigit() or len(length) > MOST_LENGTH_DIGITS:
        raise RequestRefused(400, "its Content-Length is no number, or too large")
    return False, int(length)


def _read_upgrade(values: list[bytes]) -> bytes | None:
    """What the user wants to speak from then on.

    Not HTTP/2: whatever is asked for within it is asked without routes and credentials, and a user who
    is answered as before loses nothing.  Source: RFC 9110 section 7.8, RFC 9113 section 3.1.
    """
    value = b", ".join(values)
    return None if not value or any(each == b"h2c" for each in listed(values)) else value


def _read_block(block: bytes) -> RequestFields:
    """Reads a version and the fields behind it.

    The highest version that is known stands for higher ones.  Source: RFC 9110 section 2.5.
    """
    end = valid_lines(block, _BLOCK_FIELDS)
    if end < len(block):
        raise RequestRefused(400, fault_of_line(block[end : block.index(b"\n", end) + 1]))
    return read_request_fields(split_lines(block, _BLOCK_FIELDS, end), min(1, block[7] - 48))


def _make_head(method: bytes, target: bytes, said: RequestFields) -> RequestHead:
    if target[0] == 0x2F:
        scheme, authority = b"", said.host or b""
    else:
        scheme, authority, target = _read_target(method, target, said)
    if method == b"CONNECT":
        if scheme or target[:1] == b"/":
            raise RequestRefused(400, "CONNECT wants a host and a port")
        if said.chunked or said.length:
            raise RequestRefused(400, "CONNECT has no body")
    if not target.isascii():
        target = _ENCODED.sub(lambda found: b"%%%02X" % found[0][0], target)
    if (b"%" in target or b".." in target) and method != b"CONNECT":
        _check_path(target.partition(b"?")[0])
    return RequestHead(method, target, scheme, authority, said)


def _check_path(path: bytes) -> None:
    """Refuses a path that servers may take for different ones.

    Those who resolve ``..`` and those who do not would find it below different locations.  Users lose
    nothing: browsers and their like resolve it before they ask.  Source: RFC 3986 section 5.2.4.
    """
    if _BAD_ESCAPE.search(path):
        raise RequestRefused(400, "the target of the request has a wrong percent escape")
    if _UPWARDS.search(path):
        raise RequestRefused(400, "the path of the request leads upwards")


def _read_target(method: bytes, target: bytes, said: RequestFields) -> tuple[bytes, bytes, bytes]:
    """Scheme, authority and the target in short.  Source: RFC 9112 section 3.2."""
    if method == b"CONNECT":
        named = _AUTHORITY.fullmatch(target)
        if named is None or not 0 < int(named["port"] or b"0") <= _HIGHEST_PORT:
            raise RequestRefused(400, "CONNECT wants a host and a port")
        return b"", target, target
    if target == b"*" and method == b"OPTIONS":
        return b"", said.host or b"", target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not _is_authority(_AUTHORITY, absolute[2]):
        raise RequestRefused(400, "the target of the request is invalid")
    scheme, authority, rest = absolute[1].lower(), absolute[2], absolute[3]
    port = _DEFAULT_PORTS[scheme]
    if said.host is not None and _same_host(said.host, port) != _same_host(authority, port):
        raise RequestRefused(400, "its Host is not that of its target")
    return scheme, authority, rest if rest[:1] == b"/" else b"/" + rest


def _same_host(authority: bytes, port: bytes) -> bytes:
    return authority.lower().removesuffix(port).removesuffix(b":")


def _refuse_unless_partial(data: bytes, valid: int) -> int:
    """Returns if more bytes may make it a head: where its last whole line ends, which it did at ``valid``."""
    data = data[:MOST_HEAD_BYTES]
    end = valid or _read_line(data, 2 if data.startswith(b"\r\n") else 0)
    if not end:
        return 0
    if data.find(b"\n", end) >= 0:
        end = valid_lines(data, end)
        line_end = data.find(b"\n", end)
        if line_end >= 0 and data[end : line_end + 1] != b"\r\n":
            raise RequestRefused(400, fault_of_line(data[end : line_end + 1]))
    if len(data) == MOST_HEAD_BYTES:
        raise RequestRefused(431, f"its head has more than {MOST_HEAD_BYTES} bytes")
    return end


def _read_line(data: bytes, start: int) -> int:
    """Where the request line ends that begins at ``start``; 0 if it does not yet.

    :raises RequestRefused: it can be none; by the first fault from its left.
    """
    if data == b"\r":
        return 0
    method_end = _end_of(_ANY_METHOD, data, start)
    if method_end - start > MOST_METHOD_BYTES:
        raise RequestRefused(501, "its method is unknown")
    if method_end == len(data):
        return 0
    if data[method_end] != 0x20 or method_end == start:
        raise RequestRefused(400, "the request line is malformed")
    if _LINE_METHOD.fullmatch(data, start, method_end) is None:
        raise RequestRefused(501, "its method is unknown")
    target_start = method_end + 1
    target_end = _end_of(_ANY_TARGET, data, target_start)
    if target_end - target_start > MOST_TARGET_BYTES:
        raise RequestRefused(414, f"its target has more than {MOST_TARGET_BYTES} bytes")
    if target_end == len(data):
        return 0
    if data[target_end] != 0x20 or target_end == target_start:
        raise RequestRefused(400, "the request line is malformed")
    version = _VERSION.match(data, target_end + 1)
    if version is None:
        if target_end + 1 < len(data) and _VERSION_START.fullmatch(data, target_end + 1) is None:
            raise RequestRefused(400, "the request line is malformed")
        return 0
    if version[1] != b"1":
        raise RequestRefused(505, "its version of HTTP is another than 1")
    return version.end()


_LINE_METHOD = re.compile(_METHOD)


def _end_of(grammar: re.Pattern[bytes], data: bytes, start: int) -> int:
    found = grammar.match(data, start)
    assert found is not None
    return found.end()
