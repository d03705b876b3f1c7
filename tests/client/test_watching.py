"""Tests for noticing that the way to the server may be another one."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.client import watching
from relaykit.client.watching import (
    LOOK_S,
    QUIET_S,
    SETTLE_S,
    WAYS_EVERY_S,
    NetlinkSocket,
    NetworkWatch,
    has_moved,
    open_netlink_socket,
    seconds_asleep,
    ways_out,
)
from relaykit.values import Address
from tests.sansio.parsers.test_netlink import ADDRESS_ADDED, ADDRESS_REMOVED, OF_ADDRESS

KERNEL, PROGRAM = 0, 4711


class Netlink:
    """A socket on which a test tells what the kernel would."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, int] | OSError] = []
        self.closed = False

    def recvfrom(self, most: int) -> tuple[bytes, tuple[int, int]]:
        """The next datagram and its sender."""
        if not self.told:
            raise BlockingIOError
        told = self.told.pop(0)
        if isinstance(told, OSError):
            raise told
        return told[0], (told[1], 0)

    def fileno(self) -> int:
        """A number that is no descriptor."""
        return -1

    def close(self) -> None:
        """Is noted."""
        self.closed = True


class WatchTestCase(SynchronousTestCase):
    """Has a watch and notes what it tells."""

    netlink: Netlink | None = None

    def setUp(self) -> None:
        """Starts a watch."""
        self.reactor = MemoryReactorClock()
        self.told: list[str] = []
        self.asleep = 12345.0
        self.ways = ("198.51.100.7", "")
        opened: Any = self.netlink
        self.watch = NetworkWatch(
            self.reactor, self.told.append, lambda: opened, lambda: self.ways, lambda: self.asleep
        )
        self.watch.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Stops the watch, which leaves nothing behind."""
        if self.watch.running:
            self.watch.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, set())

    def pass_time(self, seconds: float) -> None:
        """Lets time pass in steps that no wait is shorter than."""
        for _ in range(round(seconds * 8)):
            self.reactor.advance(0.125)


class SleepTests(WatchTestCase):
    """Tests for noticing sleep."""

    def test_awake(self) -> None:
        """While nothing happens nothing is told."""
        self.pass_time(60.0)
        self.assertEqual(self.told, [])

    def test_slept(self) -> None:
        """That the machine slept is told once, soon after it woke."""
        self.asleep += 600.0
        self.pass_time(LOOK_S)
        self.assertEqual(self.told, ["the machine was suspended for 600 s"])
        self.pass_time(60.0)
        self.assertEqual(len(self.told), 1)

    def test_dozed(self) -> None:
        """A little sleep is of no interest, however often."""
        for _ in range(10):
            self.asleep += 2.0
            self.pass_time(LOOK_S)
        self.assertEqual(self.told, [])

    def test_clock(self) -> None:
        """The clocks of this machine, which does not sleep meanwhile, do not come apart."""
        # The machine may stand still between two looks, though hardly every time.
        self.assertLess(min(abs(seconds_asleep() - seconds_asleep()) for _ in range(100)), 0.5)

    def test_clock_that_counts_no_sleep(self) -> None:
        """Where sleep is not counted the time of day tells."""
        self.patch(time, "CLOCK_BOOTTIME", None)
        before = seconds_asleep()
        time_of_day = time.time  # noqa: TID251  # it is patched here
        self.patch(time, "time", lambda: time_of_day() + 600.0)
        self.assertLess(min(abs(seconds_asleep() - before - 600.0) for _ in range(100)), 5.0)


class MovedTests(SynchronousTestCase):
    """Whether the address of a connection was replaced."""

    def setUp(self) -> None:
        self.way = "192.0.2.5"
        self.patch(watching, "local_host_towards", lambda peer: self.way)

    def moved(self, host: str) -> bool:
        """Whether connections from there to a server come from elsewhere now."""
        return has_moved(Address(host, 4000), Address("192.0.2.1", 7000))

    def test_moved(self) -> None:
        """It was where it is gone and there is another way."""
        self.assertTrue(self.moved("192.0.2.4"))
        self.assertTrue(self.moved("2001:db8::4"))

    def test_same(self) -> None:
        """It was not where the way is as before, or the address is there beside the new one."""
        self.assertFalse(self.moved("192.0.2.5"))
        self.assertFalse(self.moved("127.0.0.1"))

    def test_no_way(self) -> None:
        """Nor where there is no way at all: the address may come back with it."""
        self.way = ""
        self.assertFalse(self.moved("192.0.2.4"))


class WaysTests(WatchTestCase):
    """Tests for looking at the routing table."""

    def test_other_way(self) -> None:
        """Another address towards everywhere is a change."""
        self.ways = ("203.0.113.9", "")
        self.pass_time(WAYS_EVERY_S + SETTLE_S)
        self.assertEqual(self.told, ["the network has changed"])
        self.pass_time(60.0)
        self.assertEqual(len(self.told), 1)

    def test_no_way(self) -> None:
        """That there is no way any more is no reason to dial; that there is one again is."""
        former, self.ways = self.ways, ("", "")
        self.pass_time(60.0)
        self.assertEqual(self.told, [])
        self.ways = former
        self.pass_time(WAYS_EVERY_S + SETTLE_S)
        self.assertEqual(self.told, ["the network has changed"])

    def test_this_machine(self) -> None:
        """The routing table of this machine can be asked; it has at most one answer for each family."""
        self.assertEqual(len(ways_out()), 2)


class NetlinkTests(WatchTestCase):
    """Tests for listening to the kernel."""

    def setUp(self) -> None:
        """Starts a watch with a socket."""
        self.netlink = Netlink()
        super().setUp()

    def tell(self, *told: bytes | OSError, sender: int = KERNEL) -> None:
        """The kernel tells something."""
        assert self.netlink is not None
        self.netlink.told += [each if isinstance(each, OSError) else (each, sender) for each in told]
        (reader,) = self.reactor.readers
        reader.doRead()

    def test_change(self) -> None:
        """A change is told when it has settled; several at the same time are told once."""
        self.tell(OF_ADDRESS, ADDRESS_ADDED)
        self.assertEqual(self.told, [])
        self.tell(ADDRESS_REMOVED)
        self.pass_time(SETTLE_S)
        self.assertEqual(self.told, ["the network has changed"])

    def test_no_change(self) -> None:
        """What is no change is not told, nor what another program says."""
        self.tell(OF_ADDRESS)
        self.tell(ADDRESS_ADDED, sender=PROGRAM)
        self.pass_time(60.0)
        self.assertEqual(self.told, [])

    def test_flapping(self) -> None:
        """A link that comes and goes is told of now and then only."""
        for _ in range(60):
            self.tell(ADDRESS_ADDED, ADDRESS_REMOVED)
            self.pass_time(1.0)
        self.assertGreaterEqual(len(self.told), 2)
        self.assertLessEqual(len(self.told), 60.0 / QUIET_S + 1)

    def test_too_much(self) -> None:
        """When the kernel could not tell all, something has changed."""
        self.tell(OSError(errno.ENOBUFS, "no buffer space"))
        self.pass_time(SETTLE_S)
        self.assertEqual(len(self.told), 1)

    def test_routing_table_is_not_asked(self) -> None:
        """Where the kernel tells, nobody asks it."""
        self.ways = ("203.0.113.9", "")
        self.pass_time(60.0)
        self.assertEqual(self.told, [])

    def test_stopped(self) -> None:
        """A watch that is stopped tells nothing more and closes its socket."""
        assert self.netlink is not None
        self.tell(ADDRESS_ADDED)
        self.watch.stopService()
        self.pass_time(60.0)
        self.assertEqual((self.told, self.netlink.closed), ([], True))

    def test_interface(self) -> None:
        """The socket is what a reactor reads."""
        plain: Any = Netlink()
        listening = NetlinkSocket(MemoryReactorClock(), plain, lambda: None)
        verifyObject(IReadDescriptor, listening)


class OpeningTests(SynchronousTestCase):
    """Tests for :func:`open_netlink_socket`."""

    def test_opened(self) -> None:
        """On Linux there is a socket that does not block; elsewhere there is none."""
        plain = open_netlink_socket()
        if not hasattr(socket, "AF_NETLINK"):
            self.assertIsNone(plain)
            return
        assert plain is not None
        with plain:
            self.assertFalse(plain.getblocking())

    def test_forbidden(self) -> None:
        """Where a sandbox forbids it there is none."""

        def refuse(*arguments: object) -> socket.socket:
            raise PermissionError(errno.EAFNOSUPPORT, "not here")

        self.patch(socket, "socket", refuse)
        self.assertIsNone(open_netlink_socket())
