"""Tests of the server half of QUIC as a carrier."""

from __future__ import annotations

from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.quic.accepting import QuicAcceptor
from relaykit.dataplane.tls import server_context
from relaykit.errors import TransportSecurityError
from tests.carriers.quic.lines import libraries, missing
from tests.carriers.quic.port_net import PAIR, Net


class QuicAcceptorTests(SynchronousTestCase):
    """The service that has the port."""

    skip = missing()

    def test_no_port(self) -> None:
        """Without a port it does nothing."""
        net = Net(libraries()[0])
        acceptor = QuicAcceptor(net.options, 0, net)  # type: ignore[arg-type]  # as much as it needs
        verifyObject(IService, acceptor)
        acceptor.startService()
        self.assertFalse(net.is_open)
        self.successResultOf(maybeDeferred(acceptor.stopService))

    def test_certificates_demanded(self) -> None:
        """It does not let in whom the file wants a certificate of, for it would not ask for one."""
        terms = server_context(PAIR.certificate, PAIR.key, PAIR.certificate)
        net = Net(libraries()[0], server=terms)
        self.assertRaises(TransportSecurityError, net.service.startService)
        self.assertFalse(net.is_open)

    def test_stopped(self) -> None:
        """Its connections are closed, which their clients are told, and then its port."""
        net = Net(libraries()[0])
        net.service.startService()
        opening = net.dial(libraries()[0])
        net.until(lambda: opening.called)
        lost: list[object] = []
        self.successResultOf(opening).when_lost().addCallback(lost.append)
        stopping = net.service.stopService()
        net.until(lambda: lost and stopping.called, 5.0)
        self.assertFalse(net.is_open)
