"""Datagram legs: what all of them share, and datagrams framed in a stream.

UDP keeps no promise, so a leg that has no room drops: a queue would only add delay to what is late anyway.
Sockets are in :mod:`relaykit.dataplane.datagram_sockets`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.errors import RemoteProtocolError
from relaykit.interfaces import IDatagramLeg, ILegReceiver
from relaykit.sansio.datagram_frames import MOST_DATAGRAM_BYTES, DatagramFrames, frame
from relaykit.values import Ended

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramReceiver, IStreamLeg, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address

__all__ = ["DatagramLeg", "FramedDatagramLeg"]

HELD_DATAGRAMS = 64
"""Datagrams that a leg holds until it has a receiver: what a user sends while the way to the service is being
opened."""

HELD_BYTES = 256 * 1024
"""Most bytes of them."""

FLUSH_BYTES = 64 * 1024
"""Framed datagrams that are written at once; fewer wait for the end of the turn, to go out together."""


@implementer(IDatagramLeg)
class DatagramLeg:
    """The half of a datagram leg that does not depend on what carries it.

    A subclass provides ``send`` and ``close``, reports by :meth:`_arrived` and :meth:`_lost`, and never
    within a call of its own public methods but ``attach`` and ``resume``.
    """

    __slots__ = (
        "_closed",
        "_flowing",
        "_held",
        "_held_bytes",
        "_loss",
        "_paused",
        "_receiver",
        "_turns",
        "dropped",
        "host",
        "peer",
    )

    def __init__(self, turns: ITurns, peer: Address | None, host: Address | None) -> None:
        self.peer = peer
        self.host = host
        self.dropped = 0
        self._turns = turns
        self._receiver: IDatagramReceiver | None = None
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        # True exactly while datagrams may go straight to the receiver.
        self._flowing = False
        self._closed = False
        self._loss: Ended | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host} - {self.peer}>"

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._receiver = receiver
        self.resume()

    def send(self, data: Buffer) -> bool:
        raise NotImplementedError

    def pause(self) -> None:
        self._paused = True
        self._flowing = False

    def resume(self) -> None:
        self._paused = False
        self._deliver()

    def close(self) -> None:
        raise NotImplementedError

    # --- for subclasses -------------------------------------------------------------------------

    def _arrived(self, data: Buffer) -> None:
        """Delivers a datagram, holds it until it can be, or drops it."""
        if self._flowing:
            self._receiver.datagram_received(data)  # type: ignore[union-attr]  # flowing implies one
        elif self._closed or self._loss is not None:
            return
        elif (
            len(self._held) < HELD_DATAGRAMS
            and self._held_bytes + len(data) <= HELD_BYTES
            and self._hold(len(data))
        ):
            self._held.append(bytes(data))
            self._held_bytes += len(data)
        else:
            self.dropped += 1

    def _silence(self) -> None:
        """Delivers nothing any more but the loss: this side has closed the leg."""
        self._closed = True
        self._flowing = False
        self._held.clear()
        self._release(self._held_bytes)
        self._held_bytes = 0

    def _hold(self, count: int) -> bool:
        """Whether there is room to hold so many bytes more, as far as several legs share it."""
        return True

    def _release(self, count: int) -> None:
        """So many bytes are held no more."""

    def _lost(self, reason: Ended) -> None:
        """Notes that the leg is gone; only the first reason counts."""
        if self._loss is None:
            self._loss = reason
            self._deliver()

    def _lose_soon(self, reason: Ended) -> None:
        """The same, when this turn ends."""
        self._turns.at_turn_end(lambda: self._lost(reason))

    # --- inside ---------------------------------------------------------------------------------

    def _deliver(self) -> None:
        self._flowing = False
        held = self._held
        while held and self._receiver is not None and not self._paused:
            data = held.popleft()
            self._held_bytes -= len(data)
            self._release(len(data))
            self._receiver.datagram_received(data)
        if held or self._receiver is None:
            return
        if self._loss is not None:
            receiver, self._receiver = self._receiver, None
            receiver.leg_lost(self._loss)
        else:
            self._flowing = not self._paused and not self._closed


@implementer(ILegReceiver, IPushProducer)
class FramedDatagramLeg(DatagramLeg):
    """Datagrams over a stream leg, which it owns from now on.

    While the stream's output is full, what is sent is dropped: datagrams have no backpressure.
    """

    __slots__ = ("_attached", "_frames", "_full", "_lower", "_unsent", "_unsent_bytes")

    log = Logger()

    def __init__(self, turns: ITurns, lower: IStreamLeg) -> None:
        super().__init__(turns, lower.peer, lower.host)
        self._lower = lower
        self._frames = DatagramFrames()
        self._attached = False
        self._full = False
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        lower.pauseProducing()
        lower.registerProducer(self, True)

    def attach(self, receiver: IDatagramReceiver) -> None:
        super().attach(receiver)
        if not self._attached:
            self._attached = True
            self._lower.attach(self)

    def send(self, data: Buffer) -> bool:
        if self._full or self._closed or len(data) > MOST_DATAGRAM_BYTES:
            self.dropped += 1
            return False
        self._unsent.append(frame(data))
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= FLUSH_BYTES:
            self._flush()
        elif len(self._unsent) == 1:
            self._turns.at_turn_end(self._flush)
        return True

    def pause(self) -> None:
        super().pause()
        self._lower.pauseProducing()

    def resume(self) -> None:
        super().resume()
        if self._attached and not self._paused:
            self._lower.resumeProducing()

    def close(self) -> None:
        if not self._closed:
            self._flush()
            self._silence()
            self._watch_lower()
            self._lower.close()

    # --- the producer of the lower leg ----------------------------------------------------------

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False

    def stopProducing(self) -> None:
        """Nothing: the loss of the lower leg is told as such."""

    # --- its receiver ---------------------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        try:
            datagrams = self._frames.receive(data)
        except RemoteProtocolError as error:
            self.log.warn(
                "{peer} broke the rules: {reason}",
                peer=self.peer,
                reason=str(error),
                problem="broke-the-rules",
            )
            self._silence()
            self._lower.abort()
            self._lost(Ended.PROTOCOL_ERROR)
            return
        for each in datagrams:
            self._arrived(each)

    def end_received(self) -> None:
        self._lower.close()

    def leg_lost(self, reason: Ended) -> None:
        self._lost(reason)

    # --- inside ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if unsent:
            self._lower.write_sequence(unsent)

    def _watch_lower(self) -> None:
        if not self._attached:
            self._attached = True
            self._lower.attach(self)
