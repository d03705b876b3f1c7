"""Tests of the STUN server as a service: which sockets it opens, and what goes through them."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat import server
from relaykit.nat.server import SECOND_PORTS, RelayStun, StunService
from relaykit.sansio.nat import stun
from relaykit.values import Address

USER = Address("198.51.100.2", 4660)
REQUEST = stun.binding_request(b"0123456789ab", software="relaykit")


class _Socket:
    """What the service opens instead of a UDP socket."""

    opened: list[_Socket]
    taken: set[tuple[str, int]]

    def __init__(
        self, reactor: object, host: str, port: int, receiver: Any, tells_arrival: bool, batch: int
    ) -> None:
        if (host, port) in self.taken:
            raise CannotListenError(host, port, OSError(errno.EADDRINUSE, "Address already in use"))
        self.address = Address(host, port or 3478)
        self.receiver = receiver
        self.tells_arrival = tells_arrival
        self.sent: list[tuple[bytes, Address, str]] = []
        self.closed = False
        self.opened.append(self)

    def send(self, payload: bytes, destination: Address, source_host: str) -> None:
        """Notes it."""
        self.sent.append((payload, destination, source_host))

    def close(self) -> None:
        """Notes it."""
        self.closed = True


class StunServiceTests(SynchronousTestCase):
    """The service."""

    def setUp(self) -> None:
        """Replaces the sockets."""
        self.patch(server, "UdpSocket", _Socket)
        _Socket.opened, _Socket.taken = [], set()

    def run_service(self, hosts: list[str], port: int, **named: Any) -> StunService:
        """Starts a service."""
        reactor: Any = None
        service = StunService(reactor, hosts, port, seconds=lambda: 0.0, **named)
        service.startService()
        return service

    def open_addresses(self) -> list[str]:
        """What is bound."""
        return [str(each.address) for each in _Socket.opened if not each.closed]

    def test_one_host(self) -> None:
        """On one address it takes the port and the one above, and advertises that."""
        service = self.run_service(["203.0.113.2"], 3478)
        self.assertEqual(self.open_addresses(), ["203.0.113.2:3478", "203.0.113.2:3479"])
        self.assertEqual(list(map(str, service.addresses)), self.open_addresses())
        first = _Socket.opened[0]
        first.receiver(REQUEST, USER, "")
        ((payload, destination, source_host),) = first.sent
        self.assertEqual((destination, source_host, first.tells_arrival), (USER, "", False))
        self.assertEqual(stun.decode(payload).other, Address("203.0.113.2", 3479))

    def test_two_hosts(self) -> None:
        """On two addresses it opens both ports of each, and changes both on request."""
        self.run_service(["203.0.113.2", "203.0.113.3"], 3478)
        self.assertEqual(len(self.open_addresses()), 4)
        _Socket.opened[0].receiver(stun.binding_request(b"0123456789ab", stun.Change(6)), USER, "")
        self.assertEqual([len(each.sent) for each in _Socket.opened], [0, 0, 0, 1])

    def test_every_address(self) -> None:
        """Bound to every address it answers from the one that was asked."""
        self.run_service(["0.0.0.0"], 3478)
        first = _Socket.opened[0]
        self.assertTrue(first.tells_arrival)
        first.receiver(REQUEST, USER, "203.0.113.7")
        ((payload, _, source_host),) = first.sent
        self.assertEqual(source_host, "203.0.113.7")
        self.assertEqual(stun.decode(payload).other, Address("203.0.113.7", 3479))

    def test_public_hosts(self) -> None:
        """Behind a one-to-one NAT it tells its public addresses, also where it is bound to every address."""
        for hosts, public, arrived_at, other in (
            (["10.0.0.5"], ["203.0.113.2"], "", Address("203.0.113.2", 3479)),
            (["10.0.0.5", "10.0.0.6"], ["203.0.113.2", "203.0.113.3"], "", Address("203.0.113.3", 3479)),
            (["0.0.0.0"], ["203.0.113.2"], "10.0.0.5", Address("203.0.113.2", 3479)),
        ):
            _Socket.opened = []
            self.run_service(hosts, 3478, public_hosts=public)
            _Socket.opened[0].receiver(REQUEST, USER, arrived_at)
            self.assertEqual(stun.decode(_Socket.opened[0].sent[0][0]).other, other)

    def test_behind_nat(self) -> None:
        """A NAT that nobody told of is warned of, once."""
        self.run_service(["0.0.0.0"], 3478)
        socket = _Socket.opened[0]
        with capturedLogs() as events:
            for _ in range(2):
                socket.receiver(REQUEST, USER, "10.9.9.2")
        self.assertEqual(len(socket.sent), 2)
        self.assertEqual([each["problem"] for each in events], ["stun-behind-nat"])
        self.assertIn("asked from outside at 10.9.9.2", formatEvent(events[0]))

    def test_second_port_taken(self) -> None:
        """A taken second port gives way to the next one."""
        _Socket.taken = {("203.0.113.3", 3479)}
        self.run_service(["203.0.113.2", "203.0.113.3"], 3478)
        self.assertEqual({each.rpartition(":")[2] for each in self.open_addresses()}, {"3478", "3480"})

    def test_named_second_port(self) -> None:
        """A named second port is the only one that is tried."""
        self.run_service(["203.0.113.2"], 3478, second_port=9999)
        self.assertEqual(self.open_addresses()[1], "203.0.113.2:9999")
        _Socket.opened, _Socket.taken = [], {("203.0.113.2", 9999)}
        self.run_service(["203.0.113.2"], 3478, second_port=9999)
        self.assertEqual(self.open_addresses(), ["203.0.113.2:3478"])

    def test_no_second_port(self) -> None:
        """Without any second port it still serves, without another address to tell."""
        _Socket.taken = {("203.0.113.2", 3479 + place) for place in range(SECOND_PORTS)}
        self.run_service(["203.0.113.2"], 3478)
        _Socket.opened[0].receiver(REQUEST, USER, "")
        self.assertIsNone(stun.decode(_Socket.opened[0].sent[0][0]).other)

    def test_highest_port(self) -> None:
        """There is no port above the last one, which is no failure."""
        self.run_service(["203.0.113.2"], 65535)
        self.assertEqual(self.open_addresses(), ["203.0.113.2:65535"])

    def test_first_port_taken(self) -> None:
        """A taken first port is a failure to start, and nothing stays open."""
        _Socket.taken = {("203.0.113.3", 3478)}
        self.assertRaises(CannotListenError, self.run_service, ["203.0.113.2", "203.0.113.3"], 3478)
        self.assertEqual(self.open_addresses(), [])

    def test_optional(self) -> None:
        """A relay server starts without STUN if the port is taken."""
        _Socket.taken = {("203.0.113.2", 3478)}
        with capturedLogs() as events:
            service = self.run_service(["203.0.113.2"], 3478, is_optional=True)
        self.assertEqual((self.open_addresses(), service.running), ([], True))
        self.assertEqual(
            [formatEvent(each) for each in events],
            ["there is no stun server: cannot listen on udp 203.0.113.2:3478: address already in use"],
        )
        service.stopService()

    def test_of_a_relay_server(self) -> None:
        """The relay server's STUN is on each family that it is bound to."""
        reactor: Any = None
        for bind_addr, expected in (
            ("", {"0.0.0.0:7000", "0.0.0.0:7001", "[::]:7000", "[::]:7001"}),
            ("0.0.0.0", {"0.0.0.0:7000", "0.0.0.0:7001"}),
            ("203.0.113.2", {"203.0.113.2:7000", "203.0.113.2:7001"}),
        ):
            _Socket.opened = []
            service = RelayStun(reactor, bind_addr, 7000)
            service.startService()
            self.assertEqual(set(self.open_addresses()), expected)
            self.assertEqual(service.ports, (7000, 7001))
            service.stopService()
            self.assertEqual((self.open_addresses(), service.ports), ([], ()))

    def test_addresses_of_a_relay_server(self) -> None:
        """Named addresses take the place of the relay server's own, those of each family together."""
        reactor: Any = None
        service = RelayStun(
            reactor,
            "::",
            7000,
            ["10.0.0.5", "2001:db8::5", "10.0.0.6"],
            ["203.0.113.2", "203.0.113.3", "2001:db8::2"],
        )
        service.startService()
        self.addCleanup(service.stopService)
        expected = {
            f"{host}:{port}" for host in ("10.0.0.5", "10.0.0.6", "[2001:db8::5]") for port in (7000, 7001)
        }
        self.assertEqual(set(self.open_addresses()), expected)
        first, *_, six, _ = _Socket.opened
        first.receiver(REQUEST, USER, "")
        self.assertEqual(stun.decode(first.sent[0][0]).other, Address("203.0.113.3", 7001))
        six.receiver(REQUEST, Address("2001:db8::9", 1), "")
        self.assertEqual(stun.decode(six.sent[0][0]).other, Address("2001:db8::2", 7001))

    def test_random_port(self) -> None:
        """Port 0 takes a random one, the same on both addresses."""
        service = self.run_service(["203.0.113.2", "203.0.113.3"], 0)
        self.assertEqual([each.port for each in service.addresses], [3478, 3478, 3479, 3479])

    def test_stop(self) -> None:
        """Stopping closes everything."""
        service = self.run_service(["203.0.113.2"], 3478)
        service.stopService()
        self.assertEqual((self.open_addresses(), list(service.addresses)), ([], []))

    def test_silence(self) -> None:
        """Junk is not answered."""
        self.run_service(["203.0.113.2"], 3478)
        _Socket.opened[0].receiver(b"junk", USER, "")
        self.assertEqual(_Socket.opened[0].sent, [])
