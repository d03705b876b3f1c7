"""A lack of descriptors: told when it begins and when it is over, and not for each connection."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = ["EXHAUSTED", "RECOVERED_AFTER_S", "Exhaustion"]

RECOVERED_AFTER_S = 10.0
"""How long all must go well until a lack of descriptors counts as over: it is told of once."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of the system that mean that there are too many connections, and no fault of any of them."""


class Exhaustion:
    """Whether this process has run out of descriptors; all that makes sockets shares one."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._short = False
        self._met_at = -math.inf

    def met(self, what: str, reason: str) -> None:
        """A connection could not be ``accepted on :7000`` or ``made``."""
        self._met_at = self._clock.seconds()
        if not self._short:
            self._short = True
            self.log.error(
                "no more connections can be {what}: {reason}; raise the limit of open files "
                "(LimitNOFILE=, ulimit -n) or lower the number of users",
                what=what,
                reason=reason,
                problem="too-many-files",
            )

    def met_since(self, time: float) -> bool:
        """Whether a connection could not be accepted or made since then."""
        return self._met_at >= time

    def passed(self) -> None:
        """There was a descriptor."""
        if self._short and self._clock.seconds() - self._met_at >= RECOVERED_AFTER_S:
            self._short = False
            self.log.info("there are enough open files again")
