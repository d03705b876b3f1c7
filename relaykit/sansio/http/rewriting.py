"""What a reverse proxy changes in heads: fields of a hop end here, and rules of the configuration apply.

Nothing is added to a response but what HTTP asks of a proxy, and ``Via`` to neither side: servers take it
as a reason not to compress.  Source: RFC 9110 section 7.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from attrs import field, frozen

from relaykit.sansio.http.grammar import MOST_REMEMBERED_BYTES, Lines, is_token, is_value, key_of
from relaykit.sansio.http.requests import RequestFields, RequestHead
from relaykit.sansio.http.responses import ResponseHead

__all__ = [
    "FORWARDED",
    "NO_CHANGES",
    "HeaderRules",
    "RequestRewriter",
    "ResponseRewriter",
    "Rules",
    "drops_request_trailer",
    "drops_response_trailer",
    "host_problem",
    "unsettable",
]

HOP: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade"}
)
"""Fields that are about one connection.  Source: RFC 9110 section 7.6.1."""

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Fields that tell where a message ends."""

NOT_SETTABLE: Final = HOP | FRAMING | {b"host", b"trailer"}
"""Fields that no rule sets: they follow from the message and its connection; ``Host`` has its own rule."""

NOT_IN_TRAILERS: Final = NOT_SETTABLE | {
    *(b"authorization", b"proxy-authorization", b"proxy-authenticate", b"www-authenticate", b"cookie"),
    *(b"set-cookie", b"cache-control", b"content-encoding", b"content-range", b"content-type", b"expect"),
    *(b"max-forwards", b"range", b"age", b"date", b"expires", b"location", b"retry-after", b"vary"),
}
"""Fields that mean nothing behind a body, or that somebody may merge into the head: where the message ends,
whom it is for, who sends it, what its body is.  Source: RFC 9110 section 6.5.1."""

FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
"""What proxies tell of the user: replaced by what we know, but for the addresses, which are continued."""

_TO_PROVIDER = HOP | {
    *(b"host", b"content-length", b"proxy-authenticate", b"proxy-authorization", b"http2-settings"),
}
_TO_TUNNEL = HOP | {b"host", b"content-length", b"http2-settings"}
_TO_USER = HOP | {b"content-length"}
_USUAL_OPTIONS = frozenset({b"keep-alive", b"close"})
"""Options of a connection that are no names of fields that go on."""


@frozen(eq=False)
class HeaderRules:
    """Fields that are set whatever the message says of them."""

    keys: frozenset[bytes]
    lines: Lines = field(repr=False)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> HeaderRules:
        """Rules that set these, an empty value too.

        Those that cannot be set (:data:`NOT_SETTABLE`) are left out.

        :raises ValueError: a name or a value is none of a field; the text says so.
        """
        encoded = [(name.encode(), value.strip(" \t").encode()) for name, value in fields.items()]
        for name, value in encoded:
            if not is_token(name):
                raise ValueError(f'"{name.decode()}" is not the name of a header field')
            if not is_value(value):
                raise ValueError(
                    f'the value for "{name.decode()}" has characters that no header field can have'
                )
        settable = [pair for pair in encoded if key_of(pair[0]) not in NOT_SETTABLE]
        return cls(frozenset(key_of(name) for name, _ in settable), [b"%b: %b" % pair for pair in settable])


NO_RULES: Final = HeaderRules(frozenset(), ())
"""Sets nothing."""


@frozen(eq=False)
class Rules:
    """What one proxy has changed: ``host`` replaces the user's, if it is not empty.

    :ivar to_origin: whether the server gets targets as those who serve sites do, as a proxy does not.
    :ivar tells_user: whether it is told who the user is and what that asked for (``X-Forwarded-...``).
    :ivar hidden: what the user, or a proxy in front, tells of that and does not go on: keys of
        :data:`FORWARDED`.
    """

    host: bytes = b""
    request: HeaderRules = NO_RULES
    response: HeaderRules = NO_RULES
    to_origin: bool = False
    tells_user: bool = True
    hidden: frozenset[bytes] = FORWARDED
    not_to_provider: frozenset[bytes] = field(init=False, repr=False)
    """The keys of fields that do not go on."""
    not_to_user: frozenset[bytes] = field(init=False, repr=False)
    """The same for responses."""

    @not_to_provider.default
    def _not_to_provider(self) -> frozenset[bytes]:
        return _TO_PROVIDER | self.hidden | self.request.keys

    @not_to_user.default
    def _not_to_user(self) -> frozenset[bytes]:
        return _TO_USER | self.response.keys


NO_CHANGES: Final = Rules()
"""Changes nothing that is not about one connection."""


def unsettable(names: Iterable[str]) -> Iterator[str]:
    """Why some of the names can be set by no rule."""
    for name in names:
        if key_of(name.encode()) in NOT_SETTABLE:
            yield f"{name} cannot be set: it follows from the message and its connection"


def host_problem(host: str) -> str:
    """Why a text cannot be a ``Host``; empty if it can, or is empty."""
    can_be = host.isascii() and is_value(host.encode()) and not {" ", "\t"} & set(host)
    return "" if can_be else f'"{host}" cannot be a Host'


def drops_request_trailer(key: bytes) -> bool:
    """Whether a field behind the body of a request does not go on."""
    return key in NOT_IN_TRAILERS or key in FORWARDED


def drops_response_trailer(key: bytes) -> bool:
    """The same for a response."""
    return key in NOT_IN_TRAILERS


