"""Attacks a server in a process of its own: ``python -m benchmarks.attacks NAME PORT TOKEN SENT``.

All of an attack comes from one address that nobody honest has.  What goes to the wire is counted, a
connection with its packets, and is never more than :data:`BYTES_A_SECOND`.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from benchmarks.sink import Counter
from relaykit.sansio.wire.cipher import Encryptor, derive_key
from relaykit.sansio.wire.framing import MAGIC, encode_hello, encode_v1
from relaykit.sansio.wire.hello import RANDOM_LENGTH, Bootstrap, ClientHello
from relaykit.sansio.wire.messages import Login, NewProxy, Ping
from relaykit.sansio.yamux.frames import (
    DATA,
    HEADER_BYTES,
    RST,
    SYN,
    WINDOW_UPDATE,
    pack_header,
    unpack_header,
)

__all__ = ["ATTACKS", "BYTES_A_SECOND", "attack"]

BYTES_A_SECOND = 5_000_000
"""What an attacker has: 40 Mbit/s, the upstream of a good connection of a home."""

Steps = Iterator[int]
"""An attack, step by step: the bytes that each put on the wire, 0 where the server takes no more for now."""

_ATTACKER = "127.0.0.66"
_CONNECTION_BYTES = 160
"""What a connection costs beside what is sent: three packets with headers of IPv4 and TCP, and options."""

_NICENESS = 10
"""In life an attacker has processors of its own."""

_PIECE_BYTES = 1 << 15
_LINK_BYTES = 1 << 22
"""What is sent on one link, where the server lets it."""

_WINDOW_BYTES = 1 << 18
_MOST_HELD = 4000
_MOST_ANSWERED = 100
"""Connections that are kept until the server has had time to answer."""

_AT_ONCE = 100
"""Messages of a client that are made at once."""

_STUCK_S = 0.05
_MOST_STUCK = 20
"""How often a link takes nothing until it is given up for another one."""

_PAUSE_S = 0.005
_MOST_BEHIND_S = 0.05
"""An attacker that was kept waiting does not make up for more than that."""

_OPTIONS = {"sk": "a key of the attacker's"}
_WRONG_MESSAGE = b"\xff"
_UNFINISHED = encode_v1(Login(hostname="x" * 10_000))


def half_open(port: int, token: str) -> Steps:
    """Connections that begin a message and say no more."""
    return _on_connections(port, _UNFINISHED[:1], _MOST_HELD)


def reset_streams(port: int, token: str) -> Steps:
    """Streams of a link that are opened and reset at once."""
    return _on_links(port, lambda stream: _opened(stream) + _reset(stream))


def garbage_streams(port: int, token: str) -> Steps:
    """Streams that begin with what is no message."""
    return _on_links(port, lambda stream: _opened(stream) + _data(stream, _WRONG_MESSAGE) + _reset(stream))


def one_byte_frames(port: int, token: str) -> Steps:
    """Streams with a message that never ends, a byte a frame."""

    def dribbled(stream: int) -> bytes:
        content = b"".join(_data(stream, _UNFINISHED[at : at + 1]) for at in range(len(_UNFINISHED) - 1))
        return _opened(stream) + content + _reset(stream)

    return _on_links(port, dribbled)


def hellos(port: int, token: str) -> Steps:
    """Connections that greet, and have the server greet."""
    hello = ClientHello.offering(Bootstrap(transport="tcp", tcp_mux=True), bytes(RANDOM_LENGTH), {})
    return _on_connections(port, _opened(1) + _data(1, MAGIC + encode_hello(hello.to_frame())))


def tls_hellos(port: int, token: str) -> Steps:
    """Connections that begin a TLS handshake, and have the server sign."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    beginning = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        beginning.do_handshake()
    return _on_connections(port, outgoing.read())


def wrong_logins(port: int, token: str) -> Steps:
    """Logins that prove a token that is not the server's."""
    return _on_connections(port, _opened(1) + _data(1, _login(f"not {token}")))


def unread_pings(port: int, token: str) -> Steps:
    """A client that asks for signs of life, and reads none of them."""
    pings = encode_v1(Ping()) * _AT_ONCE
    return _as_client(port, token, (pings for _ in count()), reads=False)


def registrations(port: int, token: str) -> Steps:
    """A client that registers one proxy after the other."""

    def registered(first: int) -> bytes:
        return b"".join(
            encode_v1(NewProxy(proxy_name=f"flood-{number}", proxy_type="stcp", options=_OPTIONS))
            for number in range(first, first + _AT_ONCE)
        )

    return _as_client(port, token, map(registered, count(step=_AT_ONCE)), reads=True)


ATTACKS: Mapping[str, Callable[[int, str], Steps]] = {
    "half-open": half_open,
    "reset-streams": reset_streams,
    "garbage-streams": garbage_streams,
    "one-byte-frames": one_byte_frames,
    "hellos": hellos,
    "tls-hellos": tls_hellos,
    "wrong-logins": wrong_logins,
    "unread-pings": unread_pings,
    "registrations": registrations,
}
"""Each attack by its name: on the server's port, with its token where that is of use."""


