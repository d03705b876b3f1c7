"""Names that are looked up at a name server of the test, over real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.names.dns import DNSDatagramProtocol, Record_A, RRHeader
from twisted.names.error import DomainError
from twisted.names.server import DNSServerFactory
from twisted.trial.unittest import TestCase

from relaykit.dataplane.dialing import dial
from relaykit.dataplane.listening import listen_tcp
from relaykit.dataplane.name_server import NameServer
from relaykit.errors import ConnectionFailed
from relaykit.values import Address
from tests.integration.dataplane.waiting import Accepting, SocketWaiting, reactor


class Zone:
    """Knows one name, and tells whom it was asked for."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.asked = 0

    def query(self, query: Any, timeout: object = None) -> Any:
        """Answers what twisted.names asks of a zone."""
        name = query.name.name
        if name != b"relay.example":
            return fail(DomainError(name))
        self.asked += 1
        records = [Record_A(self.host)] if query.type == Record_A.TYPE else []
        return succeed(([RRHeader(name, each.TYPE, payload=each) for each in records], [], []))


class NameServerTests(SocketWaiting, TestCase):
    """Dialling by a name that only one name server has."""

    def setUp(self) -> None:
        super().setUp()
        self.zone = Zone()
        factory = DNSServerFactory(clients=[self.zone])
        factory.noisy = False
        self.names = reactor.listenUDP(0, DNSDatagramProtocol(factory), interface="127.0.0.1")
        self.addCleanup(self.names.stopListening)
        self.poller.name_server = NameServer(reactor, [Address("127.0.0.1", self.names.getHost().port)])

    async def test_dialed(self) -> None:
        """The name leads to its address, asked for anew each time, so that one that moved is found."""
        accepting = Accepting()
        for host in ("127.0.0.1", "127.0.0.2"):
            port = listen_tcp(self.poller, host, 0, accepting)
            assert port.address is not None
            self.zone.host = host
            near = await dial(self.poller, "relay.example", port.address.port)
            far = await accepting.next()
            self.assertEqual(near.peer, port.address)
            near.abort()
            far.abort()
            port.close()
        self.assertEqual(self.zone.asked, 4)

    async def test_unknown(self) -> None:
        """A name that it does not have fails with what it said."""
        with self.assertRaises(ConnectionFailed) as caught:
            await dial(self.poller, "other.example", 7000)
        text = str(caught.exception)
        self.assertIn("cannot connect to other.example:7000: the name server 127.0.0.1:", text)
        self.assertIn("knows no such name", text)
