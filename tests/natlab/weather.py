"""Delay and loss: a device in the Internet's namespace that everything is routed through.

The kernels that the tests run on need not have ``netem``: datagrams come out of a TUN device, are held
or dropped, and go back into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFDSet, IReactorTime
    from twisted.python.failure import Failure

    class WeatherReactor(IReactorFDSet, IReactorTime):
        """A reactor that reads descriptors and waits."""


__all__ = ["Weather"]

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_BATCH = 64


@implementer(IReadDescriptor)
class Weather:
    """Made in the namespace whose traffic it shall delay."""

    NAME = "weather0"

    def __init__(self, reactor: WeatherReactor, delay_s: float, loss: float, seed: int) -> None:
        self._reactor = reactor
        self._delay_s = delay_s
        self._loss = loss
        self._chance = random.Random(seed)
        self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH14x", self.NAME.encode(), _IFF_TUN_NO_PI))
        reactor.addReader(self)

    def stop(self) -> None:
        """Closes the device; what is held is lost."""
        if self._device >= 0:
            self._reactor.removeReader(self)
            os.close(self._device)
            self._device = -1

    def fileno(self) -> int:
        return self._device

    def doRead(self) -> None:
        for _ in range(_BATCH):
            try:
                packet = os.read(self._device, 65535)
            except OSError:
                return
            if self._chance.random() >= self._loss:
                self._reactor.callLater(self._delay_s, self._release, packet)

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def logPrefix(self) -> str:
        return "weather"

    def _release(self, packet: bytes) -> None:
        if self._device >= 0:
            with contextlib.suppress(OSError):
                os.write(self._device, packet)
