"""Tests for :mod:`relaykit.proxies.sudp`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.interfaces import IDatagramProxyType
from relaykit.proxies.sudp import proxy_type
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from relaykit.testing.conformance import VisitableProxyTypeTests
from relaykit.values import Secret


class SudpConformanceTests(VisitableProxyTypeTests, SynchronousTestCase):
    """``sudp`` is a proxy type that is reached through visitors."""

    proxy_type = proxy_type

    def options(self) -> SudpOptions:
        return SudpOptions(secret_key=self.visitor_secret)


class DirectConformanceTests(SudpConformanceTests):
    """So it is where its users go past the server."""

    def options(self) -> SudpOptions:
        return SudpOptions(secret_key=self.visitor_secret, direct=True)

    def visitor_options(self, secret: Secret | None = None) -> SudpVisitorOptions:
        return SudpVisitorOptions(secret_key=secret or self.visitor_secret, direct=True)


class SudpTypeTests(SynchronousTestCase):
    """Tests for what the type says of itself."""

    def test_datagrams(self) -> None:
        """Its local services take datagrams, which the check of a configuration wants to know."""
        self.assertTrue(IDatagramProxyType.providedBy(proxy_type))
