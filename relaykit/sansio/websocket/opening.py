"""How a WebSocket connection is opened, at both ends: a request of HTTP/1.1, and its answer.

Both are read strictly, for a proxy of HTTP may be between the ends, and what two programs might read in two
ways is refused; and both are written in the very form that frp's programs send and take.

Source: RFC 6455 section 4, RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from attrs import field, frozen

from relaykit.errors import RemoteProtocolError
from relaykit.escaping import told
from relaykit.sansio.http.answers import Answer, refusal
from relaykit.sansio.http.grammar import (
    fault_of_line,
    is_token,
    is_value,
    keys_of,
    listed,
    split_lines,
    valid_lines,
    values_of,
)

__all__ = [
    "FRP_PATH",
    "KEY_LENGTH",
    "Opened",
    "UpgradeOffer",
    "UpgradeRecognizer",
    "UpgradeRefused",
    "UpgradeRequest",
    "UpgradeRequestParser",
    "header_problem",
    "path_problem",
]

FRP_PATH: Final = "/~!frp"
"""Where frp's programs ask for a connection, and by which its server knows them."""

MOST_HEAD_BYTES: Final = 16 * 1024
"""Most bytes of a request or of an answer: clients send 250; proxies add fields, and sign-on long cookies."""

MOST_REASON_BYTES: Final = 512
"""Most bytes of a text that says why an upgrade is refused, to be read by people."""

KEY_LENGTH: Final = 16
"""Random bytes of a client's key."""

_END = b"\r\n\r\n"
_BLANK = b" \t"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_REQUEST_LINE = re.compile(rb"GET (?P<path>/[\x21\x22\x24-\x3e\x40-\x7e]*)(?:\?[\x21-\x7e]*)? HTTP/1\.1\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (?P<status>[1-5][0-9]{2})(?: (?P<reason>[\t\x20-\x7e]*))?\r\n")
_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_PATH = re.compile(r"/[\x21\x22\x24-\x3e\x40-\x7e]*")

_BINDING = b"relaykit-tls"
"""The field by which both ends find out whether they are in one session of TLS, or a proxy is between."""

_READ = frozenset(
    {b"host", b"upgrade", b"connection", b"content-length", b"transfer-encoding", b"content-type", _BINDING}
    | {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-accept"}
    | {b"sec-websocket-extensions", b"sec-websocket-protocol"}
)
_OURS = frozenset({b"host", b"upgrade", b"connection", b"content-length", b"transfer-encoding", _BINDING})

_NOT_UPGRADED = "look whether a proxy in between leaves out Upgrade and Connection"
_UNREACHED = "the proxy in front does not reach the relay server"
_ADVICE: Mapping[int, str] = {
    400: _NOT_UPGRADED,
    401: "a proxy in between wants a password: transport.websocket.headers",
    403: "a proxy in between does not let this client in: transport.websocket.headers",
    404: "there is no relay at this path: transport.websocket.path and host, at both ends and at proxies",
    426: _NOT_UPGRADED,
    502: _UNREACHED,
    503: _UNREACHED,
    504: _UNREACHED,
}
"""What may be behind an answer."""


class UpgradeRefused(RemoteProtocolError):
    """A request that is not taken; ``answer`` tells the client why."""

    def __init__(self, status: int, reason: str, lines: bytes = b"") -> None:
        refused = refusal(status, reason)
        super().__init__(f"WebSocket: {reason}", problem="websocket-refused")
        self.answer = Answer(refused.status, refused.body, refused.content_type, lines)


@frozen
class UpgradeRequest:
    """A request that can be taken.

    :ivar binding: what the client shows of its session of TLS; empty for nothing.
    """

    key: bytes = field(repr=False)
    binding: bytes = field(default=b"", repr=False)

    def accepted(self, *, bound: bool = False) -> bytes:
        """The answer to it; ``bound`` says that both ends are in the session that the client has shown."""
        return b"".join(
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                b"Sec-WebSocket-Accept: %b\r\n" % _accept(self.key),
                b"Relaykit-TLS: %b\r\n" % base64.b64encode(self.binding) if bound else b"",
                b"\r\n",
            )
        )


