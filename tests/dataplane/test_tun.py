"""Tests for :mod:`relaykit.dataplane.tun`."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.poller import READ
from relaykit.dataplane.tun import MTU, READS_AT_ONCE, TunDevice
from relaykit.sansio.contract import Buffer
from tests.dataplane.fakes import FakePoller, os_error


class TunDeviceTests(SynchronousTestCase):
    """A device whose system calls do what the test says."""

    def setUp(self) -> None:
        self.poller = FakePoller()
        self.input: list[bytes | OSError] = []
        self.output: list[bytes] = []
        self.write_error: OSError | None = None
        self.closed: list[int] = []
        self.batches: list[list[bytes]] = []
        self.lost: list[str] = []
        self.device = TunDevice(self.poller, 9, "utun0", self.read, self.write, self.closed.append)
        self.device.start(self.batches.append, self.lost.append)

    def read(self, number: int, size: int) -> bytes:
        """The next packet, or nothing yet."""
        self.assertEqual((number, size), (9, MTU))
        found = self.input.pop(0) if self.input else os_error(errno.EAGAIN)
        if isinstance(found, OSError):
            raise found
        return found

    def write(self, number: int, packet: Buffer) -> int:
        """Takes a packet, if there is no error."""
        self.assertEqual(number, 9)
        if self.write_error is not None:
            raise self.write_error
        self.output.append(bytes(packet))
        return len(packet)

    def test_read(self) -> None:
        """What there is is told together, and counted as input of the turn."""
        self.assertEqual((self.device.interest, self.device.fileno()), (READ, 9))
        self.input = [b"a", b"bc"]
        self.device.ready(READ)
        self.assertEqual((self.batches, self.poller.taken_bytes), ([[b"a", b"bc"]], 3))
        self.device.ready(READ)
        self.assertEqual(len(self.batches), 1)

    def test_portion(self) -> None:
        """One turn has so many packets, the next one the rest."""
        self.input = [b"a"] * (READS_AT_ONCE + 1)
        self.device.ready(READ)
        self.device.ready(READ)
        self.assertEqual([len(each) for each in self.batches], [READS_AT_ONCE, 1])

    def test_sent(self) -> None:
        """The system gets each packet; those that it does not take are dropped and counted."""
        self.device.send([b"a", bytearray(b"b")])
        for number in (errno.EAGAIN, errno.EINVAL, errno.EIO, errno.ENOBUFS):
            self.write_error = os_error(number)
            self.device.send([b"c"])
        self.assertEqual((self.output, self.device.dropped, self.lost), ([b"a", b"b"], 4, []))

    def test_closed(self) -> None:
        """Closed, it is not watched, and does nothing any more."""
        for _ in range(2):
            self.device.close()
        self.device.send([b"a"])
        self.assertEqual((self.closed, self.output, self.lost), ([9], [], []))
        self.assertEqual(self.poller.forgotten, [self.device])

    def test_lost(self) -> None:
        """A device that is taken away is told of, once, after what had come."""
        self.input = [b"a", os_error(errno.EBADFD)]
        self.device.ready(READ)
        self.device.failed()
        self.assertEqual((self.batches, len(self.lost), self.closed), ([[b"a"]], 1, [9]))

    def test_defect(self) -> None:
        """So is one that cannot be watched."""
        self.device.failed()
        self.assertEqual((len(self.lost), self.closed), (1, [9]))
        self.assertIn("utun0", repr(self.device))
