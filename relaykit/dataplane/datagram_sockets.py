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
from collections import OrderedDict
from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from relaykit.dataplane.datagrams import DatagramLeg
from relaykit.dataplane.listening import ANY_HOST, bind
from relaykit.dataplane.poller import READ
from relaykit.dataplane.sockets import address_of
from relaykit.interfaces import IListeningPort
from relaykit.values import Address, Ended, Origin

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IDatagramAcceptor
    from relaykit.sansio.contract import Buffer

__all__ = ["DatagramPort", "DatagramSocketLeg", "listen_datagrams"]

READS_AT_ONCE = 64
"""Datagrams taken from one socket before others have their turn."""

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""What is asked for as the kernel's buffer of a socket, for bursts; it gives what it is allowed to."""

MOST_SOURCES = 4096
"""Sources of one port that have a leg at the same time; a few MB.  For one more the one that has been silent
for the longest time is let go, so that forged sources cost each other their place first."""

MOST_HELD_BYTES = 16 * 1024 * 1024
"""Bytes that all sources of one port hold together until they have receivers: as many as a hundred users may
need while the ways to the service are being opened, and what forged sources can cost at most."""

SOURCE_IDLE_S = 120.0
"""Silence, in both directions, after which a source is forgotten.  Source: RFC 4787 REQ-5 for NATs, which
have the same to decide."""

_SWEEPS = 4
"""Looks at the table within that time: one timer for all sources, and no clock for each datagram."""


class DatagramSocketLeg(DatagramLeg):
    """A leg on a connected, non-blocking UDP socket, which it owns from now on."""

    __slots__ = ("_number", "_poller", "_socket", "interest", "watched")

    def __init__(
        self, poller: Poller, plain: socket.socket, peer: Address | None, host: Address | None
    ) -> None:
        super().__init__(poller, peer, host)
        self.interest = self.watched = 0
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()

    def fileno(self) -> int:
        return self._number

    def send(self, data: Buffer) -> bool:
        for _ in range(2):
            try:
                self._socket.send(data)
                return True
            except ConnectionRefusedError:
                # That is about an earlier datagram, and this one was not sent.
                continue
            except OSError:
                break
        self.dropped += 1
        return False

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
            self._silence()
            self._poller.forget(self)
            self._number = -1
            self._socket.close()
            self._lose_soon(reason)


class _SourceLeg(DatagramLeg):
    """One source of a port."""

    __slots__ = ("_name", "_port", "sweep")

    def __init__(
        self, poller: Poller, port: DatagramPort, name: tuple[object, ...], host: Address | None
    ) -> None:
        super().__init__(poller, address_of(name), host)
        self._port = port
        self._name = name
        self.sweep = 0
        """The last look at the table before it was heard of."""

    def send(self, data: Buffer) -> bool:
        if not self._closed and self._port.send(self, data, self._name):
            return True
        self.dropped += 1
        return False

    def close(self) -> None:
        self._port.forget(self._name, self)
        self.end(Ended.FINISHED)

    def end(self, reason: Ended) -> None:
        """The port has no place for it any more."""
        if not self._closed:
            self._silence()
            self._lose_soon(reason)

    def _hold(self, count: int) -> bool:
        return self._port.hold(count)

    def _release(self, count: int) -> None:
        self._port.release(count)


