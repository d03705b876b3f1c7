"""Tests of frp's discovery over sockets in memory."""

from __future__ import annotations

import socket
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from relaykit.nat.frp_discovery import DiscoveryFailed, discover, host_and_port
from relaykit.sansio.nat.frp_discovery import ANSWER_S
from relaykit.testing.natlab import Lab
from relaykit.values import Address
from tests.nat.memory import MemoryNetwork

SERVER = [Address("203.0.113.2", 3478), Address("203.0.113.2", 3479)]


class DiscoverTests(SynchronousTestCase):
    """From texts to addresses."""

    def discover(self, server: str = "203.0.113.2:3478", local: str = "", most: int = 10) -> Deferred[Any]:
        """Asks from behind a NAT."""
        self.lab = Lab(1, delay_s=0.02)
        self.lab.stun_server(SERVER)
        nat = self.lab.nat("198.51.100.2")
        self.network = MemoryNetwork(self.lab.machine("192.168.1.100", behind=nat), most)
        reactor: Any = self.lab.reactor
        found = Deferred.fromCoroutine(
            discover(reactor, self.network, server, local, self.lab.chance.randbytes)
        )
        self.lab.run(2 * ANSWER_S, until=lambda: found.called)
        return found

    def why(self, found: Deferred[Any]) -> str:
        """Why it failed; nothing is left open."""
        self.assertEqual(self.network.open, 0)
        return str(self.failureResultOf(found, DiscoveryFailed).value)

    def test_found(self) -> None:
        """Both external addresses and the local one; the socket is closed afterwards."""
        seen, local = self.successResultOf(self.discover())
        self.assertEqual([each.host for each in seen], ["198.51.100.2"] * 2)
        self.assertEqual((local.host, seen[0].port), ("0.0.0.0", local.port))
        self.assertEqual(self.network.open, 0)
        _, local = self.successResultOf(self.discover(local=":5000"))
        self.assertEqual(local, Address("0.0.0.0", 5000))
        _, local = self.successResultOf(self.discover(local="192.168.1.100:5000"))
        self.assertEqual(local, Address("192.168.1.100", 5000))

    def test_silence(self) -> None:
        """A server that does not answer is told of in frp's words."""
        found = self.discover("203.0.113.9:3478")
        self.assertEqual(self.why(found), "wait response from stun server timeout")

    def test_no_socket(self) -> None:
        """An address that cannot be bound is told of."""
        self.assertEqual(
            self.why(self.discover(local="192.168.1.100:9", most=0)),
            "listen udp4 192.168.1.100:9: bind: too many open files",
        )

    def test_names(self) -> None:
        """Names are looked up for IPv4; one that has no address is told of."""
        with mock.patch.object(socket, "getaddrinfo", side_effect=OSError("no")):
            self.assertEqual(self.why(self.discover("no.such:3478")), "lookup no.such: no such host")
        answer = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("203.0.113.2", 3478))]
        with mock.patch.object(socket, "getaddrinfo", return_value=answer):
            seen, _ = self.successResultOf(self.discover("stun.example:3478"))
        self.assertEqual(len(seen), 2)

    def test_no_host(self) -> None:
        """A server has a host."""
        self.assertEqual(self.why(self.discover(":3478")), "address :3478: missing host in address")


class HostAndPortTests(SynchronousTestCase):
    """How addresses are written."""

    def test_written_well(self) -> None:
        """Host and port, or a port alone."""
        for text, expected in (("a.b:1", ("a.b", 1)), (":0", ("", 0)), ("[::1]:65535", ("::1", 65535))):
            self.assertEqual(host_and_port(text), expected)

    def test_written_badly(self) -> None:
        """What is wrong is told in frp's words."""
        for text, why in (
            ("127.0.0.1", "address 127.0.0.1: missing port in address"),
            ("[::1]", "address [::1]: missing port in address"),
            ("::1", "address ::1: too many colons in address"),
            ("a:b:c", "address a:b:c: too many colons in address"),
            ("127.0.0.1:abc", "lookup udp4/abc: unknown port"),
            ("127.0.0.1:99999", "address 99999: invalid port"),
        ):
            with self.assertRaises(DiscoveryFailed) as caught:
                host_and_port(text)
            self.assertEqual(str(caught.exception), why)
