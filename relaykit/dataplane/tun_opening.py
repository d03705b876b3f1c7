"""Makes the device of the virtual network: Linux.

Source: the kernel's documentation of tuntap, linux/if_tun.h, netdevice(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from relaykit.dataplane.tun import MTU, TunDevice
from relaykit.errors import VirtualNetworkError
from relaykit.sansio.packets.routes import MOST_ANSWER_BYTES, refusal, route_request

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from relaykit.dataplane.poller import Poller
    from relaykit.sansio.packets.headers import Interface, IpAddress

__all__ = ["LinuxSystem", "open_tun"]

CLONE_DEVICE: Final = "/dev/net/tun"

_NAME = "utun"
"""What is before the number in the name of a device; frp's."""

_MOST_TRIES = 16
"""Names that are tried: another program may take one between looking and asking."""

_TUNSETIFF = 0x400454CA
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFMTU = 0x8916, 0x891C, 0x8922
_SIOCGIFINDEX = 0x8933

_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_IFF_UP, _IFF_RUNNING = 0x01, 0x40

_WITH_FLAGS = struct.Struct("=16sH22x")
_WITH_NUMBER = struct.Struct("=16si20x")
_WITH_ADDRESS = struct.Struct("=16sHxx4s16x")
_OF_IPV6 = struct.Struct("=16sIi")
"""``struct ifreq`` with one of its kinds of content, and ``struct in6_ifreq``."""

_RIGHTS = (
    "that takes the right CAP_NET_ADMIN: run the program as root, or give it the right, by "
    "AmbientCapabilities=CAP_NET_ADMIN in its unit of systemd, or --cap-add=NET_ADMIN for a container"
)
_NO_TUN = (
    "this system has no TUN devices: load the module (modprobe tun), or give the container the device "
    "(--device=/dev/net/tun)"
)


class LinuxSystem:
    """What is asked of the kernel, one call each; raises OSError."""

    def names(self) -> list[str]:
        """The names of all network devices."""
        return [name for _, name in socket.if_nameindex()]

    def open(self) -> int:
        """A descriptor that is to have a device."""
        return os.open(CLONE_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self, number: int) -> None:
        """Gives back a descriptor, and the device that it has."""
        os.close(number)

    def tell(self, number: int, request: int, argument: bytes) -> bytes:
        """Asks something of a descriptor, or tells it; answers what is left in the argument."""
        return fcntl.ioctl(number, request, argument)

    def tell_network(self, family: int, request: int, argument: bytes) -> bytes:
        """The same of the network of a family."""
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as plain:
            return fcntl.ioctl(plain, request, argument)

    def tell_routing(self, message: bytes) -> bytes:
        """Sends a message to who keeps the routes; answers its answer."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as plain:
            plain.send(message)
            # The kernel has answered before it returns from that.
            return plain.recv(MOST_ANSWER_BYTES, socket.MSG_DONTWAIT)


def open_tun(poller: Poller, own: Interface, system: LinuxSystem | None = None) -> TunDevice:
    """A device that has an address, whose network is reached through it.

    :raises VirtualNetworkError: there can be none; the text says why, and what to do.
    """
    system = system or LinuxSystem()
    try:
        number = system.open()
    except OSError as error:
        raise _cannot(error, CLONE_DEVICE) from error
    try:
        name = _made(system, number)
        _prepared(system, name, own)
    except OSError as error:
        with contextlib.suppress(OSError):
            system.close(number)
        raise _cannot(error, f"a device with the address {own}") from error
    return TunDevice(
        poller, number, name, close=system.close, add_route=partial(_add_route, system, name.encode())
    )


def _made(system: LinuxSystem, number: int) -> str:
    """Makes the device; answers its name, which has the next number."""
    taken = [int(found[1]) for name in system.names() if (found := re.fullmatch(rf"{_NAME}(\d+)", name))]
    following = max(taken, default=-1) + 1
    for candidate in range(following, following + _MOST_TRIES):
        name = f"{_NAME}{candidate}"
        try:
            system.tell(number, _TUNSETIFF, _WITH_FLAGS.pack(name.encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return name
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _prepared(system: LinuxSystem, name: str, own: Interface) -> None:
    """Gives the device its address, and lets it work; the route to the network comes with the address."""
    raw = name.encode()
    system.tell_network(socket.AF_INET, _SIOCSIFMTU, _WITH_NUMBER.pack(raw, MTU))
    if own.version == 4:
        mask = own.netmask.packed
        for request, address in ((_SIOCSIFADDR, own.ip.packed), (_SIOCSIFNETMASK, mask)):
            argument = _WITH_ADDRESS.pack(raw, socket.AF_INET, address)
            system.tell_network(socket.AF_INET, request, argument)
    answer = system.tell_network(socket.AF_INET, _SIOCGIFFLAGS, _WITH_FLAGS.pack(raw, 0))
    flags = _WITH_FLAGS.unpack(answer)[1] | _IFF_UP | _IFF_RUNNING
    system.tell_network(socket.AF_INET, _SIOCSIFFLAGS, _WITH_FLAGS.pack(raw, flags))
    if own.version == 6:
        argument = _OF_IPV6.pack(own.ip.packed, own.network.prefixlen, _number_of(system, raw))
        system.tell_network(socket.AF_INET6, _SIOCSIFADDR, argument)


def _add_route(system: LinuxSystem, name: bytes, destination: IpAddress) -> None:
    number = refusal(system.tell_routing(route_request(destination, _number_of(system, name))))
    if number:
        raise OSError(number, os.strerror(number))


def _number_of(system: LinuxSystem, name: bytes) -> int:
    answer = system.tell_network(socket.AF_INET, _SIOCGIFINDEX, _WITH_NUMBER.pack(name, 0))
    number: int = _WITH_NUMBER.unpack(answer)[1]
    return number


def _cannot(error: OSError, what: str) -> VirtualNetworkError:
    reason = error.strerror or str(error)
    if error.errno in (errno.EPERM, errno.EACCES):
        reason = f"{reason}; {_RIGHTS}"
    elif error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        reason = f"{reason}; {_NO_TUN}"
    return VirtualNetworkError(f"the virtual network (virtualNet.address) cannot have {what}: {reason}")
