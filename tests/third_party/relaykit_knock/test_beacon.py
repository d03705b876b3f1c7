"""Tests for the proxy type ``beacon``."""

from __future__ import annotations

from relaykit.testing.conformance import ProxyTypeTests
from twisted.trial.unittest import SynchronousTestCase

from relaykit_knock import beacon


class BeaconConformanceTests(ProxyTypeTests, SynchronousTestCase):
    """What every proxy type must do."""

    proxy_type = beacon.proxy_type
