"""Tests of keeping ports mapped: by PCP where the router has it, by UPnP otherwise."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.mapping import FOUND_S, PortMapper
from relaykit.nat.upnp import LEASE_S, UpnpFailed
from relaykit.sansio.nat.portmap import MAPPINGS_MAX, PORT, Dialect
from relaykit.values import Address
from tests.sansio.nat.test_portmap import HOST, ROUTER, _Router

MAPPED = Address("203.0.113.2", 5001)


class _Socket:
    """A socket that the router answers through."""

    def __init__(self, network: _Network, receiver: Any) -> None:
        self.address = Address("0.0.0.0", 40000)
        self.receiver = receiver
        self._network = network
        self.closed = False

    def send(self, payload: bytes, destination: Address, ttl: int | None = None) -> bool:
        """The router answers a moment later."""
        network = self._network
        if network.router is not None and destination == Address(ROUTER.host, PORT):
            answer = network.router.answer(payload, network.clock.seconds())
            if answer is not None:
                network.clock.callLater(0.01, lambda: self.receiver(answer, destination, ""))
        return True

    def close(self) -> None:
        """Notes it."""
        self.closed = True


class _Network:
    """A machine's network with such a router, or without."""

    def __init__(self, clock: Clock, router: _Router | None, gateway: str = ROUTER.host) -> None:
        self.clock = clock
        self.router = router
        self.gateway = gateway
        self.sockets: list[_Socket] = []
        self.can_open = True

    def default_gateway(self) -> str:
        """The router."""
        return self.gateway

    def local_host_towards(self, destination: Address) -> str:
        """The own address."""
        return HOST

    def open_udp(self, host: str, port: int, receiver: Any) -> _Socket:
        """Opens a socket."""
        if not self.can_open:
            raise CannotListenError(host, port, OSError("no"))
        self.sockets.append(_Socket(self, receiver))
        return self.sockets[-1]


class _Upnp:
    """A UPnP router."""

    def __init__(self, there: bool = True) -> None:
        self.there = there
        self.calls: list[tuple[str, int]] = []

    def find(self) -> Deferred[str]:
        """Finds it."""
        return succeed("203.0.113.2") if self.there else fail(UpnpFailed("none"))

    def map(self, port: int) -> Deferred[Address]:
        """Maps."""
        self.calls.append(("map", port))
        return succeed(MAPPED) if port == 5000 else fail(UpnpFailed("taken"))

    def unmap(self, external_port: int) -> Deferred[None]:
        """Gives back."""
        self.calls.append(("unmap", external_port))
        return succeed(None)


