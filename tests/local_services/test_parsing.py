"""Tests for :mod:`relaykit.local_services.parsing`."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.endpoints import clientFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relaykit.dataplane.local_services import ServiceEndpoint
from relaykit.interfaces import ILocalService
from tests.layering import ROOT


class LocalServiceParserTests(SynchronousTestCase):
    """Endpoint strings as any Twisted program has them."""

    def test_parsed(self) -> None:
        """A string names an endpoint that is a local service, which shows no password."""
        for text in ("socks5:", "socks5:username=alice:password=hu\\:sh", "SOCKS5:password=hush"):
            found = clientFromString(MemoryReactorClock(), text)
            assert isinstance(found, ServiceEndpoint)
            self.assertTrue(ILocalService.providedBy(found))
            self.assertNotIn("sh", repr(found).lower().replace("expected", ""))

    def test_refused(self) -> None:
        """What makes no sense is refused with words, and without the values."""
        for text, why in (
            ("socks5:hush", "arguments of socks5: have names: username=, password="),
            (
                "http2http:localAddr=a\\:80:hush",
                "arguments of http2http: have names: localAddr=, hostHeaderRewrite=",
            ),
            ("http2http:", "http2http: needs localAddr"),
            ("socks5:pass=hush", "socks5: has no pass, but username, password"),
        ):
            error = self.assertRaises(ValueError, clientFromString, MemoryReactorClock(), text)
            self.assertEqual(str(error), why)

    def test_light(self) -> None:
        """Listing what there is imports no service and nothing of the data plane."""
        script = (
            "import sys; from relaykit.local_services import parsing; parsing.LocalServiceParser('a', 'b');"
            "print([m for m in sys.modules if m.startswith(('relaykit.dataplane', 'relaykit.sansio.http'))])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.strip(), "[]")
