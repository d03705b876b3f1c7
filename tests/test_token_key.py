"""Tests of tokens as keys: made in another thread, once, and kept."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from relaykit.sansio.control.channel_binding import derive_token_key
from relaykit.token_key import KEYS_KEPT, TokenKey, in_thread_of
from relaykit.values import Secret


class TokenKeyTests(SynchronousTestCase):
    """When a key is made."""

    def setUp(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers: list[Deferred[bytes]] = []
        self.token = TokenKey(Secret("token"), self.in_thread)

    def in_thread(self, function: Any, *arguments: Any) -> Deferred[bytes]:
        """A thread that answers when the test says so."""
        self.assertIs(function, derive_token_key)
        self.asked.append(arguments)
        self.answers.append(Deferred())
        return self.answers[-1]

    def test_made_once(self) -> None:
        """However many ask, a key is made once, and then it is there."""
        first, second = self.token.key(b"salt"), self.token.key(b"salt")
        self.assertEqual(self.asked, [(b"token", b"salt")])
        self.answers[0].callback(b"key")
        for answer in (first, second, self.token.key(b"salt")):
            self.assertEqual(self.successResultOf(answer), b"key")
        self.assertEqual(len(self.asked), 1)

    def test_failed(self) -> None:
        """A failure is told to all who wait, and the next one makes it try again."""
        answers = [self.token.key(b"salt"), self.token.key(b"salt")]
        self.answers[0].errback(MemoryError())
        for each in answers:
            self.failureResultOf(each, MemoryError)
        self.assertNoResult(self.token.key(b"salt"))
        self.assertEqual(len(self.asked), 2)

    def test_kept(self) -> None:
        """So many keys are kept, and those that were used last."""
        for number in range(KEYS_KEPT + 1):
            self.token.key(bytes([number]))
            self.answers[-1].callback(b"key")
            self.token.key(b"\0")
        self.assertEqual(len(self.asked), KEYS_KEPT + 1)
        self.token.key(b"\1")
        self.assertEqual(len(self.asked), KEYS_KEPT + 2)


class ThreadTests(SynchronousTestCase):
    """Where a key is made."""

    def test_another_thread(self) -> None:
        """The function runs in a thread of the reactor's pool, and its value comes back."""

        class Reactor:
            """As much of one as threads need."""

            def __init__(self) -> None:
                self.pool = ThreadPool(1, 1)
                self.calls: list[tuple[Any, ...]] = []
                self.called = threading.Event()

            def getThreadPool(self) -> ThreadPool:
                return self.pool

            def callFromThread(self, *call: Any) -> None:
                self.calls.append(call)
                self.called.set()

        reactor = Reactor()
        reactor.pool.start()
        self.addCleanup(reactor.pool.stop)
        seen: list[threading.Thread] = []

        def work(data: bytes) -> bytes:
            seen.append(threading.current_thread())
            return data * 2

        answer = in_thread_of(reactor)(work, b"ab")
        self.assertTrue(reactor.called.wait(30))
        self.assertNoResult(answer)
        (function, *arguments) = reactor.calls[0]
        function(*arguments)
        self.assertEqual(self.successResultOf(answer), b"abab")
        self.assertIsNot(seen[0], threading.current_thread())
