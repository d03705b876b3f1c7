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
from typing import TYPE_CHECKING, Any, cast

from zope.interface import implementer

from relaykit.dataplane.datagrams import FLUSH_BYTES, DatagramLeg
from relaykit.dataplane.listening import ANY_HOST, bind
from relaykit.dataplane.poller import READ, TAKEN_AT_ONCE_BYTES
from relaykit.dataplane.segments import MOST_SEGMENTS, SegmentingSender
from relaykit.dataplane.sockets import address_of
from relaykit.dataplane.sources import SourceTable
from relaykit.interfaces import IListeningPort
from relaykit.sansio.lanes.codec import MOST_DATAGRAM_BYTES
from relaykit.values import Address, Ended

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.dataplane.sources import SourceLeg
    from relaykit.interfaces import IDatagramAcceptor
    from relaykit.sansio.contract import Buffer

__all__ = ["DatagramPort", "DatagramSocketLeg", "listen_datagrams"]

READS_AT_ONCE = 64
"""Datagrams taken from one socket before others have their turn."""

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""What is asked for as the kernel's buffer of a socket, for bursts; it gives what it is allowed to."""


class DatagramSocketLeg(DatagramLeg):
    """A leg on a connected, non-blocking UDP socket, which it owns from now on.

    What is sent goes out when the turn ends, or is enough for one call.
    """

    __slots__ = (
        "_number",
        "_poller",
        "_sender",
        "_socket",
        "_unsent",
        "_unsent_bytes",
        "interest",
        "watched",
    )

    def __init__(
        self, poller: Poller, plain: socket.socket, peer: Address | None, host: Address | None
    ) -> None:
        super().__init__(poller, peer, host)
        self.interest = self.watched = 0
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._sender = SegmentingSender(plain)
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    def fileno(self) -> int:
        return self._number

    def send(self, data: Buffer) -> bool:
        if self._closed or len(data) > MOST_DATAGRAM_BYTES:
            self.dropped += 1
            return False
        self._unsent.append(bytes(data))
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= FLUSH_BYTES or len(self._unsent) == MOST_SEGMENTS:
            self._flush()
        elif len(self._unsent) == 1:
            self._poller.at_turn_end(self._flush)
        return True

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
        poller = self._poller
        for _ in range(READS_AT_ONCE):
            try:
                count = self._socket.recv_into(poller.buffer)
            except BlockingIOError:
                return
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            poller.taken_bytes += count
            self._arrived(poller.buffer[:count])
            if not self._flowing:
                return

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

    def _end(self, reason: Ended) -> None:
        if self._number >= 0:
            self._flush()
            self._silence()
            self._poller.forget(self)
            self._number = -1
            self._socket.close()
            self._lose_soon(reason)

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        self.dropped += len(unsent) - self._sender.send(unsent, None)


@implementer(IListeningPort)
class DatagramPort:
    """An open UDP port in a poller; see :func:`listen_datagrams`.

    What is sent goes out when the turn ends, or is as much as one reads.
    """

    def __init__(
        self, poller: Poller, plain: socket.socket, acceptor: IDatagramAcceptor, address: Address | None
    ) -> None:
        self.interest = self.watched = 0
        self.address = address
        self.sources = SourceTable(poller, self._send, str(address))
        """Who has a leg at the moment, each by its name as the system has it."""
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._sender = SegmentingSender(plain)
        self._unsent: dict[SourceLeg, list[bytes]] = {}
        self._unsent_bytes = 0
        self._acceptor = acceptor
        self._host = None if address is None or address.host in ANY_HOST else address
        poller.watch(self, READ)

    def __repr__(self) -> str:
        return f"<DatagramPort {self.address}>"

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        if self._number < 0:
            return
        self._flush()
        self._poller.forget(self)
        self._number = -1
        self._socket.close()
        self.sources.close(Ended.STOPPED)

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        poller, plain, sources = self._poller, self._socket, self.sources
        for _ in range(READS_AT_ONCE):
            try:
                count, name = plain.recvfrom_into(poller.buffer)
            except BlockingIOError:
                return
            except OSError:
                # About something that was sent: see the beginning of this file.
                continue
            poller.taken_bytes += count
            data = poller.buffer[:count]
            leg = sources.legs.get(name)
            if leg is None:
                sources.admit(self._acceptor, name, _source(name), self._host, data)
            else:
                if leg.sweep != sources.sweep:
                    sources.heard_of(leg)
                leg._arrived(data)
            if self._number < 0:
                return

    def failed(self) -> None:
        """Goes on: one datagram was lost, the port is as good as before."""

    # --- inside ---------------------------------------------------------------------------------

    def _send(self, leg: SourceLeg, data: Buffer) -> bool:
        if len(data) > MOST_DATAGRAM_BYTES or self._number < 0:
            return False
        unsent = self._unsent.get(leg)
        if unsent is None:
            if not self._unsent:
                self._poller.at_turn_end(self._flush)
            unsent = self._unsent[leg] = []
        unsent.append(bytes(data))
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= TAKEN_AT_ONCE_BYTES:
            self._flush()
        return True

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, {}, 0
        for leg, datagrams in unsent.items():
            name = cast(tuple[Any, ...], leg.key)
            leg.dropped += len(datagrams) - self._sender.send(datagrams, name)


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
