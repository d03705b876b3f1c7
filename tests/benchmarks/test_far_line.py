"""Tests for :mod:`benchmarks.far_line`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.far_line import FAR, NEAR, FarLine
from benchmarks.subjects import FAR_LOSS, Stage, available_subjects


class _IdleReactor(Clock):
    """A clock that reads no descriptors by itself."""

    def addReader(self, reader: object) -> None:
        pass

    def removeReader(self, reader: object) -> None:
        pass


class _SocketLine(FarLine):
    """A line whose device is an end of a pair of sockets."""

    other_end: socket.socket

    def _open(self) -> int:
        self.other_end, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        device.setblocking(False)
        self.other_end.setblocking(False)
        return os.dup(device.fileno())


def _packet(source: str, destination: str, rest: bytes) -> bytes:
    return bytes(12) + socket.inet_aton(source) + socket.inet_aton(destination) + rest


class FarLineTests(SynchronousTestCase):
    """Tests for what comes out of the line."""

    def _line(self, clock: _IdleReactor, loss: float) -> _SocketLine:
        reactor: Any = clock
        line = _SocketLine(reactor, 0.01, loss)
        self.addCleanup(line.other_end.close)
        self.addCleanup(line.stop)
        return line

    def test_turned(self) -> None:
        """A packet comes back late, from the far address to the near one, otherwise as it was."""
        clock = _IdleReactor()
        line = self._line(clock, 0.0)
        line.other_end.send(_packet(NEAR, FAR, b"data"))
        line.doRead()
        clock.advance(0.009)
        self.assertRaises(BlockingIOError, line.other_end.recv, 100)
        clock.advance(0.002)
        self.assertEqual(line.other_end.recv(100), _packet(FAR, NEAR, b"data"))

    def test_lost(self) -> None:
        """Some never do."""
        clock = _IdleReactor()
        line = self._line(clock, 1.0)
        line.other_end.send(_packet(NEAR, FAR, b"data"))
        line.doRead()
        clock.advance(1)
        self.assertRaises(BlockingIOError, line.other_end.recv, 100)


class SubjectTests(SynchronousTestCase):
    """Tests for who is far away."""

    def test_carriers(self) -> None:
        """Each carrier is compared on the loopback and over every far line, a mere service on none."""
        subjects = {each.name: each for each in available_subjects()}
        for carrier in ("default", "websocket", "wss", "quic", "kcp"):
            stages = subjects[f"relaykit-{carrier}"].stages
            self.assertLessEqual({Stage.STREAMS, *FAR_LOSS}, stages)
        self.assertEqual(subjects["direct"].stages & FAR_LOSS.keys(), set())
