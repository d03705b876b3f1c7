"""Heads of responses: read as leniently as RFC 9112 lets a proxy, since they are written anew.

Who serves a site trusts it; where its head may be taken for two, it is refused all the same.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import define, field

from relaykit.sansio.http.grammar import (
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_REMEMBERED_BYTES,
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
from relaykit.sansio.http.requests import MOST_LENGTH_DIGITS

__all__ = ["ResponseHead", "ResponseHeads", "ResponseRefused"]

SWITCHING_PROTOCOLS: Final = 101

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n")
_STATUS_START = re.compile(
    rb"H(T(T(P(/(1(\.([0-9]( ([1-9]([0-9]([0-9]([ \r\n].*)?)?)?)?)?)?)?)?)?)?)?)?", re.DOTALL
)
_LENIENT_LINE_END = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r\n[ \t]+")
_BLANK_BEFORE_COLON = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+:", re.MULTILINE)


class ResponseRefused(Malformed):
    """A response that cannot be passed on; the text says why."""


@define
class ResponseHead:
    """The head of one response; ``lines``, ``keys`` and ``options`` as in :class:`RequestFields`.

    ``length`` is None without a Content-Length, or if it is ``chunked``.  ``keep_alive`` tells whether the
    sender takes another request on the same connection.
    """

    status: int
    reason: bytes
    lines: Lines = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    options: frozenset[bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    upgrade: frozenset[bytes]
    has_date: bool

    @property
    def is_interim(self) -> bool:
        """Whether another response to the same request follows.  Source: RFC 9110 section 15.2."""
        return self.status < 200 and self.status != SWITCHING_PROTOCOLS

    @property
    def has_no_body(self) -> bool:
        """Whether its status says that there is none.  Source: RFC 9112 section 6.3."""
        return self.status < 200 or self.status in (204, 304)


class ResponseHeads:
    """Reads the heads of responses; a :class:`~relaykit.sansio.contract.PrefixParser` of them.

    It remembers the last one: within a second, a server sends the same again and again.
    """

    limit = MOST_HEAD_BYTES

    def __init__(self) -> None:
        self._block = b""
        self._head: ResponseHead | None = None

    def feed(self, data: bytes) -> tuple[ResponseHead, int] | None:
        """Reads the head at the beginning of ``data``: it and its length; None for "need more".

        :raises ResponseRefused: there can be none.
        """
        end = _end_of_head(data)
        if end < 0:
            if _STATUS_START.fullmatch(data) is None and data:
                raise ResponseRefused("it is no response of HTTP/1")
            if len(data) >= MOST_HEAD_BYTES:
                raise ResponseRefused(f"its head has more than {MOST_HEAD_BYTES} bytes")
            return None
        head = self._head
        block = data[:end]
        if head is None or block != self._block:
            head = _read_head(block)
            if len(block) <= MOST_REMEMBERED_BYTES:
                self._block, self._head = block, head
        return head, end


def _end_of_head(data: bytes) -> int:
    """Where a head ends, its empty line included; -1 if it does not yet."""
    end = data.find(b"\n\r\n", 0, MOST_HEAD_BYTES)
    bare = data.find(b"\n\n", 0, MOST_HEAD_BYTES if end < 0 else end + 1)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def _read_head(block: bytes) -> ResponseHead:
    status = _STATUS.match(block)
    if status is None or valid_lines(block, status.end()) != len(block) - 2 or block[-3:] != b"\n\r\n":
        block = _straightened(block)
        status = _STATUS.match(block)
        if status is None:
            raise ResponseRefused("its status line is invalid")
        end = valid_lines(block, status.end())
        if end != len(block) - 2:
            raise ResponseRefused(fault_of_line(block[end : block.index(b"\n", end) + 1]))
    return _make_head(
        int(status[1]), int(status[2]), status[3] or b"", split_lines(block, status.end(), len(block) - 2)
    )


def _straightened(block: bytes) -> bytes:
    """A head with bare LF, folded fields or blanks before colons, without them.

    Source: RFC 9112 sections 2.2, 5.1 and 5.2.
    """
    block = _LENIENT_LINE_END.sub(b"\r\n", block)
    head = _FOLD.sub(b" ", block[:-2]) + block[-2:]
    return _BLANK_BEFORE_COLON.sub(rb"\1:", head)


_NO_OPTIONS: frozenset[bytes] = frozenset()
_READ = frozenset({b"connection", b"transfer-encoding", b"content-length", b"upgrade", b"date"})


def _make_head(minor: int, status: int, reason: bytes, lines: Lines) -> ResponseHead:
    if len(lines) > MOST_FIELDS:
        raise ResponseRefused(f"there are more than {MOST_FIELDS} fields")
    keys = keys_of(lines)
    found = values_of(keys, lines, _READ)
    if b"_" in b"".join(keys):
        keys = tuple(map(key_of, keys))
    get = found.get
    connection = get(b"connection")
    options = frozenset(listed(connection)) if connection else _NO_OPTIONS
    keep_alive = b"close" not in options if minor else b"keep-alive" in options
    codings, lengths = get(b"transfer-encoding"), get(b"content-length")
    if codings is not None:
        if list(listed(codings)) != [b"chunked"]:
            raise ResponseRefused("its Transfer-Encoding is other than chunked")
        # Who sends both, or this in HTTP/1.0, may mean another end: nothing more is read behind it.
        keep_alive = keep_alive and lengths is None and minor > 0
    return ResponseHead(
        status,
        reason,
        lines,
        keys,
        options,
        None if codings is not None or lengths is None else _read_length(lengths),
        codings is not None,
        keep_alive,
        frozenset(listed(found[b"upgrade"])) if b"upgrade" in found else _NO_OPTIONS,
        b"date" in found,
    )


def _read_length(values: list[bytes]) -> int:
    """Equal ones count once.  Source: RFC 9110 section 8.6."""
    lengths = {member for member in listed(values)} if len(values) > 1 or b"," in values[0] else set(values)
    length = lengths.pop() if len(lengths) == 1 else b""
    if not length.isdigit() or len(length) > MOST_LENGTH_DIGITS:
        raise ResponseRefused("its Content-Length is no number, too large, or there are several")
    return int(length)
