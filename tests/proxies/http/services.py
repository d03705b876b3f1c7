"""The services of the recorded exchanges: what they answered, as far as what came of it tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define
from zope.interface import implementer

from relaykit.interfaces import ILegReceiver
from relaykit.testing.memory import MemoryLeg
from relaykit.testing.relay import MemoryRelay
from relaykit.values import Ended

__all__ = ["Service"]

DATE = b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
TYPE = b"Content-Type: text/plain\r\n"
SNIFFED = b"Content-Type: text/plain; charset=utf-8\r\n"
"""What frp adds; so the services say it themselves, but where a recording is about that."""


def ok(body: bytes = b"ok", fields: bytes = TYPE + DATE, status: bytes = b"200 OK") -> bytes:
    """An answer."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


def chunked(*chunks: bytes, fields: bytes = TYPE + DATE, trailers: bytes = b"") -> bytes:
    """One in chunks."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (
        fields,
        framed,
        trailers,
    )


CLOSE = None
"""The service ends the connection."""

GZIP = bytes.fromhex("1f8b0800000000000203cb48cdc9c95748afca2c0000196ad2df0a000000")

Steps = Sequence[bytes | float | None]
"""What a service sends, for how many seconds it waits, and that it ends the connection."""

_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n%b\r\n%b"

ANSWERS: Mapping[bytes, Steps] = {
    b"/103": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" + ok(b"after"),
    ),
    b"/103late": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1.0, ok(fields=SNIFFED)),
    b"/204": (b"HTTP/1.1 204 No Content\r\n%bX-A: 1\r\n\r\n" % DATE,),
    b"/2cl": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",),
    b"/304": (b'HTTP/1.1 304 Not Modified\r\n%bEtag: "x"\r\nContent-Length: 5\r\n\r\n' % DATE,),
    b"/404own": (ok(b"own", SNIFFED, b"404 Mine"),),
    b"/502own": (ok(b"own", SNIFFED, b"502 Mine"),),
    b"/bodyslow": (b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\n" % SNIFFED, 4.0, b"ok"),
    b"/chunked": (chunked(b"hello", b"abc"),),
    b"/chunked-trailer": (
        chunked(
            b"hello",
            fields=TYPE + DATE + b"Trailer: X-Sum\r\n",
            trailers=b"X-Sum: 99\r\nX-Unannounced: 1\r\n",
        ),
    ),
    b"/close-delim": (b"HTTP/1.1 200 OK\r\n%b%b\r\nuntil close" % (TYPE, DATE), CLOSE),
    b"/clte": (chunked(b"ok", fields=b"Content-Length: 2\r\n"),),
    b"/connclose": (ok(fields=TYPE + DATE + b"Connection: close\r\n"), CLOSE),
    b"/drop": (CLOSE,),
    b"/extra": (ok() + b"surplus",),
    b"/gzip": (ok(GZIP, TYPE + DATE + b'Content-Encoding: gzip\r\nEtag: "g"\r\nVary: x\r\n'),),
    b"/h10": (b"HTTP/1.0 200 OK\r\n%b%b\r\nold" % (TYPE, DATE), CLOSE),
    b"/half": (b"HTTP/1.1 200 OK\r\n%b%bContent-Length: 10\r\n\r\nhalf" % (TYPE, DATE), CLOSE),
    b"/halfbody": (
        b"HTTP/1.1 200 OK\r\n%bContent-Length: 10000\r\n\r\n" % SNIFFED + b"x" * 5000,
        CLOSE,
    ),
    b"/head": (b"HTTP/1.1 200 OK\r\n%b%bContent-Length: 1234\r\n\r\n" % (TYPE, DATE),),
    b"/headerslow": (b"HTTP/1.1 200 OK\r\n",),
    b"/hop": (
        ok(
            fields=TYPE + DATE + b"Connection: X-Drop, keep-alive\r\nX-Drop: 1\r\nKeep-Alive: 3\r\n"
            b"Proxy-Connection: x\r\nServer: prov\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.0 z\r\n"
            b"x-lower: v\r\nX-Resp: orig\r\nX-Resp: orig2\r\n",
            status=b"299 Odd",
        ),
    ),
    b"/lfonly": (ok(fields=SNIFFED).replace(b"\r\n", b"\n"),),
    b"/malformed": (b"NONSENSE\r\n\r\n", CLOSE),
    b"/nodate": (ok(b"<html>x</html>", b""),),
    b"/nodate-empty": (ok(b"", b""),),
    b"/redir": (ok(b"", DATE + b"Location: http://inner.example/x\r\n", b"302 Found"),),
    b"/slow": (),
    b"/sse": (
        chunked(
            b"data: 0\n", b"data: 1\n", b"data: 2\n", fields=DATE + b"Content-Type: text/event-stream\r\n"
        ),
    ),
    b"/ws": (_SWITCHED % (b"WebSocket", b"Keep-Alive: 3\r\nSec-WebSocket-Accept: abc\r\n", b"early"),),
    b"/ws-close": (_SWITCHED % (b"websocket", b"", b"bye"), CLOSE),
    b"/ws-mismatch": (_SWITCHED % (b"other", b"", b""),),
    b"/ws-refuse": (ok(b"no", SNIFFED, b"400 Bad Request"),),
    b"/xhalfchunk": (
        b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" % SNIFFED,
        CLOSE,
    ),
}
"""What services answer to targets, once they have the whole request."""

EARLY: Mapping[bytes, Steps] = {
    b"/early200": (ok(fields=SNIFFED),),
    b"/early413": (ok(b"", b"", b"413 Request Entity Too Large"), CLOSE),
    b"/expect417": (ok(b"", b"", b"417 Expectation Failed"),),
}
"""What they answer as soon as they have its head."""

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_LAST_CHUNK = re.compile(rb"(?s)(?:\A|.*?\r\n)0\r\n(?:[^\r]+\r\n)*\r\n")
_PORT_OF_SNIFFED = 26490
"""The service that says nothing of its own accord but what its body is."""


def _end_of_body(head: bytes, rest: bytes) -> int:
    """How much of what is behind the head of a request is its body; -1 if not all of it is there."""
    if b"\r\ntransfer-encoding:" in head.lower():
        found = _LAST_CHUNK.match(rest)
        return found.end() if found else -1
    length = _LENGTH.search(head)
    size = int(length[1]) if length else 0
    return size if len(rest) >= size else -1


@implementer(ILegReceiver)
@define(eq=False)
class Service:
    """One connection of a service; what it brings is noted."""

    _relay: MemoryRelay
    _leg: MemoryLeg
    port: int
    _letter: bytes
    """What it answers by itself."""
    _is_tunnel: bool = False
    got: bytes = b""
    _unread: bytes = b""
    _has_begun: bool = False
    """Whether the head of a request is there whose body is not."""

    def data_received(self, data: Any) -> None:
        self.got += bytes(data)
        self._unread += bytes(data)
        self._read()

    def end_received(self) -> None:
        self._leg.close()

    def leg_lost(self, reason: Ended) -> None:
        """It has nothing to clean up."""

    def _read(self) -> None:
        while self._unread:
            if self._is_tunnel:
                self._leg.write(b">" + self._unread)
                self._unread = b""
                return
            head, found, rest = self._unread.partition(b"\r\n\r\n")
            if not found:
                return
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if not self._has_begun:
                self._has_begun = True
                if target in EARLY:
                    self._send(*EARLY[target])
                elif b"\r\nexpect:" in head.lower() and target != b"/noexpect":
                    self._leg.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            end = _end_of_body(head, rest)
            if end < 0:
                return
            self._unread = rest[end:]
            self._has_begun = False
            if target not in EARLY:
                self._send(*self._answer_to(head, method, target))

    def _answer_to(self, head: bytes, method: bytes, target: bytes) -> Steps:
        if self.port == _PORT_OF_SNIFFED:
            if b"X-A: reject" in head:
                return (ok(b"", b"", b"403 No"), CLOSE)
            if method == b"CONNECT":
                self._is_tunnel = True
                return (b"HTTP/1.1 200 Established\r\nX-P: 1\r\n\r\n",)
            otherwise = ok(fields=SNIFFED)
        else:
            otherwise = ok(self._letter)
        if target.startswith(b"http://"):
            target = b"/" + target.split(b"/", 3)[3]
        steps = ANSWERS.get(target, (otherwise,))
        self._is_tunnel = bool(steps) and isinstance(steps[0], bytes) and b" 101 " in steps[0]
        return steps

    def _send(self, *steps: bytes | float | None) -> None:
        for at, step in enumerate(steps):
            if isinstance(step, bytes):
                self._leg.write(step)
            elif step is None:
                self._leg.close()
            else:
                self._relay.clock.callLater(step, self._send, *steps[at + 1 :])
                return
