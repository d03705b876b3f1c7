"""Tests for :mod:`relaykit.proxies.xtcp`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import Options
from relaykit.plugins import ProxyTypes
from relaykit.proxies import xtcp
from relaykit.proxies.xtcp.options import XtcpOptions
from relaykit.sansio.nathole.messages import NAT_HOLE_MESSAGES
from relaykit.testing.conformance import VisitableProxyTypeTests


class XtcpConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do that has visitors."""

    proxy_type = xtcp.proxy_type

    def options(self) -> Options:
        return XtcpOptions(secret_key=self.visitor_secret)


class XtcpTypeTests(SynchronousTestCase):
    """Tests for how the type is found."""

    def test_installed(self) -> None:
        """It is installed, and the dropin says that it has messages, which are frp's."""
        types = ProxyTypes.installed()
        (reference,) = [each for each in types if each.name == "xtcp"]
        self.assertTrue(reference.has_messages)
        self.assertIs(types.get("xtcp"), xtcp.proxy_type)
        self.assertEqual(xtcp.proxy_type.messages, NAT_HOLE_MESSAGES)
