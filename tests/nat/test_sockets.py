"""Tests of UDP sockets: what they do with what the kernel says.  Real ones are in the integration tests."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque

from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.sockets import BATCH, UdpSocket, local_host_towards
from relaykit.values import Address

PEER = Address("192.0.2.1", 9)


class _Reactor:
    """Notes who is read."""

    def __init__(self) -> None:
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        """Begins to read."""
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        """Ends reading."""
        self.readers.remove(reader)


class _Kernel:
    """A socket that says what a test told it to."""

    def __init__(self, family: int = socket.AF_INET, kind: int = 0) -> None:
        self.family = family
        self.arriving: deque[object] = deque()
        self.sent: list[tuple[object, ...]] = []
        self.error: OSError | None = None
        self.refuses_messages = False
        self.options: list[tuple[int, int, int]] = []
        self.closed = False
        self.ttl = 64
        self.bound: tuple[str, int] | None = None
        self.no_segments = ""
        """Which call does not know of segments."""

    def setblocking(self, flag: bool) -> None:
        """Nothing to do."""

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Keeps the TTL, and notes the rest."""
        if self.error is not None:
            raise self.error
        if option == socket.IP_TTL:
            self.ttl = value
        self.options.append((level, option, value))

    def getsockopt(self, level: int, option: int) -> int:
        """Answers the TTL."""
        if level == 17 and self.no_segments == "getsockopt":
            raise OSError(errno.ENOPROTOOPT, "no")
        return self.ttl

    def bind(self, name: tuple[str, int]) -> None:
        """Binds, or raises what the test wants."""
        if self.error is not None:
            raise self.error
        self.bound = name

    def getsockname(self) -> tuple[str, int]:
        """A fixed port."""
        return ("0.0.0.0", 5000)

    def fileno(self) -> int:
        """A fixed descriptor."""
        return 77

    def close(self) -> None:
        """Closes."""
        self.closed = True

    def sendto(self, payload: bytes, name: tuple[str, int]) -> None:
        """Sends."""
        if self.error is not None:
            raise self.error
        self.sent.append((payload, name, self.ttl))

    def sendmsg(
        self, parts: list[bytes], control: list[tuple[int, int, bytes]], flags: int, name: tuple[str, int]
    ) -> None:
        """Sends with what travels beside."""
        if self.refuses_messages and any(kind == socket.IP_TTL for _, kind, _ in control):
            raise OSError(errno.EINVAL, "no")
        if self.no_segments == "sendmsg" and any(level == 17 for level, _, _ in control):
            raise OSError(errno.EIO, "no")
        if self.error is not None:
            raise self.error
        self.sent.append((b"".join(parts), name, self.ttl, tuple(control)))

    def recvmsg(
        self, size: int, control_size: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        """What arrives next, with what travels beside: the size of what was joined, and from where."""
        if not self.arriving:
            raise BlockingIOError
        found = self.arriving.popleft()
        if isinstance(found, OSError):
            raise found
        assert isinstance(found, tuple)
        data, segment, port = found
        control = [(17, 104, struct.pack("=i", segment))] if segment else []
        return data, control, 0, (PEER.host, port)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """What arrives next."""
        if not self.arriving:
            raise BlockingIOError
        found = self.arriving.popleft()
        if isinstance(found, OSError):
            raise found
        assert isinstance(found, bytes)
        return found, (PEER.host, PEER.port)


class _KernelTestCase(SynchronousTestCase):
    """One socket."""

    def setUp(self) -> None:
        """Opens a socket in a kernel of ours."""
        self.kernel = _Kernel()
        self.patch(socket, "socket", lambda family, kind: self.kernel)
        self.reactor = _Reactor()
        self.heard: list[tuple[bytes, Address, str]] = []
        self.udp = self.open()

    def open(self) -> UdpSocket:
        """Opens it."""
        return UdpSocket(self.reactor, "0.0.0.0", 0, self.hear)  # type: ignore[arg-type]

    def hear(self, data: bytes, source: Address, arrived_at: str) -> None:
        """Notes what arrives."""
        self.heard.append((data, source, arrived_at))


class UdpSocketTests(_KernelTestCase):
    """One socket, and one datagram after the other."""

    def test_address(self) -> None:
        """The address tells the port that the kernel chose, and the reactor reads."""
        self.assertEqual(self.udp.address, Address("0.0.0.0", 5000))
        self.assertEqual((self.reactor.readers, self.udp.fileno()), ([self.udp], 77))

    def test_bind_fails(self) -> None:
        """An address that cannot be had is Twisted's usual error, and nothing stays open."""
        self.kernel.error = OSError(errno.EADDRINUSE, "in use")
        self.assertRaises(CannotListenError, self.open)
        self.assertTrue(self.kernel.closed)

    def test_no_descriptor(self) -> None:
        """So is a process that has no descriptor left."""

        def refuse(family: int, kind: int) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(socket, "socket", refuse)
        self.assertRaises(CannotListenError, self.open)
        self.assertEqual(local_host_towards(PEER), "")

    def test_batch(self) -> None:
        """Datagrams are read until there are none, but not more than a batch at once."""
        self.kernel.arriving.extend([b"x"] * (BATCH + 5))
        self.udp.doRead()
        self.assertEqual(len(self.heard), BATCH)
        self.udp.doRead()
        self.assertEqual(len(self.heard), BATCH + 5)
        self.assertEqual(self.heard[0], (b"x", PEER, ""))

    def test_errors_of_others(self) -> None:
        """An error that an ICMP message caused does not stop the reading."""
        self.kernel.arriving.extend([OSError(errno.ECONNREFUSED, "refused"), b"x"])
        self.udp.doRead()
        self.assertEqual(len(self.heard), 1)

    def test_defect_in_the_receiver(self) -> None:
        """A receiver that raises is logged, and the next datagram comes as usual."""

        def defect(data: bytes, source: Address, arrived_at: str) -> None:
            self.udp.receiver = self.hear
            raise ValueError("a defect")

        self.udp.receiver = defect
        self.kernel.arriving.extend([b"1", b"2"])
        self.udp.doRead()
        self.assertEqual([data for data, _, _ in self.heard], [b"2"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_closing_while_reading(self) -> None:
        """A receiver may close the socket; what is left in the kernel is not read."""
        self.udp.receiver = lambda data, source, arrived_at: self.udp.close()
        self.kernel.arriving.extend([b"1", b"2"])
        self.udp.doRead()
        self.assertTrue(self.kernel.closed)
        self.assertEqual((len(self.kernel.arriving), self.reactor.readers, self.udp.fileno()), (1, [], -1))
        self.udp.close()

    def test_sending_fails(self) -> None:
        """What the kernel does not take is lost, without an exception."""
        self.assertTrue(self.udp.send(b"x", PEER))
        self.kernel.error = OSError(errno.ENETUNREACH, "no way")
        self.assertFalse(self.udp.send(b"x", PEER))
        self.udp.close()
        self.assertFalse(self.udp.send(b"x", PEER))

    def test_not_taken(self) -> None:
        """What the kernel does not take is lost, and said to be."""
        self.kernel.error = OSError(errno.EMSGSIZE, "too long")
        self.assertFalse(self.udp.send(bytes(1500), PEER))
        self.kernel.error = None
        self.assertTrue(self.udp.send(bytes(1500), PEER))

    def test_no_fragments(self) -> None:
        """On Linux the kernel is told to cut nothing; where that cannot be had, it is said."""
        self.patch(sys, "platform", "linux")
        self.assertTrue(self.udp.forbid_fragments())
        self.assertIn((socket.IPPROTO_IP, 10, 3), self.kernel.options)
        self.kernel.error = OSError(errno.ENOPROTOOPT, "no")
        self.assertFalse(self.udp.forbid_fragments())
        self.kernel.error = None
        self.patch(sys, "platform", "plan9")
        self.assertFalse(self.udp.forbid_fragments())
        self.udp.close()
        self.assertFalse(self.udp.forbid_fragments())

    def test_ttl(self) -> None:
        """The TTL of one datagram travels beside it and leaves the socket's alone."""
        self.udp.send(b"x", PEER, ttl=2)
        self.assertEqual(
            self.kernel.sent,
            [(b"x", ("192.0.2.1", 9), 64, ((socket.IPPROTO_IP, socket.IP_TTL, b"\2\0\0\0"),))],
        )

    def test_ttl_by_option(self) -> None:
        """Where the kernel refuses that, the socket's own TTL is changed for one datagram."""
        self.kernel.refuses_messages = True
        self.udp.send(b"x", PEER, ttl=2)
        self.udp.send(b"y", PEER, ttl=3)
        self.udp.send(b"z", PEER)
        self.assertEqual([sent[2] for sent in self.kernel.sent], [2, 3, 64])

    def test_detach(self) -> None:
        """A detached socket stays open and is its new owner's."""
        self.assertIs(self.udp.detach(), self.kernel)
        self.assertEqual((self.reactor.readers, self.kernel.closed), ([], False))
        self.assertRaises(RuntimeError, self.udp.detach)

    def test_lost(self) -> None:
        """When the reactor gives it up, it is closed."""
        self.udp.connectionLost(Failure(ValueError()))
        self.assertTrue(self.kernel.closed)
        self.assertEqual(self.udp.logPrefix(), "udp")


class BatchTests(_KernelTestCase):
    """Several datagrams at once."""

    def setUp(self) -> None:
        super().setUp()
        self.batches: list[tuple[list[bytes], Address]] = []

    def take(self, datagrams: list[bytes], source: Address, arrived_at: str) -> None:
        """Notes what arrives."""
        self.batches.append((datagrams, source))

    def test_sent_together(self) -> None:
        """Datagrams of one size go by one call, which tells their size; others go alone."""
        self.assertEqual(self.udp.send_many([b"aa", b"bb", b"c", b"dddd"], PEER), 4)
        self.assertEqual(
            self.kernel.sent,
            [
                (b"aabbc", ("192.0.2.1", 9), 64, ((17, 103, struct.pack("=H", 2)),)),
                (b"dddd", ("192.0.2.1", 9), 64),
            ],
        )

    def test_sent_one_by_one(self) -> None:
        """Where the kernel cannot do that, now or at all, each goes alone, from then on."""
        for refuse in ("sendmsg", "getsockopt"):
            self.kernel = _Kernel()
            self.kernel.no_segments = refuse
            udp = self.open()
            self.assertEqual(udp.send_many([b"aa", b"bb"], PEER), 2)
            self.assertEqual(udp.send_many([b"aa", b"bb"], PEER), 2)
            self.assertEqual([sent[0] for sent in self.kernel.sent], [b"aa", b"bb"] * 2)

    def test_not_sent(self) -> None:
        """What is not taken is counted."""
        self.kernel.error = OSError(errno.ENOBUFS, "full")
        self.assertEqual(self.udp.send_many([b"aa", b"bb"], PEER), 0)
        self.udp.close()
        self.assertEqual(self.udp.send_many([b"aa", b"bb"], PEER), 0)

    def test_received_together(self) -> None:
        """What is read at once is handed on by one call for each source in a row, taken apart again."""
        self.udp.receive_batches(self.take)
        self.kernel.arriving += [(b"aabbc", 2, 9), (b"d", 0, 9), OSError(), (b"e", 0, 10), (b"f", 0, 9)]
        self.udp.doRead()
        other = Address(PEER.host, 10)
        self.assertEqual(self.batches, [([b"aa", b"bb", b"c", b"d"], PEER), ([b"e"], other), ([b"f"], PEER)])
        self.assertIn((17, 104, 1), self.kernel.options)

    def test_much(self) -> None:
        """What is much is handed on before more is read."""
        self.udp.receive_batches(self.take)
        self.kernel.arriving += [(bytes(60_000), 1200, 9)] * 12
        self.udp.doRead()
        self.assertEqual(([len(each) for each, _ in self.batches], len(self.kernel.arriving)), ([450], 3))

    def test_defect_and_close(self) -> None:
        """A receiver may have a defect, and may close the socket."""

        def defect(datagrams: list[bytes], source: Address, arrived_at: str) -> None:
            self.udp.close()
            raise ValueError("a defect")

        self.udp.receive_batches(defect)
        self.kernel.arriving += [(b"a", 0, 9), (b"b", 0, 10), (b"c", 0, 9)]
        self.udp.doRead()
        self.udp.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
