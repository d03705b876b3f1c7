"""The conformance suites on legs in memory: plain, TLS, transformed; forwarded by copying."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from relaykit.dataplane.copying import CopyForwarder
from relaykit.dataplane.observing import ObservedLeg
from relaykit.dataplane.tls import client_context, server_context, start_tls
from relaykit.dataplane.transforms import transformed
from relaykit.interfaces import IForwarder, IStreamLeg
from relaykit.options import ProxyTransport
from relaykit.testing.forwarders import ForwarderTests
from relaykit.testing.legs import LegTests, MemoryWaiting
from relaykit.values import Secret
from tests.dataplane.test_observing import RecordingObserver
from tests.dataplane.test_tls import signed


class PlainPairs(MemoryWaiting):
    """Makes plain legs in memory."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two connected legs."""
        return self.network.pair()


class TlsPairs(MemoryWaiting):
    """Makes TLS legs over legs in memory."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two ends of a TLS session."""
        pair = signed()
        below = self.network.pair()
        near = start_tls(self.network, below[0], client_context(), server_side=False)
        far = start_tls(self.network, below[1], server_context(pair.certificate, pair.key), server_side=True)
        self.network.flush()
        return await near, await far


class TransformedPairs(MemoryWaiting):
    """Makes encrypted and compressed legs over legs in memory."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two connected legs with transforms."""
        near, far = self.network.pair()
        both, secret = ProxyTransport(use_encryption=True, use_compression=True), Secret("secret")
        return transformed(near, both, secret, bytes), transformed(far, both, secret, bytes)


class ObservedPairs(MemoryWaiting):
    """Makes observed legs over legs in memory."""

    async def make_pair(self) -> tuple[IStreamLeg, IStreamLeg]:
        """Two connected legs, each with an observer."""
        near, far = self.network.pair()
        return ObservedLeg(near, RecordingObserver()), ObservedLeg(far, RecordingObserver())


class MemoryLegTests(PlainPairs, LegTests, TestCase):
    """The legs in memory themselves."""


class TlsLegTests(TlsPairs, LegTests, TestCase):
    """TLS legs."""


class TransformLegTests(TransformedPairs, LegTests, TestCase):
    """Legs with transforms."""


class ObservedLegTests(ObservedPairs, LegTests, TestCase):
    """Legs with an observer."""


class CopyTests(ForwarderTests):
    """Forwards by copying."""

    def make_forwarder(self) -> IForwarder:
        """The forwarder that serves any legs."""
        return CopyForwarder()


class CopyPlainTests(PlainPairs, CopyTests, TestCase):
    """Copying between plain legs."""


class CopyTlsTests(TlsPairs, CopyTests, TestCase):
    """Copying between TLS legs."""


class CopyTransformedTests(TransformedPairs, CopyTests, TestCase):
    """Copying between legs with transforms."""
