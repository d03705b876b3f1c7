"""The token as a key for bound logins: made in another thread, because it takes long, and then kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from relaykit.sansio.control.channel_binding import derive_token_key
from relaykit.values import Secret

__all__ = ["KEYS_KEPT", "TokenKey", "in_thread_of"]

KEYS_KEPT = 8
"""Keys kept, one for each salt: a server has one salt, a client one for each server that it tries."""

InThread = Callable[..., "Deferred[bytes]"]


def in_thread_of(reactor: Any) -> InThread:
    """What runs a function in a thread of a reactor's pool."""

    def run(function: Callable[..., bytes], *arguments: Any) -> Deferred[bytes]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)

    return run


class TokenKey:
    """Makes the keys of one token.

    ``in_thread(function, *arguments)`` runs a function outside the reactor's thread and answers its
    value in it.
    """

    def __init__(self, token: Secret, in_thread: InThread) -> None:
        self._token = token
        self._in_thread = in_thread
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()
        self._waiting: dict[bytes, list[Deferred[bytes]]] = {}

    def key(self, salt: bytes) -> Deferred[bytes]:
        """The key for a salt; at once if it was made before.  Made once, however many ask meanwhile."""
        kept = self._keys.get(salt)
        if kept is not None:
            self._keys.move_to_end(salt)
            return succeed(kept)
        answer: Deferred[bytes] = Deferred()
        waiting = self._waiting.get(salt)
        if waiting is not None:
            waiting.append(answer)
            return answer
        self._waiting[salt] = [answer]
        self._in_thread(derive_token_key, self._token.to_bytes(), salt).addBoth(self._made, salt)
        return answer

    def _made(self, made: bytes | Failure, salt: bytes) -> None:
        if isinstance(made, bytes):
            self._keys[salt] = made
            if len(self._keys) > KEYS_KEPT:
                self._keys.popitem(last=False)
        for each in self._waiting.pop(salt):
            each.callback(made)
