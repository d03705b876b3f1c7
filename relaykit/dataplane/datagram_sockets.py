"""UDP sockets: a leg to one local service, and a port whose every source is a leg of its own.

What the system says of a datagram that did not arrive (ICMP: nobody listens, no way there) is no end of a
leg: the service may start a moment later, and whoever asked asks again.  Such datagrams are dropped and
counted; legs end by being closed, and by their flows' idle time-out.

A port on every address of a machine that has several answers from the one that the system chooses, as frp's
does: listen on one address where that matters.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from relaykit.dataplane.datagram_output import DatagramOutput
from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.dataplane.listening import ANY_HOST, bind
from relaykit.dataplane.poller import PIECE_BYTES, READ
from relaykit.dataplane.sockets import address_of
from relaykit.dataplane.sources import SourceTable
from relaykit.interfaces import (
    IBatchedDatagramAcceptor,
    IBatchedDatagramLeg,
    IListeningPort,
    IProbedDatagramLeg,
)
from relaykit.sansio.segments import split
from relaykit.segmentation import CONTROL_BYTES, can_segment, forbid_fragments, join_received, joined
from relaykit.values import Address, Ended, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.sources import SourceLeg
    from relaykit.interfaces import IDatagramAcceptor, IDatagramReceiver
    from relaykit.sansio.contract import Buffer

__all__ = ["DatagramPort", "DatagramSocketLeg", "listen_datagrams"]

READS_AT_ONCE = 256
"""Datagrams taken from one socket before others have their turn, or as many as have :data:`PIECE_BYTES`.
What was taken together is sent together, so that a quarter of it would cost more for each."""

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""What is asked for as the kernel's buffer of a socket, for bursts; it gives what it is allowed to."""


@implementer(IBatchedDatagramLeg, IProbedDatagramLeg)
class DatagramSocketLeg(DatagramLeg):
    """A leg on a connected, non-blocking UDP socket, which it owns from now on.

    To a receiver that takes batches it hands on what was read at once.
    """

    __slots__ = ("_joins", "_number", "_output", "_poller", "_socket", "interest", "watched")

    def __init__(
        self, poller: Poller, plain: socket.socket, peer: Address | None, host: Address | None
    ) -> None:
        super().__init__(poller, peer, host)
        self.interest = self.watched = 0
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._output = DatagramOutput(poller, plain)
        self._joins = False

    def fileno(self) -> int:
        return self._number

    def attach(self, receiver: IDatagramReceiver) -> None:
        super().attach(receiver)
        self._joins = self._takes_batches and can_segment(self._socket)
        if self._joins:
            join_received(self._socket)

    def send(self, data: Buffer) -> bool:
        if not self._closed and self._output.send(self, data, None):
            return True
        self.dropped += 1
        return False

    def send_many(self, datagrams: Sequence[bytes]) -> int:
        if self._closed:
            self.dropped += len(datagrams)
            return 0
        return self._output.send_many(self, datagrams, None)

    def forbid_fragments(self) -> bool:
        return self._number >= 0 and forbid_fragments(self._socket)

    def pause(self) -> None:
        super().pause()
        if self._number >= 0:
            self._poller.watch(self, 0)

    def resume(self) -> None:
        super().resume()
        if self._number >= 0 and self._receiver is not None and not self._paused:
            self._poller.watch(self, READ)

    def close(self) -> None:
        self._end(Ended.FINISHED)

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        if self._joins:
            self._read_together()
            return
        buffer, taken = self._poller.buffer, 0
        for _ in range(READS_AT_ONCE):
            try:
                count = self._socket.recv_into(buffer)
            except BlockingIOError:
                break
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            taken += count
            self._arrived(buffer[:count])
            if taken >= PIECE_BYTES or not self._flowing:
                break
        self._poller.taken_bytes += taken

    def failed(self) -> None:
        """Goes on: one datagram was lost, or a reactor took for the end what is none, and watches no more.

        It ends where the poller cannot watch it.
        """
        if not self.interest:
            self._end(Ended.INTERNAL_ERROR)
        elif self._number >= 0:
            with contextlib.suppress(OSError):
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._poller.watch(self, self.interest)

    # --- inside ---------------------------------------------------------------------------------

    def _read_together(self) -> None:
        datagrams: list[bytes] = []
        taken = 0
        for _ in range(READS_AT_ONCE):
            try:
                count, joined_ones, _ = _receive(self._socket, self._poller.buffer)
            except BlockingIOError:
                break
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            taken += count
            datagrams += joined_ones
            if taken >= PIECE_BYTES:
                break
        self._poller.taken_bytes += taken
        if datagrams:
            self._arrived_together(datagrams)

    def _end(self, reason: Ended) -> None:
        if self._number >= 0:
            self._output.flush()
            self._silence()
            self._poller.forget(self)
            self._number = -1
            self._socket.close()
            self._lose_soon(reason)


