"""Sockets and reactors that do what a test says."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from relaykit.dataplane.poller import Descriptor, Poller
from relaykit.interfaces import IBatchedDatagramReceiver, IDatagramAcceptor, IDatagramLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import RecordingDatagrams
from relaykit.values import Origin

__all__ = [
    "AcceptingDatagrams",
    "FakeDatagramSocket",
    "FakePoller",
    "FakeReactor",
    "FakeSocket",
    "FakeTun",
    "RecordingBatches",
    "os_error",
]


def os_error(number: int) -> OSError:
    """The exception that a system call raises for this errno."""
    return OSError(number, os.strerror(number))


class FakeReactor(Clock):
    """A clock that notes who was registered."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Registers for input."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Takes out what was registered for input."""
        self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        """Registers for output."""
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """Takes out what was registered for output."""
        self.writers.remove(writer)


def next_turn(clock: Clock) -> None:
    """Makes the call that is due first, and none that it asks for: a reactor makes those in its next turn."""
    call: Any = clock.getDelayedCalls()[0]
    function, arguments = call.func, call.args
    call.cancel()
    function(*arguments)


class FakePoller(Poller):
    """Watches nothing: tests say what is ready, and when a turn ends."""

    def __init__(self) -> None:
        self.clock = FakeReactor()
        super().__init__(self.clock)  # type: ignore[arg-type]  # as much of a reactor as is needed
        self.forgotten: list[Descriptor] = []

    def watch(self, descriptor: Descriptor, interest: int) -> None:
        """Notes the interest."""
        descriptor.interest = descriptor.watched = interest

    def forget(self, descriptor: Descriptor, closing: bool = True) -> None:
        """Notes that it is over."""
        descriptor.interest = descriptor.watched = 0
        self.forgotten.append(descriptor)

    def end_turn(self) -> None:
        """Calls what was to be called at the end of the turn."""
        self.clock.advance(0)


class FakeSocket:
    """A connected socket: takes :attr:`room` bytes, gives what is in :attr:`input`."""

    family = 2

    def __init__(self, number: int = 7, room: int = 1 << 30) -> None:
        self.number = number
        self.room = room
        self.sent = b""
        self.calls = 0
        self.input: list[bytes | OSError] = []
        self.write_error: OSError | None = None
        self.error = 0
        self.shut = False
        self.closed = False
        self.reset_on_close = False
        self.congestion_control: object = None
        self.repeated = 0
        """How often the kernel has sent something again."""
        self.silent_ms = 0
        """Milliseconds since the peer's machine last confirmed anything."""

    def getsockopt(self, level: int, option: int, size: int = 0) -> bytes | int:
        """What the kernel tells of the connection; its error is told once."""
        if option == socket.SO_ERROR:
            error, self.error = self.error, 0
            return error
        return struct.pack("=xxBB52xI", self.repeated, 0, self.silent_ms)[:size]

    def fileno(self) -> int:
        """The descriptor."""
        return -1 if self.closed else self.number

    def send(self, data: Buffer) -> int:
        """Takes as much as there is room for."""
        self.calls += 1
        if self.write_error is not None:
            raise self.write_error
        if not self.room:
            raise os_error(errno.EAGAIN)
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Takes several pieces as one."""
        assert len(pieces) <= 1024, "more than IOV_MAX"
        return self.send(b"".join(pieces))

    def recv(self, size: int) -> bytes:
        """The next input, in memory of its own."""
        buffer = memoryview(bytearray(size))
        return bytes(buffer[: self.recv_into(buffer)])

    def recv_into(self, buffer: memoryview) -> int:
        """Gives the next input, raises it, or has none."""
        if not self.input:
            raise os_error(errno.EAGAIN)
        data = self.input.pop(0)
        if isinstance(data, OSError):
            raise data
        buffer[: len(data)] = data
        return len(data)

    def shutdown(self, how: int) -> None:
        """Ends the output."""
        self.shut = True

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Notes that it is to be reset when it is closed, or who controls congestion."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.reset_on_close = True
        else:
            assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_CONGESTION), (
                "an option that is not expected on a connected socket"
            )
            self.congestion_control = value

    def close(self) -> None:
        """Closes it; once."""
        assert not self.closed, "closed twice"
        self.closed = True


class FakeDatagramSocket:
    """A UDP socket: what is sent is kept, what arrives is in :attr:`input`, with its source.

    ``segments`` is how large the segments are, at most, that it makes of what is sent by one call; 0 is for a
    system that makes none.  :attr:`narrow` is the same for receivers with a narrower way to them.
    """

    def __init__(self, number: int = 9, segments: int = 65507) -> None:
        self.family = socket.AF_INET
        self.number = number
        self.segments = segments
        self.options: list[tuple[int, int, int]] = []
        self.narrow: dict[object, int] = {}
        self.sent: list[tuple[bytes, object]] = []
        self.calls = self.reads = 0
        self.joins = False
        self.input: list[tuple[bytes, object] | OSError] = []
        self.errors: list[OSError] = []
        self.closed = False

    def fileno(self) -> int:
        """The descriptor."""
        return -1 if self.closed else self.number

    def setblocking(self, blocking: bool) -> None:
        """Never blocks."""

    def sendmsg(
        self, pieces: Sequence[Buffer], control: Sequence[tuple[int, int, bytes]], flags: int, name: object
    ) -> int:
        """Sends to the peer or to a name, or raises the next error."""
        self.calls += 1
        if self.closed:
            raise os_error(errno.EBADF)
        if self.errors:
            raise self.errors.pop(0)
        content = b"".join(pieces)
        assert len(content) <= 65507, "too long for one call"
        size = len(content) or 1
        for _, _, value in control:
            size = int.from_bytes(value, sys.byteorder)
            if size > self.narrow.get(name, self.segments):
                raise os_error(errno.EINVAL)
        self.sent += [(content[at : at + size], name) for at in range(0, len(content) or 1, size)]
        return len(content)

    def recvfrom_into(self, buffer: memoryview) -> tuple[int, object]:
        """The next datagram and its source."""
        if not self.input:
            raise os_error(errno.EAGAIN)
        first = self.input.pop(0)
        if isinstance(first, OSError):
            raise first
        data, name = first
        buffer[: len(data)] = data
        return len(data), name

    def recvmsg_into(
        self, buffers: Sequence[memoryview], control_bytes: int
    ) -> tuple[int, list[tuple[int, int, bytes]], int, object]:
        """The next datagrams that have one source and one size, if there are several, and their source."""
        self.reads += 1
        count, name = self.recvfrom_into(buffers[0])
        size, end = count, count
        while size and self.input and self.joins:
            first = self.input[0]
            if isinstance(first, OSError) or first[1] != name or len(first[0]) != size:
                break
            end += self.recvfrom_into(buffers[0][end:])[0]
        told = (17, 104, size.to_bytes(4, sys.byteorder))
        return end, [] if end == size else [told], 0, name

    def recv_into(self, buffer: memoryview) -> int:
        """The next datagram."""
        return self.recvfrom_into(buffer)[0]

    def getsockopt(self, level: int, option: int) -> int:
        """What was wrong, which is forgotten then; whether there are segments."""
        if level == socket.IPPROTO_UDP and not self.segments:
            raise os_error(errno.ENOPROTOOPT)
        return 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Notes it; joins datagrams that are received from now on, where that is asked for."""
        self.options.append((level, option, value))
        if level == socket.IPPROTO_UDP:
            self.joins = bool(value)

    def close(self) -> None:
        """Closes it; once."""
        assert not self.closed, "closed twice"
        self.closed = True


