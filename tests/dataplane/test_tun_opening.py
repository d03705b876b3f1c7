"""Tests for :mod:`relaykit.dataplane.tun_opening`."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from ipaddress import ip_address
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from relaykit.errors import VirtualNetworkError, problem_of
from relaykit.sansio.packets.headers import parse_interface
from relaykit.sansio.packets.routes import refusal, route_request
from tests.dataplane.fakes import FakePoller, os_error

if sys.platform == "linux":
    from relaykit.dataplane.tun_opening import LinuxSystem, open_tun


@skipUnless(sys.platform == "linux", "these devices are those of Linux")
class OpenTunTests(SynchronousTestCase):
    """What the kernel is asked for."""

    def setUp(self) -> None:
        self.system = FakeSystem()

    def open(self, text: str = "10.0.0.1/24") -> str:
        """The name of a device that has this address."""
        made: Any = self.system
        return open_tun(FakePoller(), parse_interface(text), made).name

    def test_name(self) -> None:
        """It has the number after the highest that there is; where that is taken meanwhile, the next."""
        for names, busy, name in (
            ([], 0, "utun0"),
            (["lo", "utun", "utunx", "utun7", "utun3", "xutun9"], 0, "utun8"),
            (["utun1"], 2, "utun4"),
        ):
            self.system = FakeSystem(names=names, busy=busy)
            self.assertEqual(self.open(), name)
            self.assertEqual(self.system.named[-1], (name, 0x1001))

    def test_address(self) -> None:
        """It gets the MTU, the address, the mask, and is up."""
        self.open("10.1.2.3/20")
        mtu, address, mask, asked, up = self.system.told
        self.assertEqual(mtu[:2], (socket.AF_INET, 0x8922))
        self.assertEqual(struct.unpack_from("=i", mtu[2], 16), (1420,))
        self.assertEqual((address[1], address[2][16:24]), (0x8916, b"\x02\0\0\0\x0a\x01\x02\x03"))
        self.assertEqual((mask[1], mask[2][20:24]), (0x891C, b"\xff\xff\xf0\0"))
        self.assertEqual((asked[1], up[1], up[2][16:18]), (0x8913, 0x8914, b"\xd1\x10"))
        self.assertTrue(
            all(each[2].startswith(b"utun0\0") and len(each[2]) == 40 for each in self.system.told)
        )

    def test_address_of_ipv6(self) -> None:
        """An address of IPv6 is given by the number of the device, once that is up."""
        self.open("fd00::1/64")
        *_, up, asked, address = self.system.told
        self.assertEqual((up[1], asked[1], address[:2]), (0x8914, 0x8933, (socket.AF_INET6, 0x8916)))
        self.assertEqual(address[2], bytes.fromhex("fd00" + "0" * 27 + "1") + struct.pack("=Ii", 64, 5))

    def test_route(self) -> None:
        """A route names the address and the number of the device; what the kernel refuses is raised."""
        made: Any = self.system
        device = open_tun(FakePoller(), parse_interface("10.0.0.1/24"), made)
        destination = ip_address("192.0.2.7")
        device.lead(destination)
        self.assertEqual(self.system.asked, [route_request(destination, 5)])
        self.system.refusal = errno.EEXIST
        with self.assertRaises(FileExistsError):
            device.lead(destination)

    def test_no_rights(self) -> None:
        """Without rights it is said what to do, and nothing stays open."""
        self.system.errors[0x400454CA] = os_error(errno.EPERM)
        with self.assertRaises(VirtualNetworkError) as raised:
            self.open()
        self.assertIn("CAP_NET_ADMIN", str(raised.exception))
        self.assertEqual((problem_of(raised.exception), self.system.closed), ("virtual-network", [9]))

    def test_no_devices(self) -> None:
        """So it is where the system has no such devices."""
        for number, word in ((errno.ENOENT, "modprobe"), (errno.ENODEV, "modprobe"), (errno.EACCES, "right")):
            self.system.open_error = os_error(number)
            with self.assertRaises(VirtualNetworkError) as raised:
                self.open()
            self.assertIn(word, str(raised.exception))
        self.assertEqual(self.system.closed, [])

    def test_not_usable(self) -> None:
        """Whatever else fails, the device goes again, and the reason is told."""
        for request in (0x8922, 0x8916, 0x8914):
            self.system = FakeSystem(errors={request: os_error(errno.EINVAL)})
            with self.assertRaises(VirtualNetworkError) as raised:
                self.open()
            self.assertEqual(self.system.closed, [9])
            self.assertIn("Invalid argument", str(raised.exception))

    def test_all_taken(self) -> None:
        """Names are not tried without end."""
        self.system = FakeSystem(busy=1000)
        self.assertRaises(VirtualNetworkError, self.open)
        self.assertEqual((len(self.system.named), self.system.closed), (16, [9]))

    def test_system(self) -> None:
        """The kernel's own names are those that others see, and its calls raise what went wrong."""
        system = LinuxSystem()
        self.assertIn("lo", system.names())
        argument = struct.pack("=16sH22x", b"lo", 0)
        flags = struct.unpack("=16sH22x", system.tell_network(socket.AF_INET, 0x8913, argument))[1]
        self.assertTrue(flags & 8)
        self.assertRaises(OSError, system.tell, 0, 0x400454CA, argument)
        # There is no device with the highest number.
        request = route_request(ip_address("192.0.2.7"), 0x7FFFFFFF)
        self.assertIn(refusal(system.tell_routing(request)), (errno.ENODEV, errno.EPERM))


class FakeSystem:
    """A kernel that notes what it is told."""

    def __init__(
        self, names: list[str] | None = None, busy: int = 0, errors: dict[int, OSError] | None = None
    ) -> None:
        self.present = names or []
        self.busy = busy
        self.errors = errors or {}
        self.open_error: OSError | None = None
        self.named: list[tuple[str, int]] = []
        self.told: list[tuple[int, int, bytes]] = []
        self.closed: list[int] = []
        self.asked: list[bytes] = []
        self.refusal = 0

    def names(self) -> list[str]:
        """The devices that there are."""
        return self.present

    def open(self) -> int:
        """A descriptor, if there is no error."""
        if self.open_error is not None:
            raise self.open_error
        return 9

    def close(self, number: int) -> None:
        """Notes that it was closed."""
        self.closed.append(number)

    def tell(self, number: int, request: int, argument: bytes) -> bytes:
        """Makes a device, unless its name is taken."""
        name, flags = struct.unpack("=16sH22x", argument)
        self.named.append((name.rstrip(b"\0").decode(), flags))
        if request in self.errors:
            raise self.errors[request]
        if len(self.named) <= self.busy:
            raise os_error(errno.EBUSY)
        return argument

    def tell_routing(self, message: bytes) -> bytes:
        """Notes what is asked for, and refuses it where the test says so."""
        self.asked.append(message)
        return struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -self.refusal)

    def tell_network(self, family: int, request: int, argument: bytes) -> bytes:
        """Notes what it is told; a device has the number 5, and the flags of one that is down."""
        if request in self.errors:
            raise self.errors[request]
        self.told.append((family, request, argument))
        if request == 0x8913:
            return struct.pack("=16sH22x", argument[:16], 0x1090)
        return struct.pack("=16si20x", argument[:16], 5) if request == 0x8933 else argument