@implementer(IListeningPort)
class DatagramPort:
    """An open UDP port in a poller; see :func:`listen_datagrams`."""

    def __init__(
        self,
        poller: Poller,
        plain: socket.socket,
        acceptor: IDatagramAcceptor,
        address: Address | None,
        give_back: Callable[[], None] | None = None,
    ) -> None:
        """``give_back`` is called when the port is closed, in place of closing the socket."""
        self.interest = self.watched = 0
        self.address = address
        self.sources = SourceTable(poller, self._send, str(address), transmit_many=self._send_many)
        """Who has a leg at the moment, each by its name as the system has it."""
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._output = DatagramOutput(poller, plain)
        self._acceptor = acceptor
        self._give_back = give_back
        self._host = None if address is None or address.host in ANY_HOST else address
        self._joins = IBatchedDatagramAcceptor.providedBy(acceptor) and can_segment(plain)
        if self._joins:
            join_received(plain)
        poller.watch(self, READ)

    def __repr__(self) -> str:
        return f"<DatagramPort {self.address}>"

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        if self._number < 0:
            return
        self._output.flush()
        self._poller.forget(self, closing=self._give_back is None)
        self._number = -1
        (self._give_back or self._socket.close)()
        self.sources.close(Ended.STOPPED)

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        if self._joins:
            self._read_together()
            return
        buffer, plain, sources = self._poller.buffer, self._socket, self.sources
        taken = 0
        for _ in range(READS_AT_ONCE):
            try:
                count, name = plain.recvfrom_into(buffer)
            except BlockingIOError:
                break
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            taken += count
            data = buffer[:count]
            leg = sources.legs.get(name)
            if leg is None:
                sources.admit(self._acceptor, name, Origin(_source(name), self._host), data)
            else:
                if leg.sweep != sources.sweep:
                    sources.heard_of(leg)
                leg._arrived(data)
            if taken >= PIECE_BYTES or self._number < 0:
                break
        self._poller.taken_bytes += taken

    def failed(self) -> None:
        """Goes on: one datagram was lost, the port is as good as before."""

    # --- inside ---------------------------------------------------------------------------------

    def _read_together(self) -> None:
        taken = 0
        for _ in range(READS_AT_ONCE):
            try:
                count, datagrams, name = _receive(self._socket, self._poller.buffer)
            except BlockingIOError:
                break
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            taken += count
            leg = self.sources.legs.get(name)
            if leg is None:
                origin = Origin(_source(name), self._host)
                self.sources.admit(self._acceptor, name, origin, datagrams.pop(0))
                leg = self.sources.legs.get(name)
            if leg is not None and datagrams:
                if leg.sweep != self.sources.sweep:
                    self.sources.heard_of(leg)
                leg._arrived_together(datagrams)
            if taken >= PIECE_BYTES or self._number < 0:
                break
        self._poller.taken_bytes += taken

    def _send(self, leg: SourceLeg, data: Buffer) -> bool:
        name: Any = leg.key
        return self._number >= 0 and self._output.send(leg, data, name)

    def _send_many(self, leg: SourceLeg, datagrams: Sequence[bytes]) -> int:
        name: Any = leg.key
        return self._output.send_many(leg, datagrams, name) if self._number >= 0 else 0


def _receive(plain: socket.socket, buffer: memoryview) -> tuple[int, list[bytes], Any]:
    """Reads datagrams of one source that the kernel has joined: how many bytes, the datagrams, the source."""
    count, control, _, name = plain.recvmsg_into((buffer,), CONTROL_BYTES)
    data, size = bytes(buffer[:count]), joined(control)
    return count, split(data, size) if size else [data], name


def _source(name: tuple[Any, ...]) -> Address | None:
    """The address of a source; that of a link-local one has its zone, as a number."""
    address = address_of(name)
    if address is not None and len(name) == 4 and name[3]:
        return Address(f"{address.host}%{name[3]}", address.port)
    return address


def listen_datagrams(poller: Poller, host: str, port: int, acceptor: IDatagramAcceptor) -> DatagramPort:
    """Opens a UDP port; otherwise as :func:`relaykit.dataplane.listening.listen_tcp`."""
    plain = bind(host, port, socket.SOCK_DGRAM)
    ask_for_buffer(plain)
    return DatagramPort(poller, plain, acceptor, address_of(plain.getsockname()))


def ask_for_buffer(plain: socket.socket) -> None:
    """Gives a UDP socket room for bursts, as far as the system lets it."""
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
