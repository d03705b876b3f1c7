"""Delay and loss: a device in the Internet's namespace that everything is routed through.

The kernels that the tests run on need not have ``netem``: datagrams come out of a TUN device, are held
or dropped, and go back into it.  ``python -m tests.natlab.weather DELAY LOSS JITTER`` is that as a program,
for tests that have no reactor.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
    from twisted.python.failure import Failure

    class WeatherReactor(IReactorFDSet, IReactorTime):
        """A reactor that reads descriptors and waits."""


__all__ = ["READY", "Weather", "main"]

READY = "the weather is made"
"""What the program says once there is a device to be routed through."""

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_BATCH = 64
_HELD_MAX = 20_000
"""Datagrams that are held at once; further ones are lost."""


@implementer(IReadDescriptor)
class Weather:
    """Made in the namespace whose traffic it shall delay: by ``delay_s``, and up to ``jitter_s`` more.

    Nothing overtakes what came before it.
    """

    NAME = "weather0"

    def __init__(
        self, reactor: WeatherReactor, delay_s: float, loss: float, jitter_s: float = 0.0, seed: int = 1
    ) -> None:
        self._reactor = reactor
        self._delay_s = delay_s
        self._loss = loss
        self._jitter_s = jitter_s
        self._chance = random.Random(seed)
        self._held: deque[tuple[float, bytes]] = deque()
        """With when they are due."""
        self._last_due = 0.0
        self._release_call: IDelayedCall | None = None
        self._device = self._open()
        reactor.addReader(self)

    def stop(self) -> None:
        """Closes the device; what is held is lost."""
        if self._device >= 0:
            self._reactor.removeReader(self)
            os.close(self._device)
            self._device = -1
        if self._release_call is not None:
            self._release_call.cancel()
            self._release_call = None

    def fileno(self) -> int:
        return self._device

    def doRead(self) -> None:
        for _ in range(_BATCH):
            try:
                packet = os.read(self._device, 65535)
            except OSError:
                return
            if self._chance.random() >= self._loss and len(self._held) < _HELD_MAX:
                late_s = self._delay_s + self._jitter_s * self._chance.random()
                self._last_due = max(self._last_due, self._reactor.seconds() + late_s)
                self._held.append((self._last_due, self._turned(packet)))
                self._arm()

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def logPrefix(self) -> str:
        return "weather"

    def _open(self) -> int:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH14x", self.NAME.encode(), _IFF_TUN_NO_PI))
        return device

    def _turned(self, packet: bytes) -> bytes:
        """What comes out of the device for what went into it."""
        return packet

    def _arm(self) -> None:
        if self._release_call is None and self._held:
            left_s = max(0.0, self._held[0][0] - self._reactor.seconds())
            self._release_call = self._reactor.callLater(left_s, self._release)

    def _release(self) -> None:
        self._release_call = None
        now = self._reactor.seconds()
        while self._held and self._held[0][0] <= now:
            with contextlib.suppress(OSError):
                os.write(self._device, self._held.popleft()[1])
        self._arm()


def main(delay_s: float, loss: float, jitter_s: float) -> None:
    """Makes such weather in the namespace that it is started in, until it is ended."""
    running: Any = reactor
    Weather(running, delay_s, loss, jitter_s)
    print(READY, flush=True)
    running.run()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:4]))