class UpgradeRecognizer:
    """Recognizes who asks for a WebSocket connection, at any path: looks at the whole head of a GET."""

    limit = MOST_HEAD_BYTES

    def recognizes(self, data: bytes) -> bool | None:
        """Whether it does; None while it may."""
        if not data.startswith(b"GET /"):
            return None if b"GET /".startswith(data) else False
        end = data.find(_END)
        if end < 0:
            return None
        return _UPGRADE.search(data, 0, end + len(b"\r\n")) is not None


@frozen
class UpgradeRequestParser:
    """Reads the request of a client; frames begin right behind it.

    :ivar path: where a connection may be asked for; a query behind it does not matter.
    """

    path: str = FRP_PATH
    limit: int = field(default=MOST_HEAD_BYTES, init=False)

    def feed(self, data: bytes) -> tuple[UpgradeRequest, int] | None:
        """Answers the request once it is complete.

        :raises UpgradeRefused: it cannot be taken.
        """
        end = data.find(_END, 0, self.limit)
        if end < 0:
            if len(data) >= self.limit:
                raise UpgradeRefused(431, f"the request has more than {self.limit} bytes")
            return None
        line = _REQUEST_LINE.match(data)
        if line is None:
            raise UpgradeRefused(400, "the request is no GET of HTTP/1.1")
        if line["path"].decode("ascii") != self.path:
            raise UpgradeRefused(404, "there is no relay at this path")
        found = _fields(data, line.end(), end + len(b"\r\n"))
        if b"transfer-encoding" in found or found.get(b"content-length", [b"0"]) != [b"0"]:
            raise UpgradeRefused(400, "the request has a body")
        if len(found.get(b"host", ())) != 1:
            raise UpgradeRefused(400, "the request needs one Host")
        if b"websocket" not in listed(found.get(b"upgrade", ())):
            raise UpgradeRefused(
                426, "this is for WebSocket", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            )
        if b"upgrade" not in listed(found.get(b"connection", ())):
            raise UpgradeRefused(400, "Connection does not say Upgrade")
        if found.get(b"sec-websocket-version") != [_VERSION]:
            raise UpgradeRefused(
                426, "only version 13 of WebSocket is spoken", b"Sec-WebSocket-Version: 13\r\n"
            )
        keys = found.get(b"sec-websocket-key", [b""])
        if len(keys) > 1 or len(_decoded(keys[0])) != KEY_LENGTH:
            raise UpgradeRefused(400, "Sec-WebSocket-Key is not 16 bytes in base64")
        return UpgradeRequest(keys[0], _binding(found)), end + len(_END)


@frozen
class Opened:
    """What the server's answer says.

    :ivar bound: whether the server is in the very session of TLS that was shown to it.
    """

    bound: bool


