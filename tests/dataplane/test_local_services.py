"""Tests for :mod:`relaykit.dataplane.local_services`."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.dataplane import local_services as module
from relaykit.dataplane.local_services import MOST_KEPT, LocalServices, ServiceEndpoint
from relaykit.errors import ConnectionFailed
from relaykit.interfaces import IInnerLeg, ILocalHost, ILocalService, IStreamLeg
from relaykit.testing.memory import MemoryNetwork, RecordingReceiver
from relaykit.values import Address, Origin

ALICE = Origin(Address("198.51.100.7", 40001), Address("203.0.113.1", 6000))


@implementer(ILocalService)
@define(eq=False)
class Greeter:
    """Greets its users by their address, or refuses them."""

    hosts: list[ILocalHost] = field(factory=list)
    refuses: BaseException | None = None

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        self.hosts.append(host)
        if self.refuses is not None:
            raise self.refuses
        leg.write(f"hello {leg.peer}".encode())
        leg.close()


@implementer(IStreamClientEndpoint)
class Foreign:
    """An endpoint of another package that knows nothing of relaykit."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        protocol: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]  # nobody looks at it
        protocol.makeConnection(StringTransport())
        return succeed(protocol)


class LocalServicesTests(SynchronousTestCase):
    """What endpoint strings are connected to."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.services = LocalServices(self.network)
        self.greeter = Greeter()
        self.parsed: list[str] = []
        self.found: Any = ServiceEndpoint(self.network.reactor, self.greeter)
        self.patch(module, "parse_endpoint", self.parse)

    def parse(self, reactor: object, endpoint: str) -> Any:
        """Stands for the parsers that are installed."""
        self.parsed.append(endpoint)
        return self.found

    def test_inner(self) -> None:
        """A service within this process gets the other end of a leg, and knows the user."""
        leg = self.successResultOf(self.services.dial("greeter:", ALICE))
        self.assertTrue(IInnerLeg.providedBy(leg))
        got = RecordingReceiver(leg)
        self.network.flush()
        self.assertEqual(got.data, b"hello 198.51.100.7:40001")

    def test_parsed_once(self) -> None:
        """A string is parsed once, however many users there are; so many strings are remembered."""
        for _ in range(3):
            self.services.dial("greeter:")
        self.assertEqual(self.parsed, ["greeter:"])
        for number in range(MOST_KEPT):
            self.services.dial(f"greeter:{number}")
        self.services.dial("greeter:")
        self.assertEqual((len(self.parsed), self.parsed[-1]), (MOST_KEPT + 2, "greeter:"))

    def test_refused(self) -> None:
        """A service that cannot serve anybody is one that cannot be reached; a defect goes to the caller."""
        self.greeter.refuses = ConnectionFailed("out of order")
        self.failureResultOf(self.services.dial("greeter:"), ConnectionFailed)
        self.greeter.refuses = ZeroDivisionError()
        self.assertRaises(ZeroDivisionError, self.services.dial, "greeter:")

    def test_foreign(self) -> None:
        """Any other endpoint is connected to."""
        self.found = Foreign()
        leg = self.successResultOf(self.services.dial("foreign:", ALICE))
        self.assertFalse(IInnerLeg.providedBy(leg))

    def test_host(self) -> None:
        """What a service gets for a user is what it may use, and tells whose connection it is."""
        told: list[Any] = []
        self.services.dial("greeter:", ALICE, told.append)
        [host] = self.greeter.hosts
        verifyObject(ILocalHost, host)
        self.assertIs(host.reactor, self.network.reactor)
        leg = self.successResultOf(host.dial_local("greeter:"))
        got = RecordingReceiver(leg)
        self.network.flush()
        self.assertEqual(got.data, b"hello 198.51.100.7:40001")
        host.announce(leg)
        self.assertEqual(told, [leg])
        self.failureResultOf(host.dial("no host", 80), ConnectionFailed)
        user, far = self.network.pair()
        near, service = self.network.pair()
        host.forward(far, near)
        user.write(b"through")
        got = RecordingReceiver(service)
        self.network.flush()
        self.assertEqual(got.data, b"through")

    def test_spoken(self) -> None:
        """A service may be a Twisted protocol, which speaks with the user."""
        peers: list[Any] = []

        class Speaker(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                peers.append(self.transport.getPeer())

        self.services.dial("greeter:", ALICE)
        _, far = self.network.pair()
        self.greeter.hosts[0].speak(far, Factory.forProtocol(Speaker))
        self.assertEqual([(each.host, each.port) for each in peers], [("198.51.100.7", 40001)])


class ServiceEndpointTests(SynchronousTestCase):
    """A service as an endpoint."""

    def test_connect(self) -> None:
        """Any Twisted protocol can speak with it, without a relay."""
        network = MemoryNetwork()
        self.patch(module, "make_poller", lambda reactor: network)
        endpoint = ServiceEndpoint(network.reactor, Greeter())
        verifyObject(IStreamClientEndpoint, endpoint)
        got: list[bytes] = []

        class Listener(Protocol):
            def dataReceived(self, data: bytes) -> None:
                got.append(data)

        self.successResultOf(endpoint.connect(Factory.forProtocol(Listener)))
        self.successResultOf(endpoint.connect(Factory.forProtocol(Listener)))
        network.flush()
        self.assertEqual(got, [b"hello None"] * 2)
