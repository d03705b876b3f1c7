"""Tests of the keys of ``xtcp``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relaykit.options import named_visitors
from relaykit.proxies.xtcp.options import XtcpVisitorOptions


class XtcpVisitorOptionsTests(SynchronousTestCase):
    """What a visitor is told."""

    def test_protocols(self) -> None:
        """A path is made of QUIC or KCP."""
        for protocol, problems in (("", 0), ("quic", 0), ("kcp", 0), ("tcp", 1)):
            self.assertEqual(len(list(XtcpVisitorOptions(protocol=protocol).problems())), problems, protocol)

    def test_other_visitor(self) -> None:
        """``fallbackTo`` names a visitor, so that a file is checked for it."""
        self.assertEqual(named_visitors(XtcpVisitorOptions(fallback_to="other")), {"fallbackTo": "other"})
