"""UDP sockets under full control: TTL of each datagram, where each arrived, whole batches at once.

Twisted's own UDP port has none of these, and punching needs to hand a socket on to whoever speaks
over the punched path.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Protocol

from attrs import frozen
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.sansio.segments import end_of_run, split
from relaykit.segmentation import (
    CONTROL_BYTES,
    NOT_SEGMENTED,
    can_segment,
    cut,
    forbid_fragments,
    join_received,
    joined,
)
from relaykit.values import MOST_DATAGRAM_BYTES, Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IReactorFDSet
    from twisted.python.failure import Failure

__all__ = [
    "ANYWHERE",
    "BATCH",
    "BATCH_BUFFER_BYTES",
    "BATCH_BYTES",
    "BATCH_OF_STRANGERS",
    "DATAGRAM_MAX",
    "BatchReceiver",
    "DatagramReceiver",
    "UdpSocket",
    "drop",
    "local_host_towards",
    "share_port",
]

BATCH = 64
"""Datagrams read before the reactor's other work goes on."""

BATCH_OF_STRANGERS = 16
"""The same where anybody may send any number of them, of each socket: some 0.2 ms, so that users, who take
several turns, do not notice."""

BATCH_BYTES = 512 * 1024
"""Bytes read before they are handed on, where datagrams are handed on together: what was read first is still
in the processor's cache then."""

BATCH_BUFFER_BYTES = 8 * 1024 * 1024
"""What is asked for as the kernel's buffer of a socket whose datagrams come in bursts; it gives what it
may."""

DATAGRAM_MAX = 65535
"""Largest datagram that is read whole."""

ANYWHERE = (Address("192.0.2.1", 9), Address("2001:db8::1", 9))
"""Addresses that only the default routes lead to.  Source: RFC 5737, RFC 3849."""

_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO_4 = struct.Struct("=I4s4s")
_PKTINFO_6 = struct.Struct("=16sI")
_INT = struct.Struct("=i")
_NOT_BY_MESSAGE = (errno.EINVAL, errno.ENOPROTOOPT)


class DatagramReceiver(Protocol):
    """Who gets what arrives on a socket."""

    def __call__(self, data: bytes, source: Address, arrived_at: str) -> None:
        """One datagram; ``arrived_at`` is this machine's address where the socket was asked to tell
        it, else empty.
        """


class BatchReceiver(Protocol):
    """Who gets what arrives on a socket, several datagrams at once."""

    def __call__(self, datagrams: list[bytes], source: Address, arrived_at: str) -> None:
        """Datagrams of one source, at least one, in order; the rest as :class:`DatagramReceiver` has it."""


@frozen
class _Family:
    """What differs between the two families."""

    number: int
    level: int
    ttl: int
    """The option of the socket."""
    hops: int
    """The same beside one datagram."""
    arrival: int
    info: int


_V4 = _Family(
    socket.AF_INET,
    socket.IPPROTO_IP,
    socket.IP_TTL,
    socket.IP_TTL,
    _IP_PKTINFO,
    _IP_PKTINFO,
)
_V6 = _Family(
    socket.AF_INET6,
    socket.IPPROTO_IPV6,
    socket.IPV6_UNICAST_HOPS,
    getattr(socket, "IPV6_HOPLIMIT", 52),
    getattr(socket, "IPV6_RECVPKTINFO", 49),
    getattr(socket, "IPV6_PKTINFO", 50),
)