class PortMapperTests(SynchronousTestCase):
    """The service."""

    def begin(
        self,
        router: _Router | None,
        upnp: _Upnp | None = None,
        gateway: str = ROUTER.host,
        can_open: bool = True,
    ) -> PortMapper:
        """Starts it, before the router has answered."""
        self.clock = Clock()
        self.network = _Network(self.clock, router, gateway)
        self.network.can_open = can_open
        network: Any = self.network
        reactor: Any = self.clock
        found: Any = upnp
        mapper = PortMapper(reactor, network, found, lambda size: bytes(range(size)), self.clock.seconds)
        mapper.startService()
        return mapper

    def test_pcp(self) -> None:
        """A port is mapped by PCP, told from then on at once, and given back at the end."""
        router = _Router(Dialect.PCP)
        mapper = self.begin(router)
        asked = mapper.when_asked()
        self.assertNoResult(asked)
        waiting = [mapper.map(5000), mapper.map(5000)]
        self.clock.pump([0.01] * 5)
        self.successResultOf(asked)
        self.assertEqual(mapper.protocol, "PCP")
        for each in (*waiting, mapper.map(5000)):
            self.assertEqual(self.successResultOf(each), [MAPPED])
        self.assertEqual(mapper.external_host, MAPPED.host)
        self.successResultOf(mapper.stopService())
        self.assertEqual(router.table, {})
        self.assertTrue(self.network.sockets[0].closed)

    def test_release(self) -> None:
        """A released port is given back, and can be mapped again."""
        router = _Router(Dialect.NAT_PMP)
        mapper = self.begin(router)
        self.clock.pump([0.05] * 5)
        mapper.map(5000)
        self.clock.pump([0.01] * 5)
        self.assertEqual(router.table, {5000: 5001})
        mapper.release(5000)
        self.assertEqual(router.table, {})
        again = mapper.map(5000)
        self.clock.pump([0.01] * 5)
        self.assertEqual(self.successResultOf(again), [MAPPED])
        mapper.release(4711)

    def test_refused(self) -> None:
        """A port that the router refuses has no external address."""
        router = _Router(Dialect.PCP)
        router.result = 8
        mapper = self.begin(router)
        waiting = mapper.map(5000)
        self.clock.pump([0.01] * 5)
        self.assertEqual(self.successResultOf(waiting), [])

    def test_upnp(self) -> None:
        """A router without either protocol is tried by UPnP: mapped, renewed, given back."""
        upnp = _Upnp()
        mapper = self.begin(None, upnp)
        self.clock.pump([0.5] * 10)
        self.assertEqual(mapper.protocol, "UPnP")
        self.assertEqual(self.successResultOf(mapper.map(5000)), [MAPPED])
        self.assertEqual(self.successResultOf(mapper.map(6000)), [])
        self.clock.advance(LEASE_S / 2)
        self.successResultOf(mapper.stopService())
        self.assertEqual(upnp.calls, [("map", 5000), ("map", 6000), ("map", 5000), ("unmap", MAPPED.port)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_found_yet(self) -> None:
        """A router that has not answered soon is not waited for; once it is found it maps ports."""
        for began in (0.0, FOUND_S / 2):
            mapper = self.begin(None, _Upnp())
            self.clock.advance(began)
            waiting = mapper.map(5000)
            self.assertNoResult(waiting)
            self.clock.advance(FOUND_S - began)
            self.assertEqual(self.successResultOf(waiting), [])
            self.assertEqual(self.successResultOf(mapper.map(5000)), [])
            self.clock.pump([0.5] * 10)
            self.assertEqual(self.successResultOf(mapper.map(5000)), [MAPPED])
            self.successResultOf(mapper.stopService())
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing(self) -> None:
        """Without any protocol nothing is mapped, and nobody waits for it."""
        for upnp in (None, _Upnp(there=False)):
            mapper = self.begin(None, upnp)
            waiting = mapper.map(5000)
            self.clock.pump([0.5] * 10)
            self.assertEqual(self.successResultOf(waiting), [])
            self.successResultOf(mapper.when_asked())
            self.assertEqual(self.successResultOf(mapper.map(5002)), [])
            self.successResultOf(mapper.stopService())

    def test_no_gateway(self) -> None:
        """Without a known gateway, or a socket, UPnP is tried at once."""
        for gateway, can_open in (("", True), (ROUTER.host, False)):
            mapper = self.begin(None, _Upnp(), gateway, can_open)
            self.assertEqual(mapper.protocol, "UPnP")
            self.successResultOf(mapper.stopService())

    def test_stop_while_waiting(self) -> None:
        """Whoever waits when it stops gets nothing."""
        mapper = self.begin(None)
        waiting = mapper.map(5000)
        self.successResultOf(mapper.stopService())
        self.assertEqual(self.successResultOf(waiting), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.successResultOf(mapper.map(5000)), [])

    def test_too_many(self) -> None:
        """Beyond the bound nothing more is mapped."""
        mapper = self.begin(_Router(Dialect.PCP))
        self.clock.pump([0.01] * 3)
        for place in range(MAPPINGS_MAX):
            mapper.map(5000 + place)
        self.assertEqual(self.successResultOf(mapper.map(9000)), [])