@implementer(IBatchedDatagramReceiver)
class RecordingBatches(RecordingDatagrams):
    """Takes datagrams together, and notes which."""

    def __init__(self, leg: IDatagramLeg | None = None) -> None:
        self.batches: list[list[bytes]] = []
        super().__init__(leg)

    def datagrams_received(self, datagrams: Sequence[bytes]) -> None:
        """Takes them."""
        self.batches.append(list(datagrams))
        self.got += datagrams


@implementer(IDatagramAcceptor)
class AcceptingDatagrams:
    """Keeps the legs of a port or a lane."""

    def __init__(self) -> None:
        self.legs: list[IDatagramLeg] = []
        self.origins: list[Origin] = []
        self.broken = False

    def leg_accepted(self, leg: IDatagramLeg, origin: Origin) -> None:
        """Takes it."""
        if self.broken:
            raise ZeroDivisionError
        self.legs.append(leg)
        self.origins.append(origin)


class FakeTun:
    """A device that notes what the system gets."""

    name = "utun0"

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = False
        self.led: list[str] = []
        self.no_route: OSError | None = None
        self.packets_read: Callable[[list[bytes]], None]
        self.lost: Callable[[str], None]

    def start(self, packets_read: Callable[[list[bytes]], None], lost: Callable[[str], None]) -> None:
        """Notes who is told."""
        self.packets_read, self.lost = packets_read, lost

    def send(self, packets: Iterable[Buffer]) -> None:
        """Takes packets."""
        self.got += [bytes(each) for each in packets]

    def lead(self, destination: object) -> None:
        """Notes where a route leads to, if there is no error."""
        if self.no_route is not None:
            raise self.no_route
        self.led.append(str(destination))

    def close(self) -> None:
        """Notes that it was closed."""
        self.closed = True
