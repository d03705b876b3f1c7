"""Forwarding by copying: for all legs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from zope.interface import implementer

from relaykit.dataplane.flows import Flow
from relaykit.interfaces import IForwarder

if TYPE_CHECKING:
    from relaykit.interfaces import IStreamLeg

__all__ = ["CopyForwarder"]


@implementer(IForwarder)
class CopyForwarder:
    """Reads from one leg and writes to the other; serves any two legs.

    ``clock`` measures how long a flow lasts: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def can_forward(self, near: IStreamLeg, far: IStreamLeg) -> bool:
        return True

    def forward(self, near: IStreamLeg, far: IStreamLeg, half_close: bool) -> Flow:
        return Flow(near, far, half_close, self._clock).start()

    def close(self) -> None:
        """Nothing is held."""
