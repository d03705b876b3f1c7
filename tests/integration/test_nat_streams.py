"""TCP punches over loopback, where one end dials and the other accepts."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from relaykit.carriers.direct import streams_over_socket
from relaykit.dataplane.poller import make_poller
from relaykit.errors import PeerUnprovenError
from relaykit.nat.network import HostNetwork
from relaykit.nat.network_info import NetworkInfo
from relaykit.nat.paths import TcpPath
from relaykit.nat.sockets import share_port
from relaykit.nat.tcp_attempt import TcpAttempt, TcpPunchingFailedError
from relaykit.sansio.nat import tcp_punching
from relaykit.sansio.nat.checks import PeerRole
from relaykit.sansio.nat.tcp_punching import TcpPunching
from relaykit.values import Address, Secret
from tests.nat.direct import Hearing, carry

_reactor: Any = reactor


class TcpAttemptTests(TestCase):
    """Two ends on one machine."""

    timeout = 600

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
        opener = partial(streams_over_socket, make_poller(_reactor))
        info = NetworkInfo(network=HostNetwork(_reactor), stream_port=own, stream_opener=opener)
        return TcpAttempt(_reactor, info, core, role)

    async def punched(self) -> list[TcpPath]:
        """Both ends of a path."""
        ports = self.ports()
        key = os.urandom(32)
        ends = [self.end(role, ports, key).start() for role in PeerRole]
        return list(await gatherResults(ends))

    async def test_streams(self) -> None:
        """Both ends get the two ends of one connection, which carries streams."""
        one, two = await self.punched()
        self.assertEqual((one.peer, one.host), (two.host, two.peer))
        self.assertEqual(await carry(one, two, b"hello", Secret("a secret")), b"hello")
        lost = [each.when_lost() for each in (one, two)]
        one.close()
        await gatherResults(lost)

    async def test_wrong_secret(self) -> None:
        """Who does not know the secret gets no streams, and the path is lost at both ends."""
        one, two = await self.punched()
        opening = [one.open_streams(Secret("right"), Hearing()), two.open_streams(Secret("wrong"), Hearing())]
        for each in opening:
            await self.assertFailure(each, PeerUnprovenError)
        await gatherResults([one.when_lost(), two.when_lost()])

    async def test_wrong_key(self) -> None:
        """Ends with different keys do not get a connection."""
        self.patch(tcp_punching, "TOTAL_S", 0.5)
        ports = self.ports()
        ends = [self.end(role, ports, os.urandom(32)).start() for role in PeerRole]
        for each in ends:
            await self.assertFailure(each, TcpPunchingFailedError)
