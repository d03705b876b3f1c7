"""Ports behind load balancers, with connections in memory."""

from __future__ import annotations

import ipaddress
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane.load_balancers import (
    HEADER_TIMEOUT_S,
    TOLD_AGAIN_S,
    LoadBalancers,
)
from relaykit.interfaces import ILegAcceptor, IListeningPort, IStreamLeg
from relaykit.sansio.parsers.proxy_protocol import VERSIONS, make_proxy_header
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.testing.ports import MemoryPorts
from relaykit.timer import Waits
from relaykit.values import Address, Origin

BALANCER, STRANGER = Address("10.0.0.5", 1000), Address("203.0.113.9", 1001)
TRUSTED = (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8::/64"))
PORT = 7000
ANNOUNCED = Origin(Address("192.0.2.7", 40001), Address("198.51.100.1", 443))


@implementer(ILegAcceptor)
@define(eq=False)
class Taking:
    """Keeps what it is given."""

    taken: list[tuple[IStreamLeg, Origin]] = field(factory=list)
    broken: bool = False

    def leg_accepted(self, leg: IStreamLeg, origin: Origin) -> None:
        if self.broken:
            raise ZeroDivisionError
        self.taken.append((leg, origin))


class LoadBalancersTests(SynchronousTestCase):
    """Which connections begin with a header, and what becomes of them."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(clock=self.clock)
        self.ports = MemoryPorts(self.network)
        self.balancers = LoadBalancers(TRUSTED, self.clock)
        self.acceptor = Taking()
        self.port = self.balancers.listen(self.ports.listen, "", PORT, self.acceptor, for_users=True)

    def dial(self, source: Address, *said: bytes) -> MemoryLeg:
        """Somebody who says something in these portions."""
        dialed = self.ports.dial(PORT, source)
        for portion in said:
            dialed.write(portion)
            self.network.flush()
        return dialed

    def origins(self) -> list[Origin]:
        """Where those come from whom the acceptor has."""
        return [origin for _, origin in self.acceptor.taken]

    def refusals(self, *said: bytes) -> list[dict[str, Any]]:
        """What is told when a load balancer says this."""
        with capturedLogs() as logged:
            self.dial(BALANCER, *said)
        return list(logged)

    def test_port(self) -> None:
        """The port is like any other: it has its address, and closing it closes it."""
        verifyObject(IListeningPort, self.port)
        self.assertEqual(self.port.address.port, PORT)
        self.port.close()
        self.assertEqual(list(self.ports), [])

    def test_announced(self) -> None:
        """A connection comes from where the header says, and what follows the header is unread."""
        for version in VERSIONS:
            self.dial(BALANCER, make_proxy_header(version, ANNOUNCED) + b"hello")
            leg, origin = self.acceptor.taken.pop()
            self.assertEqual(origin, ANNOUNCED)
            self.assertEqual((leg.peer, leg.host), (ANNOUNCED.source, ANNOUNCED.destination))
            received = RecordingReceiver(leg)
            self.network.flush()
            self.assertEqual(received.data, b"hello")
        self.assertEqual((len(self.balancers.headers), self.balancers.refused), (0, 0))

    def test_piecemeal(self) -> None:
        """A header that comes byte by byte is the same."""
        header = make_proxy_header("v2", ANNOUNCED)
        self.dial(BALANCER, *(header[at : at + 1] for at in range(len(header))))
        self.assertEqual(self.origins(), [ANNOUNCED])

    def test_own_connection(self) -> None:
        """Where the load balancer speaks for itself its own addresses hold; what it says besides is kept."""
        self.dial(BALANCER, make_proxy_header("v2", Origin()))
        self.dial(BALANCER, b"PROXY UNKNOWN\r\n")
        self.dial(BALANCER, make_proxy_header("v2", Origin())[:12] + b"\x21\x00\x00\x05" + b"\x05\x00\x02id")
        self.assertEqual([origin.source for origin in self.origins()], [BALANCER] * 3)
        self.assertEqual(self.origins()[-1].tlvs, ((5, b"id"),))
        self.assertEqual(self.acceptor.taken[0][0].peer, BALANCER)

    def test_strangers(self) -> None:
        """A header of anybody else is what a user says, and no reason to believe or to refuse it."""
        header = make_proxy_header("v1", ANNOUNCED)
        self.dial(STRANGER, header)
        self.dial(Address("2001:db8:0:1::5", 1), header)
        self.assertEqual(self.origins()[0].source, STRANGER)
        received = RecordingReceiver(self.acceptor.taken[0][0])
        self.network.flush()
        self.assertEqual((received.data, len(self.acceptor.taken)), (header, 2))

    def test_networks(self) -> None:
        """A network may be one of IPv6, an address may name an interface; unix sockets have none."""
        for source, expected in (
            (BALANCER, True),
            (Address("10.0.1.5", 1), False),
            (Address("2001:db8::77", 1), True),
            (Address("fe80::1%eth0", 1), False),
            (None, False),
        ):
            self.assertEqual(self.balancers.include(Origin(source)), expected, source)

    def test_malformed(self) -> None:
        """What is no header is refused, as soon as it cannot become one."""
        (event,) = self.refusals(b"SSH-2.0-x\r\n")
        self.assertEqual(
            (event["log_level"], event["problem"], event["ended"]),
            (LogLevel.warn, "proxy-header", "protocol-error"),
        )
        self.assertEqual((event["peer"], event["count"]), (BALANCER, 1))
        self.assertEqual((len(self.balancers.headers), self.balancers.refused, self.origins()), (0, 1, []))

    def test_told_again(self) -> None:
        """Of many refusals one is told in a while; all are counted."""
        levels = [event["log_level"] for _ in range(3) for event in self.refusals(b"GET / ")]
        self.clock.advance(TOLD_AGAIN_S)
        (last,) = self.refusals(b"GET / ")
        self.assertEqual(levels, [LogLevel.warn, LogLevel.debug, LogLevel.debug])
        self.assertEqual((last["log_level"], last["count"]), (LogLevel.warn, 4))

    def test_silent(self) -> None:
        """Who has not sent the whole header in time is refused."""
        user = RecordingReceiver(self.dial(BALANCER, b"PROXY "))
        self.clock.advance(HEADER_TIMEOUT_S - 0.1)
        self.network.flush()
        self.assertIsNone(user.lost)
        with capturedLogs() as logged:
            self.clock.advance(0.1)
        self.network.flush()
        self.assertIsNotNone(user.lost)
        self.assertEqual(
            [(event["problem"], event["ended"]) for event in logged], [("proxy-header", "timeout")]
        )
        self.assertEqual((len(self.balancers.headers), self.clock.getDelayedCalls()), (0, []))

    def test_only_looked(self) -> None:
        """A load balancer that opens a connection and closes it, as a check, is no reason for a word."""
        with capturedLogs() as logged:
            self.dial(BALANCER).close()
            self.dial(BALANCER).abort()
            self.network.flush()
        self.assertEqual((logged, self.balancers.refused, len(self.balancers.headers)), ([], 0, 0))

    def test_bound(self) -> None:
        """So many may be without a header; for one more the oldest is refused, and nobody else is held up."""
        self.balancers.headers = Waits(self.clock, HEADER_TIMEOUT_S, 2)
        users = [RecordingReceiver(self.dial(BALANCER)) for _ in range(2)]
        (event,) = self.refusals()
        self.network.flush()
        self.assertEqual((event["ended"], len(self.balancers.headers)), ("timeout", 2))
        self.assertEqual([user.lost is None for user in users], [False, True])
        self.dial(STRANGER)
        self.assertEqual(len(self.acceptor.taken), 1)
        self.port.close()

    def test_closed(self) -> None:
        """Who is waited for when the port is closed goes with it, without a word."""
        user = RecordingReceiver(self.dial(BALANCER, b"PROXY "))
        with capturedLogs() as logged:
            self.port.close()
            self.network.flush()
        self.assertIsNotNone(user.lost)
        self.assertEqual((logged, len(self.balancers.headers), self.clock.getDelayedCalls()), ([], 0, []))

    def test_defect(self) -> None:
        """An acceptor that fails costs the one connection."""
        self.acceptor.broken = True
        user = RecordingReceiver(self.dial(BALANCER, b"PROXY UNKNOWN\r\n"))
        self.network.flush()
        self.assertIsNotNone(user.lost)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @given(st.lists(st.binary(max_size=40), max_size=6))
    def test_junk(self, portions: list[bytes]) -> None:
        """Whatever comes, it is refused or handed on, and nothing is left over."""
        self.setUp()
        self.dial(BALANCER, *portions)
        self.clock.advance(HEADER_TIMEOUT_S)
        self.assertEqual((len(self.balancers.headers), self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(self.balancers.refused + len(self.origins()), 1)
