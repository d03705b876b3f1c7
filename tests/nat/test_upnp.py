"""Tests of UPnP routers, with a library in the place of ``miniupnpc`` that answers as it does."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.upnp import UpnpFailed, UpnpRouter, is_available
from relaykit.values import Address


class _Library:
    """A router with a table; several errors can be had of it."""

    def __init__(self) -> None:
        self.table: dict[int, tuple[Any, ...]] = {}
        self.answers = 1
        self.only_permanent = False
        self.broken = False
        self.lanaddr = "192.168.1.100"
        self.discoverdelay = 0

    def UPnP(self) -> _Library:
        """The library's class."""
        return self

    def discover(self) -> int:
        """How many devices answered."""
        return self.answers

    def selectigd(self) -> None:
        """Chooses the router."""
        if self.broken:
            raise Exception("No UPnP device discovered")

    def externalipaddress(self) -> str:
        """Its outer address."""
        return "203.0.113.2"

    def addportmapping(
        self, external: int, protocol: str, host: str, port: int, text: str, remote: str, lease: int
    ) -> None:
        """Maps."""
        if self.broken:
            raise Exception("HTTP error")
        if external in self.table:
            raise Exception("ConflictInMappingEntry")
        if lease and self.only_permanent:
            raise Exception("OnlyPermanentLeasesSupported")
        self.table[external] = (protocol, host, port, lease)

    def deleteportmapping(self, external: int, protocol: str) -> None:
        """Gives back."""
        if external not in self.table:
            raise Exception("NoSuchEntryInArray")
        del self.table[external]


class _Network:
    """Threads that are none, and a socket that sends or does not."""

    def __init__(self) -> None:
        self.sends = True
        self.has_sockets = True
        self.sent: list[tuple[bytes, Address]] = []
        self.closed = 0

    def open_udp(self, host: str, port: int, receiver: Any) -> _Network:
        """Is the socket."""
        if not self.has_sockets:
            raise CannotListenError(host, port, OSError("too many open files"))
        return self

    def send(self, payload: bytes, destination: Address) -> bool:
        """Notes it."""
        self.sent.append((payload, destination))
        return self.sends

    def close(self) -> None:
        """Counts it."""
        self.closed += 1

    def call_in_thread(self, function: Any) -> Deferred[Any]:
        """Calls at once."""
        return maybeDeferred(function)


class UpnpRouterTests(SynchronousTestCase):
    """The router behind the library."""

    def setUp(self) -> None:
        """Puts our library in the place of the real one."""
        self.library = _Library()
        self.patch(sys, "modules", {**sys.modules, "miniupnpc": self.library})
        network: Any = _Network()
        self.network = network
        self.router = UpnpRouter(network)

    def test_map(self) -> None:
        """A port is mapped to itself, with a lease, and given back."""
        self.assertEqual(self.successResultOf(self.router.find()), "203.0.113.2")
        self.assertEqual(self.successResultOf(self.router.map(5000)), Address("203.0.113.2", 5000))
        self.assertEqual(self.library.table, {5000: ("UDP", "192.168.1.100", 5000, 3600)})
        self.successResultOf(self.router.unmap(5000))
        self.assertEqual(self.library.table, {})

    def test_conflict(self) -> None:
        """A taken port gives way to the next ones, up to a point."""
        self.successResultOf(self.router.find())
        self.library.table[5000] = ()
        self.assertEqual(self.successResultOf(self.router.map(5000)).port, 5001)
        self.library.table.update({5002: ()})
        self.failureResultOf(self.router.map(5000), UpnpFailed)

    def test_permanent_leases(self) -> None:
        """A router that knows no leases is asked for a mapping without end."""
        self.successResultOf(self.router.find())
        self.library.only_permanent = True
        self.successResultOf(self.router.map(5000))
        self.assertEqual(self.library.table[5000][3], 0)

    def test_none(self) -> None:
        """Without a router everything fails with our error."""
        self.library.answers = 0
        self.failureResultOf(self.router.find(), UpnpFailed)
        self.failureResultOf(self.router.map(5000), UpnpFailed)
        self.library.answers, self.library.broken = 1, True
        self.failureResultOf(self.router.find(), UpnpFailed)

    def test_no_way_to_devices(self) -> None:
        """Where the system sends nothing to UPnP devices the library, which would complain, is not used."""
        self.successResultOf(self.router.find())
        self.assertEqual(self.network.sent, [(b"", Address("239.255.255.250", 1900))])
        self.library.answers = 0
        self.network.sends = False
        why = self.failureResultOf(self.router.find(), UpnpFailed)
        self.assertIn("sends nothing", str(why.value))
        self.assertEqual(self.network.closed, 2)
        self.network.has_sockets = False
        self.failureResultOf(self.router.find(), UpnpFailed)

    def test_errors(self) -> None:
        """The library's plain exceptions become ours."""
        self.successResultOf(self.router.find())
        self.failureResultOf(self.router.unmap(7), UpnpFailed)
        self.library.broken = True
        self.failureResultOf(self.router.map(5000), UpnpFailed)

    def test_availability(self) -> None:
        """Whether the library is there can be asked."""
        self.assertTrue(is_available())
        self.patch(sys, "modules", {**sys.modules, "miniupnpc": None})
        self.assertFalse(is_available())
        self.failureResultOf(self.router.find(), UpnpFailed)