@frozen(kw_only=True)
class UpgradeOffer:
    """A client's request, and what reads its answer; frames begin right behind that.

    :ivar host: for the field Host; and for Origin, which frp's server wants to have.
    :ivar headers: further fields, for a proxy in between.
    :ivar binding: what shows which session of TLS this is; empty where there is none, or it need not be.
    """

    key: bytes = field(repr=False)
    host: str
    path: str = FRP_PATH
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    binding: bytes = field(default=b"", repr=False)
    limit: int = field(default=MOST_HEAD_BYTES, init=False)

    @classmethod
    def of(cls, entropy: bytes, **said: object) -> Self:
        """An offer with a key of :data:`KEY_LENGTH` random bytes."""
        return cls(key=base64.b64encode(entropy), **said)  # type: ignore[arg-type]  # the attributes above

    def request(self) -> bytes:
        """What is sent; fields in the order of frp's client."""
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self.key.decode('ascii')}",
            *([] if _names(self.headers, "origin") else [f"Origin: http://{self.host.lower()}"]),
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if self.binding:
            lines.append(f"Relaykit-TLS: {base64.b64encode(self.binding).decode('ascii')}")
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8")

    def feed(self, data: bytes) -> tuple[Opened, int] | None:
        """Answers what the server said once that is complete.

        :raises RemoteProtocolError: it refused, or is no server of WebSocket.
        """
        end = data.find(_END, 0, self.limit)
        line = _STATUS_LINE.match(data)
        if end < 0 or line is None:
            if line is None and (end >= 0 or b"\r\n" in data or not b"HTTP/1.".startswith(data[:7])):
                raise _no_websocket("it does not speak HTTP/1.1")
            if len(data) >= self.limit:
                raise _no_websocket(f"its answer has more than {self.limit} bytes")
            return None
        found = _fields(data, line.end(), end + len(b"\r\n"))
        if line["status"] != b"101":
            said = _said(found, data[end + len(_END) :])
            if said is None:
                return None
            raise _refused(line, said)
        if (
            found.get(b"sec-websocket-accept") != [_accept(self.key)]
            or b"websocket" not in listed(found.get(b"upgrade", ()))
            or b"upgrade" not in listed(found.get(b"connection", ()))
        ):
            raise _no_websocket("it does not answer what was asked: something in between changes answers")
        if b"sec-websocket-extensions" in found or b"sec-websocket-protocol" in found:
            raise _no_websocket("it would speak something that it was not asked for")
        return Opened(bool(self.binding) and _binding(found) == self.binding), end + len(_END)


def header_problem(name: str, value: str) -> str:
    """What is wrong with a field that is to be sent with a request; empty for nothing."""
    if not is_token(name.encode("utf-8", "replace")):
        return f'"{name}" is not the name of a header'
    if name.lower().encode() in _OURS or name.lower().startswith("sec-websocket-"):
        return f"{name} is written by this program itself"
    if not is_value(value.encode("utf-8", "replace")):
        return "must be one line of printable characters"
    return ""


def path_problem(path: str) -> str:
    """What is wrong with a path that is to be asked for; empty for nothing."""
    return "" if _PATH.fullmatch(path) else "must begin with a slash, without blanks, ? and #"


def _names(headers: Iterable[str], name: str) -> bool:
    return any(each.lower() == name for each in headers)


def _accept(key: bytes) -> bytes:
    """The proof that a request was understood.  Source: RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _fields(data: bytes, start: int, end: int) -> dict[bytes, list[bytes]]:
    """The fields of a head that are of use.

    :raises UpgradeRefused: something is no field.
    """
    valid = valid_lines(data, start)
    if valid < end:
        raise UpgradeRefused(400, fault_of_line(data[valid : data.index(b"\n", valid) + 1]))
    lines = split_lines(data, start, end)
    return values_of(keys_of(lines), lines, _READ)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _binding(found: Mapping[bytes, Sequence[bytes]]) -> bytes:
    """What the other end shows of its session of TLS; empty for nothing that makes sense."""
    values = found.get(_BINDING, ())
    return _decoded(values[0]) if len(values) == 1 else b""


def _said(found: Mapping[bytes, Sequence[bytes]], body: bytes) -> bytes | None:
    """The text of an answer, as far as it is one for people, and short; None while it is not complete."""
    length = b"".join(found.get(b"content-length", ()))
    is_text = b"".join(found.get(b"content-type", ())).lower().startswith(b"text/plain")
    if not is_text or not length.isdigit() or len(length) > 3 or int(length) > MOST_REASON_BYTES:
        return b""
    return body[: int(length)] if len(body) >= int(length) else None


def _refused(line: re.Match[bytes], said: bytes) -> RemoteProtocolError:
    status = int(line["status"])
    why = "".join(each for each in said.decode("utf-8", "replace") if each.isprintable())
    text = told(why or f"{status} {(line['reason'] or b'').decode('ascii')}".strip())
    advice = _ADVICE.get(status, "look what is in between, and whether it is the right port")
    return RemoteProtocolError(
        f"the server, or a proxy in front of it, refused WebSocket: {text}; {advice}",
        problem="websocket-refused",
    )


def _no_websocket(why: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"this is no server of WebSocket: {why}", problem="websocket-refused")
