"""Tests of punching TCP without a network: what happens when sockets cannot be had.

Two ends that meet are in the integration tests and in the laboratory.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.tcp_attempt import TcpAttempt, TcpPunchingFailedError
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.tcp_punching import TOTAL_S, TcpPunching
from relaykit.values import Address

TARGET = Address("198.51.100.3", 6000)


class _Socket:
    """A socket whose connecting does what a test wants."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.closed = False
        self.is_listening = False

    def setsockopt(self, *_: object) -> None:
        """Nothing to do."""

    def bind(self, name: object) -> None:
        """Binds, unless everything fails."""
        if self.code < 0:
            raise OSError(errno.EADDRINUSE, "in use")

    def listen(self, backlog: int) -> None:
        """Listens."""
        self.is_listening = True

    def connect_ex(self, name: object) -> int:
        """Answers as told."""
        return self.code

    def getsockopt(self, *_: object) -> int:
        """The error of the connecting."""
        return errno.ECONNREFUSED

    def fileno(self) -> int:
        """A number."""
        return 5

    def close(self) -> None:
        """Closes."""
        self.closed = True


class _Network:
    """Makes such sockets."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.sockets: list[_Socket] = []

    def open_tcp(self, six: bool = False) -> _Socket:
        """Makes one."""
        self.sockets.append(_Socket(self.code))
        return self.sockets[-1]


class _Reactor(Clock):
    """Time, and who is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: set[Any] = set()
        self.addReader = self.addWriter = self.watched.add
        self.removeReader = self.removeWriter = self.watched.discard


class TcpAttemptTests(SynchronousTestCase):
    """One end alone."""

    def begin(self, code: int) -> None:
        """Starts one whose connecting answers this."""
        self.reactor = _Reactor()
        self.network = _Network(code)
        core = TcpPunching(PeerRole.INITIATOR, [TARGET], bytes(32), bytes)
        reactor: Any = self.reactor
        network: Any = self.network
        info = NetworkInfo(network=network, stream_port=7000, seconds=self.reactor.seconds)
        attempt = TcpAttempt(reactor, info, core, PeerRole.INITIATOR)
        self.result = attempt.start()

    def finish(self) -> None:
        """Time is up, and nothing is left open."""
        self.reactor.pump([0.05] * int(TOTAL_S / 0.05 + 5))
        self.failureResultOf(self.result, TcpPunchingFailedError)
        self.assertTrue(all(each.closed for each in self.network.sockets))
        self.assertEqual((self.reactor.watched, self.reactor.getDelayedCalls()), (set(), []))

    def test_refused(self) -> None:
        """A peer that refuses at once is dialed over and over."""
        self.begin(errno.ECONNREFUSED)
        self.finish()
        self.assertGreater(len(self.network.sockets), TOTAL_S * 5)

    def test_defect(self) -> None:
        """A defect is logged, and ends the attempt at once."""
        self.patch(TcpPunching, "wake", lambda core, now: 1 // 0)
        self.begin(errno.ECONNREFUSED)
        self.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_refused_later(self) -> None:
        """So is one that refuses later, whichever way the reactor tells it."""
        for told in (lambda each: each.doWrite(), lambda each: each.connectionLost(Failure(OSError()))):
            self.begin(errno.EINPROGRESS)
            (dialing,) = [each for each in self.reactor.watched if hasattr(each, "doWrite")]
            told(dialing)
            self.reactor.advance(0.2)
            self.assertEqual(sum(not each.is_listening for each in self.network.sockets), 2)
            self.finish()

    def test_silence(self) -> None:
        """A peer that never answers is waited for until time is up."""
        self.begin(errno.EINPROGRESS)
        self.finish()
        self.assertEqual(len(self.network.sockets), 2)

    def test_no_sockets(self) -> None:
        """Without a port there is no path, and no exception."""
        self.begin(-1)
        self.finish()

    def test_cancel(self) -> None:
        """Cancelling closes everything."""
        self.begin(errno.EINPROGRESS)
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertTrue(all(each.closed for each in self.network.sockets))
        self.assertEqual((self.reactor.watched, self.reactor.getDelayedCalls()), (set(), []))