@implementer(IReadDescriptor)
class UdpSocket:
    """One bound UDP socket, read by the reactor.

    ``host`` is an address of this machine or ``0.0.0.0`` or ``::``, which are two different things
    here: a socket has one family.  ``port`` 0 takes a random one.  With ``tells_arrival`` the
    receiver learns which local address each datagram came to.  ``batch`` datagrams are read at once at most.

    :raises CannotListenError: the address cannot be bound, or no descriptor is left.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorFDSet,
        host: str,
        port: int,
        receiver: DatagramReceiver,
        tells_arrival: bool = False,
        batch: int = BATCH,
    ) -> None:
        self.receiver = receiver
        self._batch = batch
        self._batch_receiver: BatchReceiver | None = None
        self._reactor = reactor
        self._tells_arrival = tells_arrival
        self._family = _V6 if ":" in host else _V4
        self._socket: socket.socket | None = None
        self._ttl_by_message = True
        try:
            plain = socket.socket(self._family.number, socket.SOCK_DGRAM)
        except OSError as error:
            raise CannotListenError(host, port, error) from error
        try:
            plain.setblocking(False)
            if self._family is _V6:
                plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if tells_arrival:
                plain.setsockopt(self._family.level, self._family.arrival, 1)
            plain.bind((host, port))
        except OSError as error:
            plain.close()
            raise CannotListenError(host, port, error) from error
        self._socket = plain
        self._most_segment = MOST_DATAGRAM_BYTES if can_segment(plain) else 0
        """Bytes of the largest datagrams of which the kernel sends several at once."""
        self.address = Address(host, plain.getsockname()[1])
        self._number = plain.fileno()
        reactor.addReader(self)

    def send(
        self, payload: bytes, destination: Address, ttl: int | None = None, source_host: str = ""
    ) -> bool:
        """Sends one datagram; answers whether the kernel took it.

        Nothing is queued: a full buffer or a network that cannot be reached loses the datagram, as
        the network itself may.  ``source_host`` names the local address it shall come from.
        """
        if self._socket is None:
            return False
        name = (destination.host, destination.port)
        try:
            if ttl is None and not source_host:
                self._socket.sendto(payload, name)
            else:
                self._send_marked(payload, name, ttl, source_host)
        except OSError:
            return False
        return True

    def send_many(self, payloads: Sequence[bytes], destination: Address) -> int:
        """Sends datagrams, several of one size by one system call where the kernel can do that.

        Answers how many it took; otherwise as :meth:`send`.
        """
        taken = begin = 0
        while begin < len(payloads):
            end = end_of_run(payloads, begin, self._most_segment)
            if end - begin == 1:
                taken += self.send(payloads[begin], destination)
            else:
                taken += self._send_run(payloads[begin:end], destination)
            begin = end
        return taken

    def receive_batches(self, receiver: BatchReceiver) -> None:
        """Hands on what is read at once, and came from one source, by one call from now on.

        The kernel is asked for room for bursts, and to join datagrams of one size, which makes each of them
        cost a fraction, and one that comes alone a third more.
        """
        self._batch_receiver = receiver
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BATCH_BUFFER_BYTES)
            if self._most_segment:
                join_received(self._socket)

    def forbid_fragments(self) -> bool:
        """From now on no datagram is cut, here or on the way; answers whether this system can do that."""
        return self._socket is not None and forbid_fragments(self._socket)

    def detach(self) -> socket.socket:
        """Stops reading and hands the socket to the initiator, who owns it from now on."""
        plain, self._socket = self._socket, None
        if plain is None:
            raise RuntimeError("the socket was closed")
        self._reactor.removeReader(self)
        return plain

    def close(self) -> None:
        """Closes the socket; a second call does nothing."""
        if self._socket is not None:
            self.detach().close()

    def fileno(self) -> int:
        return self._number if self._socket is not None else -1

    def doRead(self) -> None:
        if self._batch_receiver is not None:
            self._read_batches()
            return
        for _ in range(self._batch):
            plain = self._socket
            if plain is None:
                return
            arrived_at = ""
            try:
                if self._tells_arrival:
                    data, control, _, name = plain.recvmsg(DATAGRAM_MAX, CONTROL_BYTES)
                    arrived_at = self._arrival(control)
                else:
                    data, name = plain.recvfrom(DATAGRAM_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                self.receiver(data, Address(name[0], name[1]), arrived_at)
            except Exception:
                self.log.failure("a defect while taking a datagram; the datagram is dropped")

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "udp"

    def _read_batches(self) -> None:
        """Reads what there is, and hands it on as soon as another source comes, or it is much."""
        batch: list[bytes] = []
        origin: tuple[str, int, str] | None = None
        size = 0
        for _ in range(self._batch):
            if self._socket is None:
                return
            try:
                data, control, _, name = self._socket.recvmsg(DATAGRAM_MAX, CONTROL_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue
            came = (name[0], name[1], self._arrival(control) if self._tells_arrival else "")
            if came != origin and origin is not None:
                self._hand_on(batch, origin)
                batch = []
            origin = came
            segment = joined(control)
            batch += split(data, segment) if segment else (data,)
            size += len(data)
            if size >= BATCH_BYTES:
                break
        if origin is not None:
            self._hand_on(batch, origin)

    def _hand_on(self, batch: list[bytes], origin: tuple[str, int, str]) -> None:
        if self._socket is None or self._batch_receiver is None:
            return
        host, port, arrived_at = origin
        try:
            self._batch_receiver(batch, Address(host, port), arrived_at)
        except Exception:
            self.log.failure("a defect while taking datagrams; they are dropped")

    def _send_run(self, run: Sequence[bytes], destination: Address) -> int:
        """Sends datagrams of one size, but that the last may be shorter, by one call."""
        if self._socket is None:
            return 0
        size = len(run[0])
        try:
            self._socket.sendmsg(run, (cut(size),), 0, (destination.host, destination.port))
        except OSError as error:
            if error.errno not in NOT_SEGMENTED:
                return 0
            self._most_segment = size - 1
            return sum(self.send(each, destination) for each in run)
        return len(run)

    def _send_marked(self, payload: bytes, name: tuple[str, int], ttl: int | None, source_host: str) -> None:
        """Sends with a TTL, a source address or both, which travel to the kernel beside the datagram."""
        plain, family = self._socket, self._family
        assert plain is not None
        control = []
        if source_host:
            packed = ipaddress.ip_address(source_host).packed
            info = _PKTINFO_6.pack(packed, 0) if family is _V6 else _PKTINFO_4.pack(0, packed, bytes(4))
            control.append((family.level, family.info, info))
        if ttl is not None and self._ttl_by_message:
            try:
                plain.sendmsg([payload], [*control, (family.level, family.hops, _INT.pack(ttl))], 0, name)
                return
            except OSError as error:
                if error.errno not in _NOT_BY_MESSAGE:
                    raise
                self._ttl_by_message = False
        if ttl is None:
            plain.sendmsg([payload], control, 0, name)
            return
        usual = plain.getsockopt(family.level, family.ttl)
        plain.setsockopt(family.level, family.ttl, ttl)
        try:
            plain.sendmsg([payload], control, 0, name)
        finally:
            plain.setsockopt(family.level, family.ttl, usual)

    def _arrival(self, control: list[tuple[int, int, bytes]]) -> str:
        for level, kind, value in control:
            if level == self._family.level and kind == self._family.info:
                if self._family is _V6:
                    return str(ipaddress.IPv6Address(value[:16]))
                return ".".join(map(str, value[8:12]))
        return ""


def drop(data: bytes, source: Address, arrived_at: str) -> None:
    """Receives for whoever does not receive yet, or no longer."""


def local_host_towards(destination: Address) -> str:
    """The local address that datagrams to a destination come from; empty if there is no way there.

    Sends nothing: it asks the kernel's routing table.
    """
    family = socket.AF_INET6 if ":" in destination.host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as plain:
        plain.connect((destination.host, destination.port or 9))
        host: str = plain.getsockname()[0]
        return host
    return ""


def share_port(plain: socket.socket) -> None:
    """Lets several sockets have one local port: the control connection's, and those that punch.

    Whoever connects the control connection calls this before binding.
    """
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
