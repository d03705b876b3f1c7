"""Tests of QUIC as a carrier: how it is found, and what it needs."""

from __future__ import annotations

from twisted.application.service import IService
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from relaykit.carriers.quic import carrier as carrier_module
from relaykit.carriers.quic.carrier import carrier
from relaykit.interfaces import ICarrier, IPathDialer
from relaykit.plugins import Carriers
from tests.carriers.quic.lines import libraries, missing
from tests.carriers.quic.port_net import Dialing, Net


class QuicCarrierTests(SynchronousTestCase):
    """Both halves."""

    def test_found(self) -> None:
        """It is found like anybody's carrier, and keeps what the interface says."""
        self.assertIs(Carriers.installed().get("quic"), carrier)
        verifyObject(ICarrier, carrier)
        self.assertTrue(carrier.capabilities.own_port and carrier.capabilities.datagrams)

    def test_lacks(self) -> None:
        """Without a library it says how to get one."""
        for there, text in ((True, ""), (False, "pip install 'relaykit[quic]'")):
            self.patch(carrier_module, "available", lambda there=there: there)
            self.assertIn(text, carrier.lacks())
            self.assertEqual(bool(carrier.lacks()), not there)

    def test_halves(self) -> None:
        """It makes what dials and what accepts."""
        if reason := missing():
            self.skipTest(reason)
        net = Net(libraries()[0])
        verifyObject(IPathDialer, carrier.make_dialer(net.options, Dialing(net)))
        verifyObject(IService, carrier.make_acceptor(net.options, 0, net))  # type: ignore[arg-type]  # enough