@implementer(IListeningPort)
class DatagramPort:
    """An open UDP port in a poller; see :func:`listen_datagrams`."""

    log = Logger()

    def __init__(
        self, poller: Poller, plain: socket.socket, acceptor: IDatagramAcceptor, address: Address | None
    ) -> None:
        self.interest = self.watched = 0
        self.address = address
        self.evicted = 0
        """Sources that were let go because others came, up to now."""
        self._poller = poller
        self._socket = plain
        self._number = plain.fileno()
        self._acceptor = acceptor
        self._host = None if address is None or address.host in ANY_HOST else address
        self._legs: OrderedDict[tuple[object, ...], _SourceLeg] = OrderedDict()
        self._held_bytes = 0
        self._sweep = 0
        self._sweeping: IDelayedCall | None = None
        self._crowded = False
        poller.watch(self, READ)

    def __repr__(self) -> str:
        return f"<DatagramPort {self.address}>"

    @property
    def sources(self) -> int:
        """How many sources have a leg at the moment."""
        return len(self._legs)

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        if self._number < 0:
            return
        self._poller.forget(self)
        self._number = -1
        self._socket.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        legs, self._legs = self._legs, OrderedDict()
        for leg in legs.values():
            leg.end(Ended.STOPPED)

    # --- for its legs ---------------------------------------------------------------------------

    def send(self, leg: _SourceLeg, data: Buffer, name: tuple[object, ...]) -> bool:
        """Sends a datagram to a source; whether the system took it."""
        if leg.sweep != self._sweep:
            self._heard_of(leg, name)
        try:
            self._socket.sendto(data, name)
        except OSError:
            return False
        return True

    def hold(self, count: int) -> bool:
        """Whether a source may hold so many bytes more; they are counted until :meth:`release`."""
        if self._held_bytes + count > MOST_HELD_BYTES:
            return False
        self._held_bytes += count
        return True

    def release(self, count: int) -> None:
        """A source holds so many bytes less."""
        self._held_bytes -= count

    def forget(self, name: tuple[object, ...], leg: _SourceLeg) -> None:
        """A leg was closed; whoever sends from there again is new."""
        if self._legs.get(name) is leg:
            del self._legs[name]

    # --- for the poller -------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        poller, plain, legs = self._poller, self._socket, self._legs
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
            leg = legs.get(name)
            if leg is None:
                self._admit(name, data)
            else:
                if leg.sweep != self._sweep:
                    self._heard_of(leg, name)
                leg._arrived(data)
            if self._number < 0:
                return

    def failed(self) -> None:
        """Goes on: one datagram was lost, the port is as good as before."""

    # --- inside ---------------------------------------------------------------------------------

    def _admit(self, name: tuple[object, ...], data: memoryview) -> None:
        if len(self._legs) >= MOST_SOURCES:
            self._evict()
        leg = self._legs[name] = _SourceLeg(self._poller, self, name, self._host)
        leg.sweep = self._sweep
        if self._sweeping is None:
            self._sweep_later()
        leg._arrived(data)
        try:
            self._acceptor.leg_accepted(leg, Origin(leg.peer, leg.host))
        except Exception:
            self.log.failure("a defect while taking datagrams from {peer}; they are dropped", peer=leg.peer)
            leg.close()

    def _evict(self) -> None:
        _, oldest = self._legs.popitem(last=False)
        self.evicted += 1
        if not self._crowded:
            # Once, or a flood of forged sources would be one of lines, too.
            self._crowded = True
            self.log.warn(
                "{address} has datagrams of more than {most} sources: the longest silent ones are let go",
                address=self.address,
                most=MOST_SOURCES,
                problem="too-many-sources",
            )
        oldest.end(Ended.REFUSED)

    def _heard_of(self, leg: _SourceLeg, name: tuple[object, ...]) -> None:
        leg.sweep = self._sweep
        self._legs.move_to_end(name)

    def _sweep_later(self) -> None:
        self._sweeping = self._poller.reactor.callLater(SOURCE_IDLE_S / _SWEEPS, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeping = None
        self._sweep += 1
        while self._legs:
            name, leg = next(iter(self._legs.items()))
            if self._sweep - leg.sweep <= _SWEEPS:
                break
            del self._legs[name]
            leg.end(Ended.TIMEOUT)
        if len(self._legs) < MOST_SOURCES:
            self._crowded = False
        if self._legs:
            self._sweep_later()


def listen_datagrams(poller: Poller, host: str, port: int, acceptor: IDatagramAcceptor) -> DatagramPort:
    """Opens a UDP port; otherwise as :func:`relaykit.dataplane.listening.listen_tcp`."""
    plain = bind(host, port, socket.SOCK_DGRAM)
    ask_for_buffer(plain)
    return DatagramPort(poller, plain, acceptor, address_of(plain.getsockname()))


def ask_for_buffer(plain: socket.socket) -> None:
    """Gives a UDP socket room for bursts, as far as the system lets it."""
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