def attack(steps: Steps, sent: Counter, bytes_a_second: int = BYTES_A_SECOND) -> None:
    """Takes the steps at the pace that is allowed, and counts."""
    begun, total = time.monotonic(), 0
    for step in steps:
        total += step
        sent.write(total)
        now = time.monotonic()
        early = begun + total / bytes_a_second - now
        if early < -_MOST_BEHIND_S:
            begun = now - total / bytes_a_second
        elif early > 0 or not step:
            time.sleep(max(early, _PAUSE_S))


def _on_connections(port: int, content: bytes, most_held: int = _MOST_ANSWERED) -> Steps:
    """The same on one connection after the other; each is dropped when so many others have come."""
    held: deque[socket.socket] = deque()
    while True:
        if len(held) >= most_held:
            held.popleft().close()
        try:
            held.append(_connect(port))
        except OSError:
            yield 0
            continue
        with suppress(OSError):
            held[-1].send(content)
        yield _CONNECTION_BYTES + len(content)


def _on_links(port: int, of_stream: Callable[[int], bytes]) -> Steps:
    """What an attack says on one stream after the other, on as many links as the server makes it take."""
    content, stream = bytearray(), 1
    while len(content) < _LINK_BYTES:
        content += of_stream(stream)
        stream += 2
    while True:
        yield _CONNECTION_BYTES
        with suppress(OSError), closing(_connect(port)) as link:
            yield from _sent(link, memoryview(content))


def _sent(link: socket.socket, content: memoryview) -> Steps:
    """Sends, and reads whatever comes.  Raises OSError if the server ended the link."""
    stuck = 0
    while content and stuck < _MOST_STUCK:
        _received(link)
        try:
            taken = link.send(content[:_PIECE_BYTES])
        except TimeoutError:
            taken, stuck = 0, stuck + 1
        content = content[taken:]
        yield taken


def _as_client(port: int, token: str, messages: Iterator[bytes], *, reads: bool) -> Steps:
    """Logs in, and sends messages for as long as the server lets it; again, if it does not."""
    while True:
        yield _CONNECTION_BYTES
        with suppress(OSError), closing(_connect(port)) as link:
            control = _Control(link, reads)
            yield from control.sent(_opened(1), _login(token))
            encryptor = Encryptor(derive_key(token.encode()), os.urandom(16))
            for content in messages:
                yield from control.sent(b"", b"".join(encryptor.process(content)))


class _Control:
    """The first stream of a link, within the window that the server gives it."""

    def __init__(self, link: socket.socket, reads: bool) -> None:
        self._link = link
        self._reads = reads
        self._window = _WINDOW_BYTES
        self._buffer = bytearray()
        self._skipped = 0

    def sent(self, frames: bytes, content: bytes) -> Steps:
        """Sends frames, and content on the stream.  Raises OSError if the server ended the link."""
        self._link.sendall(frames)
        while content:
            self._take(_received(self._link))
            piece, content = content[: self._window], content[self._window :]
            self._window -= len(piece)
            waiting = memoryview(_data(1, piece) if piece else b"")
            if not waiting:
                yield 0
            while waiting:
                taken = 0
                with suppress(TimeoutError):
                    taken = self._link.send(waiting)
                waiting = waiting[taken:]
                yield taken

    def _take(self, received: bytes) -> None:
        self._buffer += received
        given = 0
        while True:
            passed = min(self._skipped, len(self._buffer))
            del self._buffer[:passed]
            self._skipped -= passed
            if self._skipped or len(self._buffer) < HEADER_BYTES:
                break
            kind, stream, value = unpack_header(self._buffer, 0)
            del self._buffer[:HEADER_BYTES]
            if kind < WINDOW_UPDATE:
                self._skipped = value
                given += value
            elif kind < WINDOW_UPDATE * 2 and stream == 1:
                self._window += value
        if given and self._reads:
            self._link.sendall(pack_header(WINDOW_UPDATE, 1, given))


def _received(link: socket.socket) -> bytes:
    """What has come.  Raises OSError if the link has ended."""
    if not select.select([link], [], [], 0)[0]:
        return b""
    received = link.recv(1 << 16)
    if not received:
        raise ConnectionError("the server ended the link")
    return received


def _connect(port: int) -> socket.socket:
    made = socket.socket()
    try:
        # What is closed is gone, so that no port is used up.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.bind((_ATTACKER, 0))
        made.settimeout(_STUCK_S)
        made.connect(("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    return made


def _opened(stream: int) -> bytes:
    return pack_header(WINDOW_UPDATE | SYN, stream, 0)


def _data(stream: int, content: bytes) -> bytes:
    return pack_header(DATA, stream, len(content)) + content


def _reset(stream: int) -> bytes:
    return pack_header(WINDOW_UPDATE | RST, stream, 0)


def _login(token: str) -> bytes:
    now = int(time.time())
    proof = hashlib.md5(f"{token}{now}".encode(), usedforsecurity=False).hexdigest()
    return encode_v1(Login(version="0.70.1", privilege_key=proof, timestamp=now))


if __name__ == "__main__":
    os.nice(_NICENESS)
    attack(ATTACKS[sys.argv[1]](int(sys.argv[2]), sys.argv[3]), Counter(Path(sys.argv[4])))
