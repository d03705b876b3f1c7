"""What all datagram legs share.

UDP keeps no promise, so a leg that has no room drops: a queue would only add delay to what is late anyway.
Sockets are in :mod:`relaykit.dataplane.datagram_sockets`, streams in :mod:`relaykit.dataplane.lanes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from relaykit.interfaces import IBatchedDatagramLeg, IBatchedDatagramReceiver, IDatagramLeg
from relaykit.values import MOST_DATAGRAM_BYTES

if TYPE_CHECKING:
    from relaykit.interfaces import IDatagramReceiver, ITurns
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Address, Ended

__all__ = ["DatagramLeg", "UpperDatagramLeg", "sender_of_many"]

HELD_DATAGRAMS = 64
"""Datagrams that a leg holds until it has a receiver: what a user sends while the way to the service is being
opened."""

HELD_BYTES = 256 * 1024
"""Most bytes of them."""


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
        "_takes_batches",
        "_turns",
        "dropped",
        "host",
        "most_segment",
        "peer",
    )

    def __init__(self, turns: ITurns, peer: Address | None, host: Address | None) -> None:
        self.peer = peer
        self.host = host
        self.dropped = 0
        self.most_segment = MOST_DATAGRAM_BYTES
        """Bytes of the largest datagrams that the system can send to the peer several at once."""
        self._turns = turns
        self._receiver: IDatagramReceiver | None = None
        self._takes_batches = False
        self._held: list[bytes] = []
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
        self._takes_batches = IBatchedDatagramReceiver.providedBy(receiver)
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

    def _arrived_together(self, datagrams: Sequence[bytes]) -> None:
        """The same of several, in order."""
        if self._flowing and self._takes_batches:
            self._receiver.datagrams_received(datagrams)  # type: ignore[union-attr]  # it takes batches
        else:
            for data in datagrams:
                self._arrived(data)

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
            data = held.pop(0)
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


@implementer(IDatagramLeg)
class UpperDatagramLeg:
    """A leg on another one, which it owns: all passes as it is, but for what a subclass changes."""

    __slots__ = ("_lower",)

    def __init__(self, lower: IDatagramLeg) -> None:
        self._lower = lower

    @property
    def peer(self) -> Address | None:
        peer: Address | None = self._lower.peer
        return peer

    @property
    def host(self) -> Address | None:
        host: Address | None = self._lower.host
        return host

    @property
    def dropped(self) -> int:
        dropped: int = self._lower.dropped
        return dropped

    def attach(self, receiver: IDatagramReceiver) -> None:
        self._lower.attach(receiver)

    def send(self, data: Buffer) -> bool:
        taken: bool = self._lower.send(data)
        return taken

    def pause(self) -> None:
        self._lower.pause()

    def resume(self) -> None:
        self._lower.resume()

    def close(self) -> None:
        self._lower.close()


def sender_of_many(leg: IDatagramLeg) -> Callable[[Sequence[bytes]], int]:
    """What sends several datagrams on a leg: by few system calls, where the leg can do that.

    It answers how many were taken.
    """
    if IBatchedDatagramLeg.providedBy(leg):
        send_many: Callable[[Sequence[bytes]], int] = leg.send_many
        return send_many
    return lambda datagrams: sum(map(leg.send, datagrams))
