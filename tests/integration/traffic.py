"""Local services and users: bytes that prove by their position that none was lost, doubled or swapped."""

from __future__ import annotations

import contextlib
import functools
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.integration.programs import PATIENCE_S

__all__ = [
    "FROM_SERVICE",
    "FROM_USER",
    "LOOPBACK",
    "Pattern",
    "Service",
    "converse",
    "dial",
    "echo",
    "end_of",
    "exchange",
    "obey",
    "order",
    "order_download",
    "order_echoes",
    "order_exchange",
    "order_upload",
    "receive",
    "receive_exactly",
    "reset",
    "send",
    "take_head",
]

LOOPBACK = "127.0.0.1"

PERIOD = 1_048_573
"""Bytes after which a pattern repeats: a prime, so that no frame, window or buffer has a size in common."""

PIECE_BYTES = 64 * 1024
"""Bytes handed to the kernel, or taken from it, at once."""

ETHERNET_SEGMENT_BYTES = 1460

_RUN_BYTES = 20_000
"""The longest run of one byte in a pattern, and the longest piece without any."""

_RESET = struct.pack("ii", 1, 0)


class Pattern:
    """An endless stream of bytes, another one for each seed: half of it noise, half of it compressible."""

    def __init__(self, seed: int) -> None:
        self._twice = _block(seed) * 2

    def at(self, position: int, count: int) -> bytes:
        """The bytes of a place; at most :data:`PERIOD`."""
        begin = position % PERIOD
        return self._twice[begin : begin + count]


@functools.lru_cache(maxsize=16)
def _block(seed: int) -> bytes:
    chance = random.Random(seed)
    block = bytearray()
    while len(block) < PERIOD:
        length = chance.randrange(1, _RUN_BYTES)
        block += chance.randbytes(length)
        block += chance.randbytes(1) * chance.randrange(1, _RUN_BYTES)
    return bytes(block[:PERIOD])


# --- one connection --------------------------------------------------------------------------------


def dial(port: int, host: str = LOOPBACK, buffers: int = 0, source: str = "") -> socket.socket:
    """A user's connection, from the address ``source``.

    With ``buffers`` the kernel holds about so many bytes of it, each way.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    user = socket.socket(family)
    if buffers:
        user.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        user.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        # The other end lays in room for many segments: of Ethernet's size, not of the loopback's 64 KiB.
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT_BYTES)
    user.settimeout(PATIENCE_S)
    if source:
        user.bind((source, 0))
    user.connect((host, port))
    user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return user


def send(connection: socket.socket, pattern: Pattern, count: int) -> None:
    """Sends so many bytes of a pattern, from its beginning."""
    for position in range(0, count, PIECE_BYTES):
        connection.sendall(pattern.at(position, min(PIECE_BYTES, count - position)))


def receive(
    connection: socket.socket, pattern: Pattern, count: int, piece: int = PIECE_BYTES, begin: int = 0
) -> None:
    """Receives what is left of so many bytes and compares each with the pattern, by its position.

    ``begin`` of them have been received before.
    """
    position = begin
    while position < count:
        data = connection.recv(min(piece, count - position))
        if not data:
            raise AssertionError(f"the stream ended after {position} of {count} bytes")
        if data != pattern.at(position, len(data)):
            raise AssertionError(f"the {len(data)} bytes from {position} on are not those that were sent")
        position += len(data)


def exchange(connection: socket.socket, outgoing: Pattern, incoming: Pattern, count: int) -> None:
    """Sends and receives so many bytes, both at the same time."""
    with ThreadPoolExecutor(1) as other:
        sending = other.submit(send, connection, outgoing, count)
        try:
            receive(connection, incoming, count)
        except BaseException:
            # Else the other direction would keep this one from being told.
            connection.shutdown(socket.SHUT_RDWR)
            raise
        sending.result()


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer if the stream ends before."""
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def take_head(connection: socket.socket) -> bytes:
    """The head of a request of HTTP, or what came of it until the stream ended."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n") and (piece := connection.recv(1)):
        head += piece
    return bytes(head)


def end_of(connection: socket.socket) -> bytes:
    """What comes until the peer ends the connection, in order or by a reset."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(PIECE_BYTES):
            data += piece
    return bytes(data)


