"""TCP as a carrier: what is dialed, and what is looked for in what was accepted."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from relaykit.carriers.tcp import TcpDialer, carrier
from relaykit.dataplane.tls import client_context, start_tls
from relaykit.errors import TransportSecurityError
from relaykit.interfaces import (
    ICarrier,
    IDatagramLeg,
    IDialHost,
    ILegDialer,
    ISecureLeg,
    IStreamLeg,
    ITlsTerms,
    ITurns,
)
from relaykit.plugins import Carriers
from relaykit.testing.memory import MemoryNetwork
from relaykit.values import Address
from tests.server.scene import Scene


@implementer(IDialHost)
@define(eq=False)
class DialingInMemory:
    """Dials over a network in memory, and notes what is asked of it."""

    network: MemoryNetwork = field(factory=MemoryNetwork)
    secured: list[IStreamLeg] = field(factory=list)
    server: Address = field(factory=lambda: Address("server.example", 7000))

    @property
    def reactor(self) -> object:
        return self.network.clock

    @property
    def turns(self) -> ITurns:
        return self.network

    def entropy(self, count: int) -> bytes:
        return bytes(count)

    @property
    def server_name(self) -> str:
        return self.server.host

    def dial(self) -> Deferred[IStreamLeg]:
        return succeed(self.network.pair()[0])

    def dial_datagrams(self) -> Deferred[IDatagramLeg]:
        raise NotImplementedError

    def dial_endpoint(self, endpoint: IStreamClientEndpoint) -> Deferred[IStreamLeg]:
        raise NotImplementedError

    def tls_terms(self) -> ITlsTerms:
        return client_context()

    def secure(self, leg: IStreamLeg) -> Deferred[IStreamLeg]:
        self.secured.append(leg)
        return succeed(leg)

    def secure_outside(self, leg: IStreamLeg, verified: bool) -> Deferred[ISecureLeg]:
        raise NotImplementedError


class TcpCarrierTests(SynchronousTestCase):
    """Tests for both halves."""

    def test_interfaces(self) -> None:
        """It is found like anybody's carrier, and keeps what the interfaces say."""
        self.assertIs(Carriers.installed().get("tcp"), carrier)
        verifyObject(ICarrier, carrier)
        self.assertEqual(carrier.lacks(), "")
        verifyClass(ILegDialer, TcpDialer)
        verifyObject(IDialHost, DialingInMemory())

    def test_dialing(self) -> None:
        """A connection is dialed and secured as the host was told."""
        host = DialingInMemory()
        leg = self.successResultOf(carrier.make_dialer(None, host).connect())
        self.assertEqual(host.secured, [leg])

    def test_recognizing(self) -> None:
        """TLS is looked into as long as the accepting half runs, with frp's own byte before it or without."""
        scene = Scene()
        for first in (b"", b"\x17"):
            leg = scene.accept()
            leg.write(first)
            connecting = start_tls(scene.network, leg, client_context(), server_side=False)
            scene.flush()
            self.assertEqual(self.successResultOf(connecting).tls_version, "TLSv1.3")
        self.successResultOf(maybeDeferred(scene.bind_port.stopService))
        connecting = start_tls(scene.network, scene.accept(), client_context(), server_side=False)
        scene.flush()
        self.failureResultOf(connecting, TransportSecurityError)
