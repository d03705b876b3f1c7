"""Users by the thousands who keep their connections, and a service for them, without a thread each."""

from __future__ import annotations

import selectors
import socket
import threading

from tests.integration.traffic import LOOPBACK, dial, receive_exactly

__all__ = ["Crowd", "EchoForMany"]

_READ_BYTES = 65536

WAVE = 200
"""Users who come at once: a server lets only so many wait at a time."""


class EchoForMany:
    """A service that sends everything back, to any number of users in one thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._end, self._ended = socket.socketpair()
        self._selector.register(self._ended, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it and all its connections."""
        self._end.close()
        self._thread.join()
        for each in list(self._selector.get_map().values()):
            assert isinstance(each.fileobj, socket.socket)
            each.fileobj.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                there = key.fileobj
                assert isinstance(there, socket.socket)
                if there is self._ended:
                    return
                if there is self._listener:
                    self._selector.register(there.accept()[0], selectors.EVENT_READ)
                    continue
                try:
                    data = there.recv(_READ_BYTES)
                    there.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    self._selector.unregister(there)
                    there.close()


class Crowd:
    """Users of an echo who stay."""

    def __init__(self, port: int, users: int) -> None:
        self._users: list[socket.socket] = []
        self._spoken = 0
        for come in range(0, users, WAVE):
            wave = [dial(port) for _ in range(min(WAVE, users - come))]
            self._users += wave
            self._hear(list(enumerate(self._users))[come:])

    def speak(self, share: int = 1) -> None:
        """Has one in so many of them say something that is new, and hear it again.

        :raises AssertionError: somebody was cut off, or heard something else.
        """
        self._spoken += 1
        self._hear(list(enumerate(self._users))[self._spoken % share :: share])

    def leave(self) -> None:
        """Ends their connections."""
        for each in self._users:
            each.close()

    def _hear(self, speaking: list[tuple[int, socket.socket]]) -> None:
        """Has these speak, and hear what they said.

        :raises AssertionError: somebody was cut off, or heard something else.
        """
        for number, user in speaking:
            user.sendall(self._words(number))
        for number, user in speaking:
            words = self._words(number)
            heard = receive_exactly(user, len(words))
            if heard != words:
                raise AssertionError(f"{words!r} was answered with {heard!r}")

    def _words(self, number: int) -> bytes:
        return f"user {number:06} for the {self._spoken}. time\n".encode()