class RequestRewriter:
    """Writes the heads of one user's requests for providers; it remembers the last fields it wrote.

    ``user`` is the address of the user, ``scheme`` what the connection was made with: ``http`` or ``https``.
    """

    def __init__(self, user: bytes, scheme: bytes) -> None:
        self._user = user
        self._scheme = scheme
        self._tail: tuple[RequestFields, Rules, bytes, bytes] | None = None
        self._last: tuple[RequestHead, Rules, bytes] | None = None

    def write(self, head: RequestHead, rules: Rules) -> bytes:
        """The head of a request as the provider gets it, in HTTP/1.1.

        CONNECT goes on as it was sent but for its framing and its connection, since who serves it is a
        forward proxy with rules of its own.
        """
        last = self._last
        if last is not None and last[0] is head and last[1] is rules:
            return last[2]
        written = self._write(head, rules)
        if len(written) <= MOST_REMEMBERED_BYTES:
            self._last = head, rules, written
        return written

    def _write(self, head: RequestHead, rules: Rules) -> bytes:
        if head.method == b"CONNECT":
            target = head.target
            kept = _kept(head.said, _TO_TUNNEL | head.said.options)
            return b"\r\n".join((b"CONNECT %b HTTP/1.1" % target, b"Host: " + target, *kept, b"", b""))
        said, authority = head.said, head.authority
        known = self._tail
        if known is not None and known[0] is said and known[1] is rules and known[2] == authority:
            tail = known[3]
        else:
            tail = self._write_tail(said, authority, rules)
            if len(tail) <= MOST_REMEMBERED_BYTES:
                self._tail = (said, rules, authority, tail)
        target = head.target
        if head.scheme and not rules.to_origin:
            target = b"%b://%b%b" % (head.scheme, rules.host or authority, target)
        if _lacks_length(head):
            tail = tail[:-2] + b"Content-Length: 0\r\n\r\n"
        return b"%b %b%b" % (head.method, target, tail)

    def _write_tail(self, said: RequestFields, authority: bytes, rules: Rules) -> bytes:
        dropped = rules.not_to_provider
        if not said.options <= _USUAL_OPTIONS:
            dropped |= said.options
        if not said.minor:
            dropped |= {b"expect"}
        if not said.chunked:
            dropped |= {b"trailer"}
        lines = [b" HTTP/1.1", b"Host: " + (rules.host or authority), *_kept(said, dropped)]
        chain = b", ".join(filter(None, (said.forwarded_for, self._user)))
        for key, line, value in (
            (b"x-forwarded-for", b"X-Forwarded-For: ", chain),
            (b"x-forwarded-host", b"X-Forwarded-Host: ", authority),
            (b"x-forwarded-proto", b"X-Forwarded-Proto: ", self._scheme),
        ):
            if value and rules.tells_user and key not in rules.request.keys:
                lines.append(line + value)
        lines += rules.request.lines
        if said.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif said.length is not None:
            lines.append(b"Content-Length: %d" % said.length)
        if said.upgrade is not None or said.takes_trailers:
            lines += _connection_of(said)
        lines += (b"", b"")
        return b"\r\n".join(lines)


class ResponseRewriter:
    """Writes the heads of responses for one user; it remembers the last one that it wrote.

    ``date`` tells the present date as the field ``Date`` has it, for responses without.  Source: RFC 9110
    section 6.6.1.
    """

    def __init__(self, date: Callable[[], bytes]) -> None:
        self._date = date
        self._last: tuple[ResponseHead, Rules, bytes, bytes] | None = None

    def write(self, head: ResponseHead, rules: Rules, framing: bytes, connection: bytes) -> bytes:
        """The head of a final response as the user gets it.

        ``framing`` and ``connection`` are lines, or empty: where the body ends, and what becomes of the
        connection.
        """
        ends = framing + connection
        last = self._last
        if last is not None and last[0] is head and last[1] is rules and last[2] == ends:
            return last[3]
        dropped = rules.not_to_user
        if not head.options <= _USUAL_OPTIONS:
            dropped |= head.options
        if not framing.startswith(b"Transfer-Encoding"):
            dropped |= {b"trailer"}
        lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *_kept(head, dropped), *rules.response.lines]
        has_date = head.has_date or b"date" in rules.response.keys
        if not has_date:
            lines.append(b"Date: " + self._date())
        written = b"%b\r\n%b\r\n" % (b"\r\n".join(lines), ends)
        if has_date and len(written) <= MOST_REMEMBERED_BYTES:
            self._last = (head, rules, ends, written)
        return written

    def write_interim(self, head: ResponseHead, rules: Rules = NO_CHANGES, connection: bytes = b"") -> bytes:
        """The head of a response behind which there is another one, or a tunnel: nobody wants its date."""
        kept = _kept(head, rules.not_to_user | head.options)
        lines = (b"HTTP/1.1 %d %b" % (head.status, head.reason), *kept, *rules.response.lines, connection)
        return b"\r\n".join((*lines, b""))


def _kept(head: RequestFields | ResponseHead, dropped: frozenset[bytes]) -> Lines:
    keys = head.keys
    if dropped.isdisjoint(keys):
        return head.lines
    return [line for key, line in zip(keys, head.lines, strict=True) if key not in dropped]


def _lacks_length(head: RequestHead) -> bool:
    """Whether a body is expected of the method, and none was announced.  Source: RFC 9110 section 8.6."""
    return head.method in (b"POST", b"PUT", b"PATCH") and head.said.length is None and not head.said.chunked


def _connection_of(said: RequestFields) -> Iterable[bytes]:
    """What the next connection is told: the handshake of an upgrade, and that trailers are taken.

    Source: RFC 9110 sections 7.8 and 10.1.4.
    """
    options = []
    if said.upgrade is not None:
        options.append(b"Upgrade")
        yield b"Upgrade: " + said.upgrade
    if said.takes_trailers:
        options.append(b"TE")
        yield b"TE: trailers"
    yield b"Connection: " + b", ".join(options)
