"""TCP punches over loopback, where one end dials and the other accepts."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from relaykit.nat.network import HostNetwork
from relaykit.nat.tcp_attempt import TcpAttempt, TcpPunchingFailedError, share_port
from relaykit.sansio.nat import tcp_punching
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.tcp_punching import TcpPunching
from relaykit.values import Address

_reactor: Any = reactor


class StreamTraversalTests(TestCase):
    """Two ends on one machine."""

    timeout = 20

    def ports(self) -> list[int]:
        """Two ports that others share, as control connections do."""
        found = []
        for _ in range(2):
            plain = socket.socket()
            share_port(plain)
            plain.bind(("127.0.0.1", 0))
            self.addCleanup(plain.close)
            found.append(plain.getsockname()[1])
        return found

    def end(self, role: PeerRole, ports: list[int], key: bytes) -> TcpAttempt:
        """One end; the initiator has the first port."""
        own, other = ports if role is PeerRole.INITIATOR else reversed(ports)
        core = TcpPunching(role, [Address("127.0.0.1", other)], key, os.urandom)
        return TcpAttempt(_reactor, HostNetwork(_reactor), own, core, role)

    async def test_meeting(self) -> None:
        """Both ends get the two ends of one connection, and bytes pass."""
        ports = self.ports()
        key = os.urandom(32)
        ends = [self.end(role, ports, key).start() for role in PeerRole]
        one, two = await gatherResults(ends)
        self.assertEqual(one.socket.getpeername(), two.socket.getsockname())
        two.socket.setblocking(True)
        one.socket.send(b"hello")
        self.assertEqual(two.leftover + two.socket.recv(5), b"hello")
        for each in (one, two):
            each.socket.close()

    async def test_wrong_key(self) -> None:
        """Ends with different keys do not get a connection."""
        self.patch(tcp_punching, "TOTAL_S", 0.5)
        ports = self.ports()
        ends = [self.end(role, ports, os.urandom(32)).start() for role in PeerRole]
        for each in ends:
            await self.assertFailure(each, TcpPunchingFailedError)
