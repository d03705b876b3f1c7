"""Local services and users that exchange datagrams, which may be lost: a user asks until it is answered."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable

from tests.integration.programs import PATIENCE_S
from tests.integration.traffic import LOOPBACK

__all__ = ["DatagramService", "DatagramUser", "ask_all", "echo_datagram"]

ASK_AGAIN_S = 0.5
"""Seconds that a user waits for an answer until it asks again, as whoever uses UDP must."""

MOST_BYTES = 65_535


def _socket(host: str, port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host, port))
    return made


def echo_datagram(datagram: bytes) -> bytes:
    """A service that sends everything back."""
    return datagram


class DatagramService:
    """A local service: answers each datagram with what ``serve`` makes of it."""

    def __init__(
        self, serve: Callable[[bytes], bytes] = echo_datagram, host: str = LOOPBACK, port: int = 0
    ) -> None:
        self._serve = serve
        self._socket = _socket(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.peers: set[tuple[object, ...]] = set()
        """Where datagrams came from."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; again, nothing."""
        if self._stopping:
            return
        self._stopping = True
        # Closing would not wake the thread.
        with _socket(self._socket.getsockname()[0]) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join(PATIENCE_S)
        self._socket.close()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                datagram, peer = self._socket.recvfrom(MOST_BYTES)
                if self._stopping:
                    return
                self.peers.add(peer)
                self._socket.sendto(self._serve(datagram), peer)


class DatagramUser:
    """Somebody who sends datagrams to a port, from one socket."""

    def __init__(self, port: int, host: str = LOOPBACK, source: str = "") -> None:
        self._socket = _socket(source or host)
        self._socket.connect((host, port))
        self.port: int = self._socket.getsockname()[1]
        self.heard: set[bytes] = set()
        """What came while it waited for answers."""

    def ask(self, datagram: bytes, answer: bytes | None = None) -> None:
        """Sends a datagram, again and again, until it is answered as expected: with itself, or ``answer``.

        Other datagrams may come before: answers to what it said twice, or to who had its port before.
        """
        expected = datagram if answer is None else answer
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError):
                self._socket.send(datagram)
            if self._heard(expected):
                return
        raise AssertionError(f"{datagram[:40]!r} ({len(datagram)} bytes) was not answered")

    def send(self, datagram: bytes) -> None:
        """Sends a datagram once, and does not wait for its answer."""
        with contextlib.suppress(ConnectionError):
            self._socket.send(datagram)

    def close(self) -> None:
        """Is gone."""
        self._socket.close()

    def _heard(self, expected: bytes) -> bool:
        deadline = time.monotonic() + ASK_AGAIN_S
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                heard = self._socket.recv(MOST_BYTES)
            except (TimeoutError, ConnectionError):
                continue
            self.heard.add(heard)
            if heard == expected:
                return True
        return False


def ask_all(port: int, users: int, size: int = 200, host: str = LOOPBACK) -> None:
    """So many users at once of an echo; each has its own words, and hears nobody else's."""
    with contextlib.ExitStack() as sockets:
        asking = []
        for number in range(users):
            user = DatagramUser(port, host)
            sockets.callback(user.close)
            asking.append((user, f"user {number:06} ".encode() + random.randbytes(size)))
        for user, words in asking:
            user.send(words)
        for user, words in asking:
            user.ask(words)
        said = {words for _, words in asking}
        for user, words in asking:
            if any(heard in said and heard != words for heard in user.heard):
                raise AssertionError(f"{words[:12].decode()} heard what was for another one")
