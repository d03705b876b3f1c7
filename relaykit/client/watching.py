"""Notices that the way to the server may be another one: the network changed, or the machine slept."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.nat.sockets import ANYWHERE, local_host_towards
from relaykit.sansio.parsers.netlink import GROUPS, RouteChanges
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

__all__ = ["NetlinkSocket", "NetworkWatch", "has_moved", "seconds_asleep", "ways_out"]

LOOK_S = 2.0
"""Seconds between two looks at the clocks: how late a machine that slept is noticed at most."""

SLEPT_S = 5.0
"""Sleep that is worth a question to the server: shorter, and no router on the way has forgotten anything."""

WAYS_EVERY_S = 10.0
"""Seconds between two looks at the routing table, where the system does not tell of changes."""

SETTLE_S = 0.5
"""How long a change is left to settle: an address comes a moment before its route does."""

QUIET_S = 5.0
"""Seconds between two changes that are told, at least: a link that flaps must not make a client dial
without pause."""

_DATAGRAM_BYTES = 64 * 1024
_DATAGRAMS_AT_ONCE = 64


def seconds_asleep() -> float:
    """How long the machine has been suspended, plus a constant.

    Where the system does not count that, the time of day tells, and setting it looks like sleep.
    """
    asleep = getattr(time, "CLOCK_BOOTTIME", None)
    counted = time.time() if asleep is None else time.clock_gettime(asleep)  # noqa: TID251  # see above
    return counted - time.monotonic()


def ways_out() -> tuple[str, ...]:
    """This machine's addresses towards everywhere, by IPv4 and by IPv6; empty where there is no way."""
    return tuple(local_host_towards(each) for each in ANYWHERE)


def has_moved(host: Address, peer: Address) -> bool:
    """Whether connections from an address to a peer can only come from another address now.

    Where there is no way to the peer at all, the one that there was may come back.
    """
    way = local_host_towards(peer)
    return way not in ("", host.host) and not _has_address(host.host)


def _has_address(host: str) -> bool:
    """Whether an address is one of this machine's, as far as it can tell."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.bind((host, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


class NetworkWatch(Service):
    """Tells when the way to the server may be another one, and why.

    :param on_change: is called with the reason, in words.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        on_change: Callable[[str], None],
        open_netlink: Callable[[], socket.socket | None] | None = None,
        ways_out: Callable[[], tuple[str, ...]] = ways_out,
        seconds_asleep: Callable[[], float] = seconds_asleep,
    ) -> None:
        self._reactor = reactor
        self._on_change = on_change
        self._open_netlink = open_netlink or open_netlink_socket
        self._ways_out = ways_out
        self._seconds_asleep = seconds_asleep
        self._netlink: NetlinkSocket | None = None
        self._telling: IDelayedCall | None = None
        self._quiet_until = 0.0
        self._looks: list[LoopingCall] = []

    def startService(self) -> None:
        super().startService()
        self._asleep = self._seconds_asleep()
        plain = self._open_netlink()
        if plain is not None:
            self._netlink = NetlinkSocket(self._reactor, plain, self.network_changed)
        else:
            self._ways = self._ways_out()
            self._look_every(WAYS_EVERY_S, self._look_at_ways)
        self._look_every(LOOK_S, self._look_at_clocks)

    def stopService(self) -> None:
        super().stopService()
        for look in self._looks:
            look.stop()
        self._looks.clear()
        if self._telling is not None and self._telling.active():
            self._telling.cancel()
        self._telling = None
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def network_changed(self) -> None:
        """Lets the change settle, and tells of it; of several, once."""
        if self._telling is None:
            wait_s = max(SETTLE_S, self._quiet_until - self._reactor.seconds())
            self._telling = self._reactor.callLater(wait_s, self._tell_change)

    def _tell_change(self) -> None:
        self._telling = None
        self._tell("the network has changed")

    def _tell(self, reason: str) -> None:
        self._quiet_until = self._reactor.seconds() + QUIET_S
        self._on_change(reason)

    def _look_every(self, seconds: float, look: Callable[[], None]) -> None:
        call = LoopingCall(look)
        call.clock = self._reactor
        call.start(seconds, now=False).addErrback(
            lambda failure: self.log.failure("a defect while the network was watched", failure)
        )
        self._looks.append(call)

    def _look_at_ways(self) -> None:
        former, self._ways = self._ways, self._ways_out()
        if self._ways != former and any(self._ways):
            self.network_changed()

    def _look_at_clocks(self) -> None:
        former, self._asleep = self._asleep, self._seconds_asleep()
        slept_s = self._asleep - former
        if slept_s >= SLEPT_S:
            self._tell(f"the machine was suspended for {slept_s:.0f} s")


def open_netlink_socket() -> socket.socket | None:
    """A socket on which the kernel tells of addresses and routes; None where there is none.  Linux."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    try:
        plain = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except OSError:
        # A sandbox may forbid it.
        return None
    try:
        plain.setblocking(False)
        plain.bind((0, GROUPS))
    except OSError:
        plain.close()
        return None
    return plain


@implementer(IReadDescriptor)
class NetlinkSocket:
    """Listens to the kernel, and calls ``on_change`` when an address or a route came or went."""

    def __init__(self, reactor: Any, plain: socket.socket, on_change: Callable[[], None]) -> None:
        self._reactor = reactor
        self._socket = plain
        self._on_change = on_change
        self._changes = RouteChanges()
        reactor.addReader(self)

    def close(self) -> None:
        """Listens no more."""
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "relaykit"

    def connectionLost(self, reason: Failure) -> None:
        """Nothing: what ends with the reactor needs no telling."""

    def doRead(self) -> None:
        changed = False
        with contextlib.suppress(BlockingIOError):
            for _ in range(_DATAGRAMS_AT_ONCE):
                changed = self._read() or changed
        if changed:
            self._on_change()

    def _read(self) -> bool:
        try:
            data, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                # So much has changed that the kernel could not tell all of it.
                return True
            raise
        # Programs may send, too; the kernel's number is 0.
        return sender[0] == 0 and self._changes.feed(data)
