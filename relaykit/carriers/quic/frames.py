"""The datagrams of a QUIC connection, beside its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zope.interface import implementer

from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.interfaces import ISizedDatagramLeg
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.carriers.quic.driver import QuicDriver
    from relaykit.sansio.contract import Buffer

__all__ = ["MOST_FRAMES", "QuicDatagramLeg"]

MOST_FRAMES: Final = 256
"""Datagrams that are handed to the connection until it has sent what it had."""


@implementer(ISizedDatagramLeg)
class QuicDatagramLeg(DatagramLeg):
    """Datagrams to and from the peer, encrypted: each whole, once at most, in any order.

    What the network is thought not to carry now is dropped, as is what no packet can carry.  Closing the leg
    leaves the connection as it is.  Source: RFC 9221.
    """

    __slots__ = ("_congested", "_driver", "_most_bytes", "_waiting")

    def __init__(self, driver: QuicDriver) -> None:
        super().__init__(driver.turns, driver.lower.peer, driver.lower.host)
        self._driver = driver
        self._waiting = 0
        # What the connection says holds until it has sent: it is asked once for all of a turn.
        self._most_bytes = 0
        self._congested = False

    @property
    def most_bytes(self) -> int:
        """The largest datagram that can be sent at present, some 1150 bytes at least; 0 if none can be."""
        if not self._waiting:
            driver = self._driver
            self._most_bytes = 0 if driver.lost is not None else driver.connection.most_frame_bytes
        return self._most_bytes

    def send(self, data: Buffer) -> bool:
        if self._closed or len(data) > self.most_bytes or self._waiting >= MOST_FRAMES:
            self.dropped += 1
            return False
        connection = self._driver.connection
        if not self._waiting:
            self._congested = connection.congested
        if self._congested:
            self.dropped += 1
            return False
        self._waiting += 1
        connection.send_frame(bytes(data))
        self._driver.flush_soon()
        return True

    def close(self) -> None:
        self._silence()
        self._lose_soon(Ended.FINISHED)

    # --- for the path ---------------------------------------------------------------------------

    def on_frame(self, data: bytes) -> None:
        """A datagram arrived."""
        self._arrived(data)

    def on_sent(self) -> None:
        """The connection has sent what it had."""
        self._waiting = 0

    def path_lost(self, reason: Ended) -> None:
        """The connection is gone."""
        self._waiting = 0
        self._lost(reason)