def reset(connection: socket.socket) -> None:
    """Drops a connection as a crashed peer does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


# --- conversations: what users do, and the service that answers them ------------------------------------

FROM_USER, FROM_SERVICE = Pattern(1), Pattern(2)
"""What each of the two sends."""

_ORDER_BYTES = 32
"""Bytes of the order that a user begins with, filled up with spaces."""


def obey(connection: socket.socket) -> None:
    """A service that does what its user orders in the first bytes."""
    order, _, number = receive_exactly(connection, _ORDER_BYTES).decode().partition(" ")
    count = int(number)
    if order == "exchange":
        exchange(connection, FROM_SERVICE, FROM_USER, count)
        _expect_end(connection)
    elif order == "upload":
        receive(connection, FROM_USER, count)
        _expect_end(connection)
    elif order == "download":
        send(connection, FROM_SERVICE, count)
    elif order == "echo":
        echo(connection)
    else:
        raise AssertionError(f"the order {order!r}")


def order_exchange(port: int, count: int, source: str = "", before: bytes = b"") -> None:
    """A user who sends and receives so many bytes at the same time, from ``source``.

    What is sent ``before`` is not for the service.
    """
    with dial(port, source=source) as user:
        user.sendall(before + _in_words("exchange", count))
        exchange(user, FROM_USER, FROM_SERVICE, count)


def order_download(port: int, count: int, piece: int = PIECE_BYTES, buffers: int = 0) -> None:
    """A user to whom so many bytes are sent; the service closes as soon as it has sent them."""
    with order(port, "download", count, buffers) as user:
        receive(user, FROM_SERVICE, count, piece)
        _expect_end(user)


def order_upload(port: int, count: int) -> None:
    """A user who sends so many bytes and closes at once.

    Whether they arrived, the service knows: :meth:`Service.wait_served`.
    """
    with order(port, "upload", count) as user:
        send(user, FROM_USER, count)


def order(port: int, what: str, count: int = 0, buffers: int = 0) -> socket.socket:
    """A user who has ordered something of :func:`obey`; ``buffers`` as :func:`dial` has it."""
    user = dial(port, buffers=buffers)
    user.sendall(_in_words(what, count))
    return user


def _in_words(order: str, count: int) -> bytes:
    return f"{order} {count}".ljust(_ORDER_BYTES).encode()


def _expect_end(connection: socket.socket) -> None:
    rest = connection.recv(PIECE_BYTES)
    if rest:
        raise AssertionError(f"{len(rest)} bytes too many: {rest[:40]!r}")


def echo(connection: socket.socket) -> None:
    """A service that sends everything back."""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(PIECE_BYTES):
            connection.sendall(data)


def order_echoes(port: int, users: int) -> None:
    """So many users at once, whom the service is to answer with what they say."""
    converse(port, users, before=_in_words("echo", 0))


def converse(port: int, users: int = 1, host: str = LOOPBACK, before: bytes = b"") -> None:
    """So many users of an echo at once: all are connected and have spoken before the first is heard.

    What they say ``before`` is not echoed.
    """
    with contextlib.ExitStack() as connections:
        dialed = [connections.enter_context(dial(port, host)) for _ in range(users)]
        words = [f"user {number:06} of port {port}\n".encode() * 40 for number in range(users)]
        for user, said in zip(dialed, words, strict=True):
            user.sendall(before + said)
        for user, said in zip(dialed, words, strict=True):
            heard = receive_exactly(user, len(said))
            if heard != said:
                raise AssertionError(f"{said[:24]!r} was answered with {heard[:100]!r}")


# --- services ----------------------------------------------------------------------------------------


class Service:
    """A local service: listens, and serves each connection in a thread of its own.

    What goes wrong in one of them is raised by :meth:`wait_served` and :meth:`stop`.
    """

    def __init__(
        self, serve: Callable[[socket.socket], None], host: str = LOOPBACK, path: str = "", port: int = 0
    ) -> None:
        family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
        self._serve = serve
        self._socket = socket.socket(family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(path or (host, port))
        self._socket.listen(2048)
        self.port: int = 0 if path else self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._served = 0
        self._failures: list[Exception] = []
        self._changed = threading.Condition()
        self._stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_served(self, count: int) -> None:
        """Waits until so many connections have been served, from first to last."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._failures or self._served >= count, PATIENCE_S):
                raise AssertionError(f"{self._served} of {count} connections were served")
            self._check()

    def cut(self) -> None:
        """Ends all its connections, and takes new ones."""
        with self._changed:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Takes no new connections any more; those that there are go on."""
        # Closing alone would not wake the thread.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def stop(self) -> None:
        """Ends it and all its connections."""
        with self._changed:
            self._stopping = True
            # Closing alone would not wake the threads.
            for each in (self._socket, *self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._changed.wait_for(lambda: not self._open, PATIENCE_S)
            self._check()

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except ConnectionAbortedError:  # its user has gone already
                continue
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            with self._changed:
                self._open.add(connection)
            threading.Thread(target=self._attend, args=[connection], daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        failure = None
        try:
            with connection:
                self._serve(connection)
        except Exception as error:
            failure = error
        with self._changed:
            self._open.discard(connection)
            self._served += 1
            if failure is not None and not self._stopping:
                self._failures.append(failure)
            self._changed.notify_all()
